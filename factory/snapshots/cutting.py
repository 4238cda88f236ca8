"""Cutting a week: the catalogue's rows of a week as one snapshot, with the split and the frozen test set.

Owns what a snapshot holds and in which order things are written, so that a crash between any two steps is healed by
the next call. Knows nothing of checks, models or schedulers.

The order is: announce the week (running), take the catalogue's lock, publish the test set if none stands, publish the
week, record it (cut). Files bear their checksum in their names, so an interrupted cut leaves at most a file that
nothing refers to; what `data_loads` calls cut is complete.

Rows pass in batches in the order of productid, beside those of the test set and of the week before, which stand in the
same order: memory is bounded by the batch and by 80 bytes for every row of the test set.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from factory import use_cases
from factory.catalogue.database import exclusive, labels, open_catalogue, products, transaction
from factory.catalogue.loading import CATALOGUE_LOCK
from factory.catalogue.reading import Take, read_products
from factory.contracts import DatasetRef, FileRef
from factory.errors import CatalogueEmpty, SnapshotCorrupt
from factory.grouping.joined_groups import JoinedGroups, join_groups
from factory.records import ledger
from factory.settings import Settings, WeekPlan
from factory.snapshots.known_rows import Frozen, SortedIds, frozen_keys
from factory.snapshots.store import is_there, writing
from factory.snapshots.weeks import aware, on_test_side, share_of, start_of, threshold, week_of
from factory.test_sets import frozen_tests
from factory.test_sets.frozen_tests import FrozenTest
from factory.test_sets.held_out import KEYS, TEST_SCHEMA, TEXTS, held_out, shaped, snapshot_folder

SIDES = ("train", "held_out", "test")
_TRAIN, _HELD_OUT, _TEST = range(len(SIDES))

WEEK_SCHEMA = pa.schema(
    [
        *TEXTS,
        ("imageid", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("prdtypecode", pa.string()),
        *KEYS,
        ("side", pa.string()),
        ("arrived", pa.bool_()),
    ]
)


def cut_week(settings: Settings, use_case: str, *, as_of: datetime, week: int | None = None) -> DatasetRef:
    """The week's snapshot: of `week`, else of the week into which `as_of` falls; `created_at` is at most `as_of`.

    A week that stands (cut or accepted) is given as it is. One whose file is lost is cut again: from the same catalogue
    it is the same file; from another one, and where it was rejected, it becomes the next revision. Several processes
    may cut at once and get the same. Raises CatalogueEmpty, CatalogueUnreachable, CatalogueBusy, SnapshotCorrupt where
    the frozen test set is lost for good, SnapshotStoreUnusable, and ValueError for a week before the first.
    """
    use_cases.get(use_case)
    as_of = aware(as_of)
    number = week_of(as_of, settings.weeks.epoch) if week is None else week
    share = threshold(settings.weeks, number)
    engine = open_catalogue(settings.database_url)
    with transaction(engine) as connection:
        entries = ledger.read_entries(connection, use_case, number)
        if (standing := ledger.newest(entries, *ledger.STANDING)) and _is_whole(standing):
            return standing
        _refuse_empty(connection)
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
        test = _deciding_test(connection, settings, use_case)
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
    """When products that are loaded now join: with the week after the last that any use case cut, at its beginning.

    The epoch before the first cut: they are of the first stock. The computer's clock is not asked: weeks may be cut
    ahead of it or long after. Raises CatalogueUnreachable.
    """
    with open_catalogue(settings.database_url).connect() as connection:
        last = ledger.highest_week_cut(connection)
    return start_of(1 if last is None else last + 1, settings.weeks.epoch)


def _cut(
    connection: Connection,
    settings: Settings,
    use_case: str,
    as_of: datetime,
    week: int,
    revision: int,
    test: FrozenTest,
) -> DatasetRef:
    folder = snapshot_folder(settings, use_case)
    others = ledger.read_entries(connection, use_case)
    before = ledger.newest([entry for entry in others if entry.week < week], "accepted")
    rows = _WeekRows(settings.weeks, week, as_of, test.file, before)
    with writing(f"{folder}/week={week:02d}", f"r{revision}", WEEK_SCHEMA) as writer:
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
    )


@dataclass(slots=True)
class _WeekRows:
    """The rows of a week on their way to the file, counted while they pass."""

    plan: WeekPlan
    week: int
    as_of: datetime
    test: FileRef
    before: DatasetRef | None
    rows: int = 0
    train_rows: int = 0
    arrivals: int = 0
    classes: set[str] = field(default_factory=set)
    _lost: frozenset[str] = frozenset()
    """Products whose label was there once and is not now: the checks must see them."""

    def read(self, connection: Connection, take: Take) -> None:
        joined = join_groups(connection, self.as_of)
        frozen = joined.beside(frozen_keys(self.test))
        self._lost = frozenset(connection.scalars(select(labels.c.productid).where(labels.c.prdtypecode.is_(None))))

        def pass_on(batch: pa.RecordBatch) -> None:
            batch = self._of_this_week(batch)
            if batch.num_rows:
                take(self._finished(batch, joined, frozen, tested, known))

        with closing(SortedIds(self.test)) as tested, closing(SortedIds(self.before)) as known:
            read_products(connection, pass_on, self.as_of)
        if not self.rows:
            raise CatalogueEmpty(
                f"no product of the catalogue falls into week {self.week} as of {self.as_of:%Y-%m-%d %H:%M} UTC: "
                "look at `python -m factory show`, or cut as of a later moment"
            )

    def _of_this_week(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The first stock enters by its share, what was created after the epoch whole, in its week."""
        created, limit = batch.column("created_at"), threshold(self.plan, self.week)
        inside = np.array(pc.less(created, start_of(self.week + 1, self.plan.epoch)))
        if limit < 1:  # else the week holds the whole stock, and no share has to be worked out
            stock = np.array(pc.less_equal(created, aware(self.plan.epoch)))
            ids = batch.column("productid").filter(pa.array(stock)).to_pylist()
            inside[stock] = [share_of(name, self.plan.seed) < limit for name in ids]
        return batch if inside.all() else batch.filter(pa.array(inside))

    def _finished(
        self, batch: pa.RecordBatch, joined: JoinedGroups, frozen: Frozen, tested: SortedIds, known: SortedIds
    ) -> pa.RecordBatch:
        ids = batch.column("productid")
        texts, groups = joined.keys(batch)
        held = held_out(texts, groups, frozen, self.plan)
        unlabelled = np.array(batch.column("prdtypecode").is_null())
        if self._lost and unlabelled.any():
            unlabelled &= ~np.array([name in self._lost for name in ids.to_pylist()])
        sides = np.select([tested.among(ids), held | unlabelled], [_TEST, _HELD_OUT], default=_TRAIN)
        arrived = ~known.among(ids)
        self.rows += batch.num_rows
        self.train_rows += int((sides == _TRAIN).sum())
        self.arrivals += int(arrived.sum())
        self.classes.update(name for name in pc.unique(batch.column("prdtypecode")).to_pylist() if name is not None)
        made = {"text_key": texts, "group": groups, "side": pa.array(SIDES).take(pa.array(sides)), "arrived": arrived}
        return shaped(batch, made, WEEK_SCHEMA)


def _is_whole(dataset: DatasetRef) -> bool:
    return is_there(dataset) and is_there(dataset.test)


def _is_restored(connection: Connection, settings: Settings, standing: DatasetRef) -> bool:
    """Whether the week, cut once more beside its own test set, is the same file.

    Once another set decides its own may be lost: then the week cannot be made again.
    """
    own = FrozenTest(standing.test_version, standing.test)
    deciding = frozen_tests.newest(connection, standing.use_case)
    if deciding and deciding.file.sha256 != own.file.sha256 and not is_there(own.file):
        return False
    test = _restored(connection, settings, standing.use_case, own)
    again = _cut(connection, settings, standing.use_case, standing.as_of, standing.week, standing.revision, test)
    return again.sha256 == standing.sha256


def _deciding_test(connection: Connection, settings: Settings, use_case: str) -> FrozenTest:
    """The test set that decides; the first cut freezes the first."""
    if found := frozen_tests.newest(connection, use_case):
        return _restored(connection, settings, use_case, found)
    return FrozenTest(frozen_tests.FIRST, _write_test(connection, settings.weeks, snapshot_folder(settings, use_case)))


def _restored(connection: Connection, settings: Settings, use_case: str, test: FrozenTest) -> FrozenTest:
    """The same set; a first one that is lost is written again, if the catalogue still gives it."""
    if is_there(test.file):
        return test
    if test.version == frozen_tests.FIRST:
        again = _write_test(connection, settings.weeks, snapshot_folder(settings, use_case))
        if again.sha256 == test.file.sha256:
            return test
    raise SnapshotCorrupt(
        f"the frozen test set {test.file.uri} is lost, and the catalogue has changed since it was cut: restore "
        "the file from a copy; models are compared on it alone"
    )


def _write_test(connection: Connection, plan: WeekPlan, folder: str) -> FileRef:
    joined = join_groups(connection)
    with writing(f"{folder}/test", frozen_tests.FIRST, TEST_SCHEMA) as writer:

        def pass_on(batch: pa.RecordBatch) -> None:
            texts, groups = joined.keys(batch)
            inside = on_test_side(groups, seed=plan.seed, test_share=plan.test_share)
            inside &= np.array(batch.column("prdtypecode").is_valid())
            writer.write(shaped(batch, {"text_key": texts, "group": groups}, TEST_SCHEMA).filter(pa.array(inside)))

        read_products(connection, pass_on)
    return writer.ref


def _refuse_empty(connection: Connection) -> None:
    if connection.scalar(select(products.c.productid).limit(1)) is None:
        raise CatalogueEmpty("the catalogue holds no products: run `python -m factory load sample`")
