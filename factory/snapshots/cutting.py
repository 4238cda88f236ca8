"""Cutting a period (mostly a week): its rows of the catalogue as one snapshot, with the split and the test set.

Owns what a snapshot holds and in which order things are written, so that a crash between any two steps is healed by
the next call. Knows nothing of checks, models or schedulers.

The order is: announce the week (running), take the catalogue's lock, publish the test set if none stands, publish the
week, record it (cut). Files bear their checksum in their names, so an interrupted cut leaves at most a file that
nothing refers to; what `data_loads` calls cut is complete.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import pyarrow as pa
from sqlalchemy import Connection

from factory import use_cases
from factory.catalogue.database import exclusive, open_catalogue, transaction
from factory.catalogue.loading import CATALOGUE_LOCK
from factory.catalogue.reading import Take
from factory.contracts import DatasetRef, FileRef, TestSpan
from factory.errors import SnapshotCorrupt
from factory.lineage.data import of_file, of_tables
from factory.lineage.steps import Account, step
from factory.lineage.tables import rows_of as tables_of
from factory.records import ledger
from factory.settings import Settings
from factory.snapshots.entity_rows import EntityRows
from factory.snapshots.store import is_there, writing
from factory.snapshots.text_rows import TextRows
from factory.test_sets import frozen_tests
from factory.test_sets.frozen_tests import FrozenTest
from factory.test_sets.held_out import snapshot_folder
from factory.use_cases.clock import Clock
from factory.use_cases.sources import Entities, Texts


class WeekRows(Protocol):
    """The rows of one week: handed over once, and counted by the time that they have passed."""

    rows: int
    train_rows: int
    arrivals: int
    classes: set[str]
    span: TestSpan | None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the week."""

    def read(self, connection: Connection, take: Take) -> None:
        """Hand over the rows, by id; raises CatalogueEmpty where there are none."""


class Rows(Protocol):
    """What a kind of source knows of its rows."""

    @property
    def test_schema(self) -> pa.Schema:
        """The columns of a test set."""

    @property
    def names_in_files(self) -> tuple[Mapping[str, str], ...]:
        """What files called columns, by what they are called today: those of today first, then those of before."""

    def share(self, week: int) -> float:
        """The share of all rows (0 to 1) that the week is meant to hold; raises ValueError for a week below 1."""

    def refuse_empty(self, connection: Connection) -> None:
        """Raises CatalogueEmpty where there is nothing to cut."""

    def of_week(self, week: int, as_of: datetime, test: FileRef, before: DatasetRef | None) -> WeekRows:
        """Those of a week, beside its test set and the newest accepted week before it."""

    def read_test(self, connection: Connection, take: Take, as_of: datetime) -> None:
        """Hand over the rows of a test set, by id, as that moment knows them; the first one's, where it is frozen."""


def rows_of(settings: Settings, use_case: str) -> Rows:
    """The rows of the use case, by the kind of its source."""
    declared, clock = use_cases.get(use_case), clock_for(settings, use_case)
    if isinstance(declared.source, Entities):
        return EntityRows(settings.weeks, clock, declared.source, declared.rolling)
    return TextRows(settings.weeks, clock)


def clock_for(settings: Settings, use_case: str) -> Clock:
    """The use case's clock, its weeks counted from the setting's epoch."""
    return use_cases.get(use_case).clock.since(settings.weeks.epoch)


def _account_of_cut(dataset: DatasetRef | None, settings: Settings, use_case: str, **_: object) -> Account:
    job, inputs = f"cut/{use_case}", of_tables(settings.database_url, tables_of(use_case))
    if dataset is None:
        return Account(job, inputs)
    week, test = of_file(dataset), of_file(dataset.test)
    if dataset.span is not None or dataset.test_version == frozen_tests.FIRST:
        return Account(job, inputs, (week, test))
    return Account(job, (*inputs, test), (week,))  # frozen beside the cuts


@step(_account_of_cut)
def cut_week(settings: Settings, use_case: str, *, as_of: datetime, week: int | None = None) -> DatasetRef:
    """The snapshot of the period with the number `week`, else of the one that is due at `as_of`.

    It shows what was known by `as_of`; where periods are cut when they are over, what was known at its end.

    A week that stands (cut or accepted) is given as it is. One whose file is lost is cut again: from the same catalogue
    it is the same file; from another one, and where it was rejected, it becomes the next revision. Several processes
    may cut at once and get the same. Raises CatalogueEmpty, CatalogueUnreachable, CatalogueBusy, SnapshotCorrupt where
    the frozen test set is lost for good, SnapshotStoreUnusable, and ValueError for a period before the first, or one
    that is not over.
    """
    rows, clock = rows_of(settings, use_case), clock_for(settings, use_case)
    number = clock.due(as_of) if week is None else week
    as_of = clock.as_of(number, as_of)
    share = rows.share(number)
    engine = open_catalogue(settings.database_url)
    with transaction(engine) as connection:
        entries = ledger.read_entries(connection, use_case, number)
        if (standing := ledger.newest(entries, *ledger.STANDING)) and _is_whole(standing):
            return standing
        rows.refuse_empty(connection)
    with transaction(engine) as connection:
        name = ledger.batch_name(use_case, number, ledger.next_revision(entries))
        ledger.announce(connection, name, number, share)
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        entries = ledger.read_entries(connection, use_case, number)
        revision = ledger.next_revision(entries)
        if standing := ledger.newest(entries, *ledger.STANDING):
            if _is_whole(standing) or _is_restored(connection, settings, standing):
                return standing
            revision = standing.revision + 1
            ledger.announce(connection, ledger.batch_name(use_case, number, revision), number, share)
        test = _test_beside(connection, settings, use_case, as_of, number, revision)
        dataset = _cut(connection, settings, use_case, as_of, number, revision, test)
        ledger.record_cut(connection, dataset, share)
        return dataset


def find_week(settings: Settings, use_case: str, week: int) -> DatasetRef | None:
    """The week's accepted snapshot; None when there is none. Raises CatalogueUnreachable."""
    with open_catalogue(settings.database_url).connect() as connection:
        return ledger.newest(ledger.read_entries(connection, use_case, week), "accepted")


def newest_week(settings: Settings, use_case: str) -> DatasetRef | None:
    """The accepted snapshot of the highest week; None when there is none. Raises CatalogueUnreachable."""
    with open_catalogue(settings.database_url).connect() as connection:
        return ledger.newest(ledger.read_entries(connection, use_case), "accepted")


def last_cut_week(settings: Settings, use_case: str) -> int | None:
    """The highest week that was ever cut, whatever the checks said of it; None when none was.

    Raises CatalogueUnreachable.
    """
    with open_catalogue(settings.database_url).connect() as connection:
        entries = ledger.read_entries(connection, use_case)
    return max((entry.week for entry in entries if entry.dataset is not None), default=None)


def joining_moment(settings: Settings) -> datetime:
    """When products that are loaded now join: with the period after the last that a use case of texts cut.

    The epoch before the first cut: they are of the first stock. The computer's clock is not asked: weeks may be cut
    ahead of it or long after. Raises CatalogueUnreachable.
    """
    of_texts = [each.name for each in use_cases.ALL if isinstance(each.source, Texts)]
    with open_catalogue(settings.database_url).connect() as connection:
        last = {name: ledger.highest_cut(connection, name) for name in of_texts}
    after = [clock_for(settings, name).end(number) for name, number in last.items() if number is not None]
    return max([settings.weeks.epoch, *after])


def _cut(
    connection: Connection,
    settings: Settings,
    use_case: str,
    as_of: datetime,
    week: int,
    revision: int,
    test: FrozenTest,
    names: Mapping[str, str] | None = None,
) -> DatasetRef:
    folder = snapshot_folder(settings, use_case)
    others = ledger.read_entries(connection, use_case)
    before = ledger.newest([entry for entry in others if entry.week < week], "accepted")
    rows = rows_of(settings, use_case).of_week(week, as_of, test.file, before)
    clock = clock_for(settings, use_case)
    with writing(f"{folder}/{clock.noun}={clock.key(week)}", f"r{revision}", rows.schema, names=names) as writer:
        rows.read(connection, writer.write)
    return DatasetRef(
        **writer.ref.model_dump(),
        use_case=use_case,
        week=week,
        as_of=as_of,
        revision=revision,
        train_rows=rows.train_rows,
        arrivals=rows.arrivals,
        classes=len(rows.classes),
        test=test.file,
        test_version=test.version,
        span=rows.span,
    )


def _is_whole(dataset: DatasetRef) -> bool:
    return is_there(dataset) and is_there(dataset.test)


def _is_restored(connection: Connection, settings: Settings, standing: DatasetRef) -> bool:
    """Whether the week, cut once more beside its own test set, is the same file.

    Once another set decides its own may be lost: then the week cannot be made again.
    """
    own, use_case = FrozenTest(standing.test_version, standing.test), standing.use_case
    if use_cases.get(use_case).rolling:
        test = _rolling_test(connection, settings, use_case, standing.as_of, standing.week, standing.revision)
    else:
        deciding = frozen_tests.newest(connection, use_case)
        if deciding and deciding.file.sha256 != own.file.sha256 and not is_there(own.file):
            return False
        test = _restored(connection, settings, use_case, own)
    for names in rows_of(settings, use_case).names_in_files:
        again = _cut(
            connection, settings, use_case, standing.as_of, standing.week, standing.revision, test, names=names
        )
        if (again.sha256, again.test.sha256) == (standing.sha256, standing.test.sha256):
            return True
    return False


def _test_beside(
    connection: Connection, settings: Settings, use_case: str, as_of: datetime, week: int, revision: int
) -> FrozenTest:
    """The test set that a period is cut beside: the one that decides, or its own where it rolls on with the clock."""
    if use_cases.get(use_case).rolling:
        return _rolling_test(connection, settings, use_case, as_of, week, revision)
    return _deciding_test(connection, settings, use_case, as_of)


def _rolling_test(
    connection: Connection, settings: Settings, use_case: str, as_of: datetime, week: int, revision: int
) -> FrozenTest:
    version = frozen_tests.rolling_version(clock_for(settings, use_case), week, revision)
    return FrozenTest(version, _write_test(connection, settings, use_case, as_of, version))


def _deciding_test(connection: Connection, settings: Settings, use_case: str, as_of: datetime) -> FrozenTest:
    """The test set that decides; the first cut freezes the first."""
    if found := frozen_tests.newest(connection, use_case):
        return _restored(connection, settings, use_case, found)
    return FrozenTest(frozen_tests.FIRST, _write_test(connection, settings, use_case, as_of))


def _restored(connection: Connection, settings: Settings, use_case: str, test: FrozenTest) -> FrozenTest:
    """The same set; a first one that is lost is written again, if the catalogue still gives it."""
    if is_there(test.file):
        return test
    if test.version == frozen_tests.FIRST:
        cut = [entry.dataset for entry in ledger.read_entries(connection, use_case) if entry.dataset]
        first = next(each for each in cut if each.test.sha256 == test.file.sha256)
        for names in rows_of(settings, use_case).names_in_files:
            if _write_test(connection, settings, use_case, first.as_of, names=names).sha256 == test.file.sha256:
                return test
    raise SnapshotCorrupt(
        f"the frozen test set {test.file.uri} is lost, and the catalogue has changed since it was cut: restore "
        "the file from a copy; models are compared on it alone"
    )


def _write_test(
    connection: Connection,
    settings: Settings,
    use_case: str,
    as_of: datetime,
    version: str = frozen_tests.FIRST,
    names: Mapping[str, str] | None = None,
) -> FileRef:
    rows = rows_of(settings, use_case)
    folder = f"{snapshot_folder(settings, use_case)}/test"
    with writing(folder, version, rows.test_schema, names=names) as writer:
        rows.read_test(connection, writer.write, as_of)
    return writer.ref
