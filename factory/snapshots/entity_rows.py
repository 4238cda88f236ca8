"""A week's rows of a table with history: each entity as it was, its outcome as far as it was known, and its side.

Owns what a snapshot of entities holds. Everything follows from what the tables held by the week's moment: a week that
is cut late is the week that would have been cut in time. Knows nothing of files or of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection

from factory.catalogue.entities import is_empty, read_states
from factory.catalogue.histories import CHANGED_AT, OUTCOME, group_keys, group_members
from factory.catalogue.reading import BATCH_ROWS, Take
from factory.contracts import DatasetRef, FileRef, TestSpan
from factory.errors import CatalogueEmpty
from factory.grouping.keys import key_of
from factory.settings import WeekPlan
from factory.snapshots.known_rows import SortedIds
from factory.snapshots.weeks import on_test_side
from factory.use_cases.clock import Clock
from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological, Span

ENTITY_ID, MOMENT, GROUP, SIDE, ARRIVED, TARGET = "entity_id", "moment", "group", "side", "arrived", "target"
"""The columns that every snapshot of entities has; the declared ones stand between."""


def test_schema(source: Entities) -> pa.Schema:
    """The columns of a test set of the source."""
    declared = [(column.name, pa.float64() if column.kind == "number" else pa.string()) for column in source.columns]
    known = [(ENTITY_ID, pa.string()), (MOMENT, pa.timestamp("us", tz="UTC")), (GROUP, pa.int64())]
    return pa.schema([*known, *declared, (TARGET, pa.string())])


def week_schema(source: Entities) -> pa.Schema:
    """The columns of a week of the source."""
    return pa.schema([*test_schema(source), (SIDE, pa.string()), (ARRIVED, pa.bool_())])


@dataclass(frozen=True, slots=True)
class EntityRows:
    """The rows of a use case whose source is a table with history."""

    plan: WeekPlan
    clock: Clock
    source: Entities
    rolling: Chronological | None = None

    @property
    def test_schema(self) -> pa.Schema:
        """The columns of a test set."""
        return test_schema(self.source)

    @property
    def names_in_files(self) -> tuple[Mapping[str, str], ...]:
        """As today, and never otherwise."""
        return ({},)

    def share(self, week: int) -> float:
        """All that was known by then; raises ValueError for a week below 1."""
        self.clock.start(week)
        return 1.0

    def refuse_empty(self, connection: Connection) -> None:
        """Raises CatalogueEmpty where there is nothing to cut."""
        if is_empty(connection, self.source):
            raise CatalogueEmpty(
                f"table {self.source.table!r} holds nothing: load a file (`python -m factory load table FILE`) or the "
                "sample (`python -m factory load sample`), with --use-case"
            )

    def of_week(self, week: int, as_of: datetime, test: FileRef, before: DatasetRef | None) -> WeekOfEntities:
        """Those of the week, beside its test set and the newest accepted week before it."""
        return WeekOfEntities(self, week, as_of, test, before)

    def read_test(self, connection: Connection, take: Take, as_of: datetime) -> None:
        """Hand over the rows of the test set of that moment: those on the test side that could be learned.

        Raises CatalogueEmpty where a test set that rolls on has none.
        """
        rows = self.known_at(connection, as_of)
        inside = self.on_test_side(rows, as_of) & self.can_be_learned(rows)
        if self.rolling and not inside.any():
            span, table = self.span(self.rolling, as_of), self.source.outcomes
            remedy = f"load the outcomes into table {table!r}" if table else f"load newer rows of {self.source.table!r}"
            raise CatalogueEmpty(
                f"no outcome of {self.clock.words(span.first)} to {self.clock.words(span.last)} is known, which the "
                f"test set is made of: {remedy}, and cut again"
            )
        _hand_over(rows[inside], self.test_schema, take)

    def span(self, rolling: Chronological, as_of: datetime) -> Span:
        """The periods of a test set that rolls on; raises CatalogueEmpty where too few are over."""
        try:
            return rolling.span(self.clock.over(as_of))
        except ValueError as error:
            raise CatalogueEmpty(
                f"as of {as_of:%Y-%m-%d} {error} ({self.clock.nouns} from {self.clock.words(1)} on): cut a later one"
            ) from error

    def known_at(self, connection: Connection, as_of: datetime) -> pd.DataFrame:
        """Every entity as it was known, with the columns of a test set, by id."""
        found = read_states(connection, self.source, as_of, self.clock)
        names = {self.source.key: ENTITY_ID, CHANGED_AT: MOMENT, OUTCOME: TARGET}
        rows = found.rename(columns=names)
        return rows.assign(**{GROUP: group_keys(rows, self.source)})

    def can_be_learned(self, rows: pd.DataFrame) -> pd.Series:
        """Which rows have their outcome by now; all where the source has no outcomes."""
        return rows[TARGET].notna() if self.source.has_outcomes else pd.Series(data=True, index=rows.index)

    def on_test_side(self, rows: pd.DataFrame, as_of: datetime) -> pd.Series:
        """Which rows a test set of that moment may hold: the groups of a share for good, or the newest periods."""
        if self.rolling:
            span, moments = self.span(self.rolling, as_of), rows[MOMENT]
            return (moments >= self.clock.start(span.first)) & (moments < self.clock.end(span.last))
        return self._members_on_test_side(rows).groupby(level=0).all()

    def trainable(self, rows: pd.DataFrame, as_of: datetime) -> pd.Series:
        """Which rows may be trained on, if their outcome is known: those off the test side and of no embargo."""
        if self.rolling:
            return rows[MOMENT] < self.clock.end(self.span(self.rolling, as_of).trainable)
        return ~self._members_on_test_side(rows).groupby(level=0).any()

    def _members_on_test_side(self, rows: pd.DataFrame) -> pd.Series:
        """Which side each member of a row's group stands on, under the row's label."""
        members = pd.Series(group_members(rows, self.source), index=rows.index, dtype=object).explode()
        keys = np.array([key_of(name) for name in members], dtype=np.int64)
        side = on_test_side(keys, seed=self.plan.seed, test_share=self.plan.test_share)
        return pd.Series(side, index=members.index)


@dataclass(slots=True)
class WeekOfEntities:
    """The rows of a week on their way to the file, counted while they pass."""

    of: EntityRows
    week: int
    as_of: datetime
    test: FileRef
    before: DatasetRef | None
    rows: int = 0
    train_rows: int = 0
    arrivals: int = 0
    classes: set[str] = field(default_factory=set)
    span: TestSpan | None = None

    @property
    def schema(self) -> pa.Schema:
        """The columns of the week."""
        return week_schema(self.of.source)

    def read(self, connection: Connection, take: Take) -> None:
        """Hand over the rows, by id; raises CatalogueEmpty where there are none."""
        rows = self.of.known_at(connection, self.as_of)
        if rows.empty:
            raise CatalogueEmpty(
                f"no row of table {self.of.source.table!r} is as old as {self.of.clock.words(self.week)}, as of "
                f"{self.as_of:%Y-%m-%d %H:%M} UTC: look at `python -m factory show`, or cut as of a later moment"
            )
        ids = pa.array(rows[ENTITY_ID], pa.string())
        with closing(SortedIds(self.test)) as tested, closing(SortedIds(self.before)) as known:
            in_test, there = tested.among(ids), known.among(ids)
        known = (self.of.trainable(rows, self.as_of) & self.of.can_be_learned(rows)).to_numpy()
        sides = np.select([in_test, known], ["test", "train"], default="held_out")
        self.rows, self.train_rows = len(rows), int((sides == "train").sum())
        self.arrivals = int((~there).sum())
        self.classes = set(rows[TARGET].dropna())
        if self.of.rolling:
            span, last = self.of.span(self.of.rolling, self.as_of), rows.loc[sides == "train", MOMENT].max()
            trained_until = 0 if pd.isna(last) else self.of.clock.number(last)
            self.span = TestSpan(first=span.first, last=span.last, trained_until=trained_until)
        _hand_over(rows.assign(**{SIDE: sides, ARRIVED: ~there}), self.schema, take)


def _hand_over(rows: pd.DataFrame, schema: pa.Schema, take: Take) -> None:
    for start in range(0, len(rows), BATCH_ROWS):
        part = rows.iloc[start : start + BATCH_ROWS]
        columns = [_array(part[field.name], field.type) for field in schema]
        take(pa.RecordBatch.from_arrays(columns, schema=schema))


def _array(values: pd.Series, kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):  # as numbers: where PYARROW_IGNORE_TIMEZONE is set Arrow drops a zone
        return pa.array(values.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]"), kind)
    return pa.array(values.to_numpy(), kind, from_pandas=True)
