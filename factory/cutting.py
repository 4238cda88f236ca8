"""Cutting a week: the catalogue's rows of a week as one snapshot, with the split and the frozen test set.

Owns what a snapshot holds and in which order things are written, so that a crash between any two steps is healed by
the next call. Knows nothing of checks, models or schedulers.

The order is: announce the week (running), take the catalogue's lock, publish the test set if none stands, publish the
week, record it (cut). Files bear their checksum in their names, so an interrupted cut leaves at most a file that
nothing refers to; what `data_loads` calls cut is complete.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any

import pyarrow as pa
from sqlalchemy import Connection, select

from factory import ledger, use_cases
from factory.catalogue import exclusive, labels, open_catalogue, products
from factory.contracts import DatasetRef, FileRef
from factory.errors import CatalogueEmpty
from factory.loading import CATALOGUE_LOCK
from factory.settings import Settings, WeekPlan
from factory.snapshots import read_frame, write_rows
from factory.text import group_of, product_text
from factory.weeks import aware, share_of, side_of, threshold, week_of

TEST_VERSION = "v1"
FETCH_ROWS = 5_000

_TEXTS = [("productid", pa.string()), ("designation", pa.string()), ("description", pa.string())]
TEST_SCHEMA = pa.schema([*_TEXTS, ("prdtypecode", pa.string()), ("group", pa.string())])
WEEK_SCHEMA = pa.schema(
    [
        *_TEXTS,
        ("imageid", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("prdtypecode", pa.string()),
        ("group", pa.string()),
        ("side", pa.string()),
        ("arrived", pa.bool_()),
    ]
)


def cut_week(settings: Settings, use_case: str, *, as_of: datetime, week: int | None = None) -> DatasetRef:
    """The week's snapshot: of `week`, else of the week into which `as_of` falls; `created_at` is at most `as_of`.

    A week that stands (cut or accepted) is given as it is; a rejected one is cut again as the next revision. Several
    processes may cut at once and get the same. Raises CatalogueEmpty, CatalogueUnreachable, CatalogueBusy,
    SnapshotStoreUnusable, and ValueError for a week before the first.
    """
    use_cases.get(use_case)
    as_of = aware(as_of)
    number = week_of(as_of, settings.weeks.epoch) if week is None else week
    share = threshold(settings.weeks, number)
    engine = open_catalogue(settings.database_url)
    with engine.begin() as connection:
        entries = ledger.read_entries(connection, use_case, number)
        if standing := ledger.newest(entries, *ledger.STANDING):
            return standing
        _refuse_empty(connection)
    with engine.begin() as connection:
        name = ledger.batch_name(use_case, number, ledger.next_revision(entries))
        ledger.announce(connection, name, number, share)
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        entries = ledger.read_entries(connection, use_case, number)
        if standing := ledger.newest(entries, *ledger.STANDING):
            return standing
        dataset = _cut(connection, settings, use_case, as_of, number, ledger.next_revision(entries))
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


def _cut(
    connection: Connection, settings: Settings, use_case: str, as_of: datetime, week: int, revision: int
) -> DatasetRef:
    folder = f"{settings.snapshot_uri.rstrip('/')}/{use_case}"
    others = ledger.read_entries(connection, use_case)
    standing = ledger.newest(others, *ledger.STANDING)
    test = standing.test if standing else _write_test(connection, settings.weeks, folder)
    test_version = standing.test_version if standing else TEST_VERSION
    before = ledger.newest([entry for entry in others if entry.week < week], "accepted")
    rows = _WeekRows(settings.weeks, week, as_of, _Frozen.read(test), _ids(before))
    file = write_rows(f"{folder}/week={week:02d}", f"r{revision}", WEEK_SCHEMA, rows.read(connection))
    return DatasetRef(
        **file.model_dump(),
        use_case=use_case,
        week=week,
        as_of=as_of,
        revision=revision,
        train_rows=rows.train_rows,
        arrivals=rows.arrivals,
        classes=len(rows.classes),
        test=test,
        test_version=test_version,
    )


@dataclass(frozen=True, slots=True)
class _Frozen:
    """What a training row must not share with the frozen test set. Texts and groups are kept as digests."""

    ids: frozenset[str]
    groups: frozenset[bytes]
    texts: frozenset[bytes]

    @classmethod
    def read(cls, test: FileRef) -> _Frozen:
        frame = read_frame(test)
        texts = product_text(frame["designation"], frame["description"]).map(group_of)
        return cls(
            ids=frozenset(frame["productid"]),
            groups=frozenset(map(_digest, frame["group"])),
            texts=frozenset(map(_digest, texts)),
        )

    def side(self, row: dict[str, Any], plan: WeekPlan) -> str:
        if row["productid"] in self.ids:
            return "test"
        # Two product groups may share one text, and a plan may change after the test set was frozen.
        touches = _digest(row["group"]) in self.groups or _digest(row["text"]) in self.texts
        if touches or side_of(row["group"], seed=plan.seed, test_share=plan.test_share) == "test":
            return "held_out"
        return "train"


@dataclass(slots=True)
class _WeekRows:
    """The rows of a week on their way to the file, counted while they pass."""

    plan: WeekPlan
    week: int
    as_of: datetime
    frozen: _Frozen
    before: frozenset[str]
    train_rows: int = 0
    arrivals: int = 0
    classes: set[str] = field(default_factory=set)

    def read(self, connection: Connection) -> Iterator[dict[str, Any]]:
        limit = threshold(self.plan, self.week)
        empty = True
        for row in _catalogue_rows(connection):
            if row["created_at"] <= self.as_of and share_of(row["productid"], self.plan.seed) < limit:
                empty = False
                yield self._finished(_grouped(row))
        if empty:
            raise CatalogueEmpty(
                f"no product of the catalogue falls into week {self.week} as of {self.as_of:%Y-%m-%d %H:%M} UTC: "
                "look at `python -m factory show`, or cut as of a later moment"
            )

    def _finished(self, row: dict[str, Any]) -> dict[str, Any]:
        row["side"] = self.frozen.side(row, self.plan)
        row["arrived"] = row["productid"] not in self.before
        self.train_rows += row["side"] == "train"
        self.arrivals += row["arrived"]
        if row["prdtypecode"] is not None:
            self.classes.add(row["prdtypecode"])
        return {name: row[name] for name in WEEK_SCHEMA.names}


def _write_test(connection: Connection, plan: WeekPlan, folder: str) -> FileRef:
    rows = (
        {name: row[name] for name in TEST_SCHEMA.names}
        for row in map(_grouped, _catalogue_rows(connection))
        if side_of(row["group"], seed=plan.seed, test_share=plan.test_share) == "test"
    )
    return write_rows(f"{folder}/test", TEST_VERSION, TEST_SCHEMA, rows)


def _catalogue_rows(connection: Connection) -> Iterator[dict[str, Any]]:
    """Every product with its label, by productid; a batch at a time."""
    query = (
        select(products, labels.c.prdtypecode)
        .select_from(products.outerjoin(labels))
        .order_by(products.c.productid)
        .execution_options(yield_per=FETCH_ROWS)
    )
    for row in connection.execute(query).mappings():
        yield dict(row)


def _grouped(row: dict[str, Any]) -> dict[str, Any]:
    row["text"] = group_of(product_text(row["designation"], row["description"]))
    row["group"] = row["group_id"] or row["text"]
    return row


def _ids(dataset: DatasetRef | None) -> frozenset[str]:
    return frozenset(read_frame(dataset, ["productid"])["productid"]) if dataset else frozenset()


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=12).digest()


def _refuse_empty(connection: Connection) -> None:
    if connection.scalar(select(products.c.productid).limit(1)) is None:
        raise CatalogueEmpty("the catalogue holds no products: run `python -m factory load sample`")
