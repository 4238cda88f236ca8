"""A week's rows of the catalogue's products: which are in it, on which side of the split, and what is kept of them.

Owns what a snapshot of texts holds. Rows pass in batches in the order of productid, beside those of the test set and of
the week before, which stand in the same order: memory is bounded by the batch and by 80 bytes for every row of the test
set. Knows nothing of files, of the ledger or of the order in which things are written.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, select

from factory.catalogue.reading import Take, read_products
from factory.catalogue.schema import labels, products
from factory.contracts import DatasetRef, FileRef, TestSpan
from factory.errors import CatalogueEmpty
from factory.grouping.joined_groups import JoinedGroups, join_groups
from factory.settings import WeekPlan
from factory.snapshots.known_rows import Frozen, SortedIds, frozen_keys
from factory.snapshots.names import OF_TABLES
from factory.snapshots.weeks import aware, on_test_side, share_of, threshold
from factory.test_sets.held_out import KEYS, TEST_SCHEMA, TEXTS, held_out, shaped
from factory.use_cases.clock import Clock

SIDES = ("train", "held_out", "test")
_TRAIN, _HELD_OUT, _TEST = range(len(SIDES))

WEEK_SCHEMA = pa.schema(
    [
        *TEXTS,
        ("imageid", pa.string()),
        ("moment", pa.timestamp("us", tz="UTC")),
        ("target", pa.string()),
        *KEYS,
        ("side", pa.string()),
        ("arrived", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class TextRows:
    """The rows of a use case whose source is the catalogue's products."""

    plan: WeekPlan
    clock: Clock
    test_schema: pa.Schema = TEST_SCHEMA

    @property
    def names_in_files(self) -> tuple[Mapping[str, str], ...]:
        """As today, and those of the tables, which files of earlier versions bear."""
        return ({}, OF_TABLES)

    def share(self, week: int) -> float:
        """The share of the stock (0 to 1) that the week holds; raises ValueError for a week below 1."""
        return threshold(self.plan, week)

    def refuse_empty(self, connection: Connection) -> None:
        """Raises CatalogueEmpty where there is nothing to cut."""
        if connection.scalar(select(products.c.productid).limit(1)) is None:
            raise CatalogueEmpty("the catalogue holds no products: run `python -m factory load sample`")

    def of_week(self, week: int, as_of: datetime, test: FileRef, before: DatasetRef | None) -> WeekOfTexts:
        """Those of the week, beside its test set and the newest accepted week before it."""
        return WeekOfTexts(self.plan, self.clock, week, as_of, test, before)

    def read_test(self, connection: Connection, take: Take, as_of: datetime) -> None:  # noqa: ARG002 - of the whole stock
        """Hand over the rows of the first test set: every labelled product on the test side, whenever it joins."""
        joined = join_groups(connection)

        def pass_on(batch: pa.RecordBatch) -> None:
            texts, groups = joined.keys(batch)
            inside = on_test_side(groups, seed=self.plan.seed, test_share=self.plan.test_share)
            inside &= np.array(batch.column("prdtypecode").is_valid())
            take(shaped(batch, {"text_key": texts, "group": groups}, TEST_SCHEMA).filter(pa.array(inside)))

        read_products(connection, pass_on)


@dataclass(slots=True)
class WeekOfTexts:
    """The rows of a week on their way to the file, counted while they pass."""

    schema = WEEK_SCHEMA

    plan: WeekPlan
    clock: Clock
    week: int
    as_of: datetime
    test: FileRef
    before: DatasetRef | None
    rows: int = 0
    train_rows: int = 0
    arrivals: int = 0
    classes: set[str] = field(default_factory=set)
    span: TestSpan | None = None
    _lost: frozenset[str] = frozenset()
    """Products whose label was there once and is not now: the checks must see them."""

    def read(self, connection: Connection, take: Take) -> None:
        """Hand over the rows, by id; raises CatalogueEmpty where there are none."""
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
                f"no product of the catalogue falls into {self.clock.words(self.week)} as of "
                f"{self.as_of:%Y-%m-%d %H:%M} UTC: look at `python -m factory show`, or cut as of a later moment"
            )

    def _of_this_week(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The first stock enters by its share, what was created after the epoch whole, in its week."""
        created, limit = batch.column("created_at"), threshold(self.plan, self.week)
        inside = np.array(pc.less(created, self.clock.end(self.week)))
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
