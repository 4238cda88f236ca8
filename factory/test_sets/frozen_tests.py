"""The frozen test sets of a use case: which there are, which decides, and how often each was looked at.

Owns the tables `frozen_tests` and `test_looks`. The first set comes with the first cut and stands in the ledger, beside
the weeks; every later one was frozen by a person (`factory.test_sets.freezing`) and has a row of its own. Knows nothing
of what the rows hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import Connection, func, insert, select

from factory.catalogue.database import upsert
from factory.catalogue.schema import frozen_tests, test_looks
from factory.contracts import DatasetRef, FileRef
from factory.records import ledger, stored
from factory.use_cases import get_model
from factory.use_cases.clock import Clock

FIRST = "v1"

Look = Literal["training", "judgement"]


@dataclass(frozen=True, slots=True)
class FrozenTest:
    """A frozen test set; who froze it and when is not kept of the first one."""

    version: str
    file: FileRef
    frozen_at: datetime | None = None
    frozen_by: str | None = None

    @property
    def number(self) -> int:
        """The number in its version: 2 for v2; 0 for one that rolls on with the clock, where the period tells."""
        return int(self.version.removeprefix("v")) if self.version.startswith("v") else 0


def rolling_version(clock: Clock, period: int, revision: int) -> str:
    """What the test set of a period is called that rolls on with the clock: `2017-06`, `week-3`, `2017-06-r2`."""
    version = clock.words(period).replace(" ", "-")
    return version if revision == 1 else f"{version}-r{revision}"


def frozen_by_people(connection: Connection, use_case: str) -> list[FrozenTest]:
    """The sets after the first, oldest first."""
    query = select(frozen_tests).where(frozen_tests.c.use_case == use_case)
    found = [
        FrozenTest(row["version"], stored.load(FileRef, row["file"]), row["frozen_at"], row["frozen_by"])
        for row in connection.execute(query).mappings()
    ]
    return sorted(found, key=lambda each: each.number)


def newest(connection: Connection, use_case: str) -> FrozenTest | None:
    """The set that decides: the last that was frozen, else that of the weeks that stand; None before the first cut."""
    if found := frozen_by_people(connection, use_case):
        return found[-1]
    standing = ledger.newest(ledger.read_entries(connection, use_case), *ledger.STANDING)
    return FrozenTest(standing.test_version, standing.test) if standing else None


def all_known(connection: Connection, use_case: str) -> list[FrozenTest]:
    """Every set that a week was cut beside or that was frozen since, the one that decides last."""
    cut = [entry.dataset for entry in ledger.read_entries(connection, use_case) if entry.dataset]
    found = {each.test.sha256: FrozenTest(each.test_version, each.test) for each in cut}
    found |= {each.file.sha256: each for each in frozen_by_people(connection, use_case)}
    last = newest(connection, use_case)
    return sorted(found.values(), key=lambda each: (each.file == (last and last.file), each.number))


def beside_the_newest(connection: Connection, dataset: DatasetRef) -> DatasetRef:
    """The period with the test set that decides by now.

    One of another catalogue keeps its own, and so does one whose test set rolls on: later rows may have been trained on
    by then.
    """
    if dataset.span is not None:
        return dataset
    known = all_known(connection, dataset.use_case)
    if dataset.test.sha256 not in {each.file.sha256 for each in known}:
        return dataset
    return dataset.model_copy(update={"test": known[-1].file, "test_version": known[-1].version})


def record(connection: Connection, use_case: str, frozen: FrozenTest) -> None:
    """Write the set down; it decides from now on."""
    row = {
        "use_case": use_case,
        "version": frozen.version,
        "frozen_at": frozen.frozen_at,
        "frozen_by": frozen.frozen_by,
        "file": stored.dump(frozen.file),
    }
    connection.execute(insert(frozen_tests).values(row))


def look(connection: Connection, model: str, test: FileRef, *, look_id: str, kind: Look) -> int:
    """Count that a version of the model was measured on the set; says how often that was done, this time included.

    `look_id` names what was measured: the same version beside the same rival tells nothing new, and is one look.
    """
    row = upsert(connection, test_looks).values(
        model=model, sha256=test.sha256, look_id=look_id, kind=kind, looked_at=datetime.now(UTC)
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=["model", "sha256", "look_id"]))
    return count_looks(connection, model, test)


def count_looks(connection: Connection, model: str, test: FileRef) -> int:
    """How often a training or a judgement measured a version of the model on the set.

    Where test sets roll on, a look at one that shares periods with it was a look at its rows, and counts.
    """
    sets = {test.sha256, *_sharing_periods(connection, get_model(model).use_case.name, test)}
    query = select(func.count()).select_from(test_looks)
    counted: int | None = connection.scalar(query.where(test_looks.c.model == model, test_looks.c.sha256.in_(sets)))
    return counted or 0


def _sharing_periods(connection: Connection, use_case: str, test: FileRef) -> set[str]:
    """The checksums of the test sets that share a period with the set, where they roll on with the clock."""
    cut = [entry.dataset for entry in ledger.read_entries(connection, use_case) if entry.dataset]
    rolling = [(each.test.sha256, each.span) for each in cut if each.span]
    own = next((span for sha256, span in rolling if sha256 == test.sha256), None)
    return {sha256 for sha256, span in rolling if own and span.first <= own.last and own.first <= span.last}
