"""Freezing a new test set: today's rows and labels, with what was held out since the last one.

Owns which rows come in. A row that a week was trained on never does, nor one that shares its text or group with such a
row or is near it: so models of before the freeze can be judged on the new set as well. Knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection

from factory import use_cases
from factory.catalogue.database import exclusive, open_catalogue
from factory.catalogue.loading import CATALOGUE_LOCK
from factory.catalogue.reading import Take, read_products
from factory.contracts import FileRef
from factory.errors import NothingToFreeze, WeekUnknown
from factory.grouping.joined_groups import JoinedGroups, join_groups
from factory.grouping.keys import Keys
from factory.lineage.data import of_file, of_tables
from factory.lineage.steps import Account, step
from factory.lineage.tables import rows_of
from factory.records import ledger
from factory.settings import Settings, WeekPlan
from factory.snapshots.entity_rows import TARGET, EntityRows
from factory.snapshots.known_rows import Frozen, SortedIds, frozen_keys, keys_of, trained_keys
from factory.snapshots.store import is_there, writing
from factory.test_sets import frozen_tests
from factory.test_sets.frozen_rows import Difference, compare
from factory.test_sets.frozen_tests import FrozenTest
from factory.test_sets.held_out import TEST_SCHEMA, held_out, shaped, snapshot_folder
from factory.use_cases.sources import Entities


@dataclass(frozen=True, slots=True)
class Freeze:
    """What a new test set is beside the one before it; `test` is None where it was only tried.

    `came` rows were held out until now, `gone` ones are not in it any more; `refused` ones would be in it but are
    equal or near to rows that were trained on, or of their groups. `difference` is that of the set before.
    """

    version: str
    before: FrozenTest
    difference: Difference
    rows: int
    classes: int
    came: int
    gone: int
    refused: int
    test: FrozenTest | None


def _account_of_freeze(frozen: Freeze | None, settings: Settings, use_case: str, *_: object, **__: object) -> Account:
    inputs = of_tables(settings.database_url, rows_of(use_case))
    if frozen is None:
        return Account(f"freeze/{use_case}", inputs)
    written = (of_file(frozen.test.file),) if frozen.test else ()
    return Account(f"freeze/{use_case}", (*inputs, of_file(frozen.before.file)), written)


@step(_account_of_freeze)
def freeze(settings: Settings, use_case: str, by: str, *, dry_run: bool = False) -> Freeze:
    """A new test set, which decides from then on; a `dry_run` changes nothing and says what it would hold.

    It is published and recorded while nobody cuts or loads: a process that dies in between leaves a file to which
    nothing refers. Raises WeekUnknown before the first cut, NothingToFreeze, SnapshotCorrupt where a week's file is
    lost, SnapshotStoreUnusable, and what opening the catalogue raises.
    """
    if use_cases.get(use_case).rolling:
        noun = use_cases.get(use_case).clock.noun
        raise NothingToFreeze(f"the test set of {use_case} rolls on: every {noun} that is cut has its own")
    with exclusive(open_catalogue(settings.database_url), CATALOGUE_LOCK) as connection:
        before = frozen_tests.newest(connection, use_case)
        if before is None:
            raise WeekUnknown(
                f"no week of {use_case} was cut yet: the first one freezes test set {frozen_tests.FIRST} "
                f"(python -m factory cut --week 1 --use-case {use_case})"
            )
        version = f"v{before.number + 1}"
        difference = compare(connection, use_case, before.version, before.file)
        chosen = _chosen(connection, settings, use_case, before)
        if dry_run:
            chosen.read(connection, _drop)
            return _told(chosen, version, before, difference, None)
        with writing(f"{snapshot_folder(settings, use_case)}/test", version, chosen.schema) as writer:
            chosen.read(connection, writer.write)
            _refuse_needless(chosen, before, difference)
        made = FrozenTest(version, writer.ref, datetime.now(UTC), by)
        frozen_tests.record(connection, use_case, made)
        return _told(chosen, version, before, difference, made)


def _chosen(connection: Connection, settings: Settings, use_case: str, before: FrozenTest) -> _Chosen | _ChosenEntities:
    source = use_cases.get(use_case).source
    if isinstance(source, Entities):
        week = ledger.newest(ledger.read_entries(connection, use_case), *ledger.STANDING)
        as_of = week.as_of if week else settings.weeks.epoch
        return _ChosenEntities(
            EntityRows(settings.weeks, use_cases.get(use_case).clock.since(settings.weeks.epoch), source),
            before.file,
            as_of,
        )
    held = _Held(settings.weeks, before.file, join_groups(connection))
    return _Chosen(held, _known_keys(connection, use_case, held))


@dataclass(slots=True)
class _ChosenEntities:
    """Every entity on the test side whose outcome the newest week knew; no week was trained on one of them."""

    of: EntityRows
    before: FileRef
    as_of: datetime
    rows: int = 0
    stay: int = 0
    refused: int = 0
    classes: set[str] = field(default_factory=set)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the set."""
        return self.of.test_schema

    def read(self, connection: Connection, take: Take) -> None:
        """Hand over the rows that come in."""

        def pass_on(batch: pa.RecordBatch) -> None:
            self.rows += batch.num_rows
            self.stay += int(there.among(batch.column(0)).sum())
            self.classes.update(pc.unique(batch.column(TARGET)).to_pylist())
            take(batch)

        with closing(SortedIds(self.before)) as there:
            self.of.read_test(connection, pass_on, self.as_of)


@dataclass(frozen=True, slots=True)
class _Held:
    """Which rows were kept from every training by rule: those of the set `before`, and what the cuts held out."""

    plan: WeekPlan
    before: FileRef
    joined: JoinedGroups

    def read(self, connection: Connection, take: Callable[[pa.RecordBatch, np.ndarray, Keys, Keys], None]) -> None:
        """Hand over every batch of the catalogue with a mask of such rows that have a label, and the keys of all."""
        frozen = self.joined.beside(frozen_keys(self.before))

        def pass_on(batch: pa.RecordBatch) -> None:
            texts, groups = self.joined.keys(batch)
            mask = tested.among(batch.column("productid")) | held_out(texts, groups, frozen, self.plan)
            take(batch, mask & np.array(batch.column("prdtypecode").is_valid()), texts, groups)

        with closing(SortedIds(self.before)) as tested:
            read_products(connection, pass_on)


@dataclass(slots=True)
class _Chosen:
    """The rows of the new set on their way to the file, counted while they pass."""

    held: _Held
    trained: Frozen
    rows: int = 0
    stay: int = 0
    refused: int = 0
    classes: set[str] = field(default_factory=set)
    schema: pa.Schema = TEST_SCHEMA

    def read(self, connection: Connection, take: Take) -> None:
        """Hand over the rows that come in."""

        def pass_on(batch: pa.RecordBatch, mask: np.ndarray, texts: Keys, groups: Keys) -> None:
            known = self.trained.texts.among(texts) | self.trained.groups.among(groups)
            self.refused += int((mask & known).sum())
            keep = pa.array(mask & ~known)
            chosen = shaped(batch, {"text_key": texts, "group": groups}, TEST_SCHEMA).filter(keep)
            if chosen.num_rows:
                self.rows += chosen.num_rows
                self.stay += int(there.among(chosen.column("entity_id")).sum())
                self.classes.update(pc.unique(chosen.column("target")).to_pylist())
                take(chosen)

        with closing(SortedIds(self.held.before)) as there:
            self.held.read(connection, pass_on)


def _drop(batch: pa.RecordBatch) -> None:
    """Takes rows that are only counted."""


def _known_keys(connection: Connection, use_case: str, held: _Held) -> Frozen:
    """The keys that some week was trained on, as far as rows that may come in bear them or are near them.

    The catalogue is read for those rows first, and then every week: memory is bounded by the rows that may come in.
    """
    candidates: list[tuple[Keys, Keys]] = []
    held.read(connection, lambda _batch, mask, texts, groups: candidates.append((texts[mask], groups[mask])))
    asked = held.joined.beside(keys_of(candidates))
    return held.joined.beside(
        keys_of(trained_keys(week, asked, held.joined.of) for week in _weeks(connection, use_case))
    )


def _weeks(connection: Connection, use_case: str) -> list[FileRef]:
    """Every snapshot that may have been trained on; one that was rejected or replaced may be gone."""
    entries = ledger.read_entries(connection, use_case)
    last = {each.week: each.revision for each in entries if each.status in ledger.STANDING}
    return [
        each.dataset
        for each in entries
        if each.dataset and (each.revision == last.get(each.week) or is_there(each.dataset))
    ]


def _refuse_needless(chosen: _Chosen | _ChosenEntities, before: FrozenTest, difference: Difference) -> None:
    """Raised while the file is being written, so that none is left behind."""
    if not chosen.rows:
        raise NothingToFreeze(
            f"no labelled product of the catalogue is held out, so that a test set after {before.version} would be "
            "empty: load products, or point DATABASE_URL at the right catalogue"
        )
    if chosen.rows == chosen.stay == before.file.rows and not difference.count:
        raise NothingToFreeze(
            f"test set {before.version} is what the catalogue would give today ({before.file.rows:,} rows): there is "
            "nothing to freeze"
        )


def _told(
    chosen: _Chosen | _ChosenEntities, version: str, before: FrozenTest, difference: Difference, test: FrozenTest | None
) -> Freeze:
    return Freeze(
        version=version,
        before=before,
        difference=difference,
        rows=chosen.rows,
        classes=len(chosen.classes),
        came=chosen.rows - chosen.stay,
        gone=before.file.rows - chosen.stay,
        refused=chosen.refused,
        test=test,
    )
