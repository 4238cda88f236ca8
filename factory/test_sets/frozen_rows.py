"""The rows of a frozen test set beside the catalogue, which goes on changing, and beside the classes of a week.

Owns what counts as a difference and how it is said. Must not know what follows from it: `flows` and
`factory.quality.checking` tell it, the gate stops beyond a limit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from sqlalchemy import Connection, select

from factory import use_cases
from factory.catalogue.entities import read_keys, read_outcomes
from factory.catalogue.schema import labels, products
from factory.contracts import FileRef
from factory.errors import TestSetOutdated
from factory.quality.findings import some
from factory.snapshots.entity_rows import ENTITY_ID, TARGET
from factory.snapshots.store import read_batches, read_frame
from factory.use_cases.sources import Entities

COLUMNS = (ENTITY_ID, "designation", "description", TARGET)
LABEL = COLUMNS.index(TARGET)
CHUNK = 500
"""Ids in one statement; SQLite takes no more than some thousand values."""
NAMED = 3
Values: TypeAlias = "tuple[str | None, ...]"
"""A row's COLUMNS."""


@dataclass(slots=True)
class Difference:
    """How many rows of a test set (its `version`) stand otherwise in the catalogue by now, each counted once.

    `relabelled` counts rows by the label that they were frozen with and the one that they have; `unlabelled` rows have
    none any more, `changed` ones another text.
    """

    version: str
    rows: int = 0
    relabelled: Counter[tuple[str, str]] = field(default_factory=Counter)
    deleted: int = 0
    unlabelled: int = 0
    changed: int = 0

    @property
    def count(self) -> int:
        """Rows that differ."""
        return self.relabelled.total() + self.deleted + self.unlabelled + self.changed

    @property
    def share(self) -> float:
        """Of all rows, 0 to 1."""
        return self.count / max(self.rows, 1)

    def sentence(self) -> str:
        """What differs, with numbers, and that nothing does."""
        if not self.count:
            return f"the {self.rows:,} rows of test set {self.version} are as the catalogue has them"
        most = self.relabelled.most_common(NAMED)
        pairs = ", ".join(f"{rows:,} of {some([old])} are {some([new])}" for (old, new), rows in most)
        parts = {
            f"bear another label ({pairs})": self.relabelled.total(),
            "are deleted": self.deleted,
            "have lost their label": self.unlabelled,
            "have another text": self.changed,
        }
        said = ", ".join(f"{rows:,} {what}" for what, rows in parts.items() if rows)
        return (
            f"{self.count:,} of the {self.rows:,} rows of test set {self.version} ({self.share:.2%}) are not as the "
            f"catalogue has them: {said}"
        )

    def refuse_beyond(self, limit: float, use_case: str) -> None:
        """Nothing, where at most the share `limit` (0 to 1) of the rows differs; raises TestSetOutdated."""
        if self.share <= limit:
            return
        declared = use_cases.get(use_case)
        remedy = (
            f"Train a challenger on a later {declared.clock.noun}, whose test set is made anew"
            if declared.rolling
            else "Freeze a new test set, on which every model is judged from then on: "
            f"python -m factory freeze --use-case {use_case}"
        )
        raise TestSetOutdated(
            f"{self.sentence()}. That is beyond the {limit:.2%} up to which {use_case!r} is judged on it "
            f"(gate.largest_test_change): what a model scores there says little of the catalogue as it is. {remedy}. "
            "If this is not the catalogue that it was frozen from, point DATABASE_URL at that one; if the difference "
            "is meant, raise the limit (USE_CASE_SETTINGS)"
        )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which classes the test set `version` says nothing of, and which of its rows no model can get right.

    `untested` holds the classes to train on without test row, with their rows where these are known; `waiting` counts
    rows of them that are held out. `untrained` holds the classes of test rows that nobody was trained on, with the
    test rows of each.
    """

    version: str
    classes: int
    test_rows: int
    untested: Mapping[str, int]
    untrained: Mapping[str, int]
    waiting: int = 0

    def sentences(self) -> list[str]:
        """What is not covered, a sentence each; none where all is."""
        said = []
        if self.untested:
            rows = f"; {known:,} rows" if (known := sum(self.untested.values())) else ""
            more = f"; {self.waiting:,} held-out rows of them would come in with a new one" if self.waiting else ""
            said.append(
                f"{len(self.untested):,} of {self.classes:,} classes have no row in test set {self.version} "
                f"({some(self.untested)}{rows}): no number on it says what a model is worth there{more}"
            )
        if self.untrained:
            rows_without = sum(self.untrained.values())
            said.append(
                f"{rows_without:,} of the {self.test_rows:,} rows of test set {self.version} "
                f"({rows_without / max(self.test_rows, 1):.2%}) bear {len(self.untrained):,} classes that nobody was "
                f"trained on ({some(self.untrained)}): no answer to them can be right"
            )
        return said


def compare(connection: Connection, use_case: str, version: str, test: FileRef) -> Difference:
    """The frozen rows beside the catalogue as it is; rows that were frozen without a label do not count.

    A product that the catalogue holds is there, whether a week holds it yet or not. What an entity of a table is like
    changes by nature: it differs where it is gone, or where its outcome is another one. Raises SnapshotCorrupt.
    """
    found, source, clock = Difference(version), use_cases.get(use_case).source, use_cases.clock_of(use_case)
    if isinstance(source, Entities):
        frozen = read_frame(test, [ENTITY_ID, TARGET]).to_numpy().tolist()
        there, outcomes = read_keys(connection, source, clock), read_outcomes(connection, source, clock=clock).to_dict()
        for name, outcome in frozen:
            then, today = (outcome, outcomes.get(name)) if source.has_outcomes else ("", "")
            _count(found, (name, None, None, then), (name, None, None, today) if name in there else None)
        return found
    for batch in read_batches(test, COLUMNS):
        for start in range(0, batch.num_rows, CHUNK):
            columns = (column.to_pylist() for column in batch.select(list(COLUMNS)).slice(start, CHUNK).columns)
            frozen = [row for row in zip(*columns, strict=True) if row[LABEL] is not None]
            standing = _standing(connection, [row[0] for row in frozen])
            for row in frozen:
                _count(found, row, standing.get(row[0]))
    return found


def cover(version: str, *, trained: Mapping[str, int] | Collection[str], tested: Mapping[str, int]) -> Coverage:
    """The test rows by class (`tested`) beside the classes that were trained on, with their rows where known."""
    rows = trained if isinstance(trained, Mapping) else dict.fromkeys(trained, 0)
    return Coverage(
        version=version,
        classes=len(rows),
        test_rows=sum(tested.values()),
        untested={name: count for name, count in sorted(rows.items()) if name not in tested},
        untrained={name: count for name, count in sorted(tested.items()) if name not in rows},
    )


def _standing(connection: Connection, ids: list[str]) -> dict[str, Values]:
    columns = (products.c.productid, products.c.designation, products.c.description, labels.c.prdtypecode)
    query = select(*columns).select_from(products.outerjoin(labels)).where(products.c.productid.in_(ids))
    return {row[0]: tuple(row) for row in connection.execute(query)}


def _count(found: Difference, frozen: Values, now: Values | None) -> None:
    found.rows += 1
    if now == frozen:
        return
    if now is None:
        found.deleted += 1
    elif now[LABEL] is None:
        found.unlabelled += 1
    elif now[LABEL] != frozen[LABEL]:
        found.relabelled[str(frozen[LABEL]), str(now[LABEL])] += 1
    else:
        found.changed += 1
