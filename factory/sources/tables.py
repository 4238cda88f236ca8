"""Readers of tables of entities: any CSV or Parquet file, or the sample that a source declares.

Gives the states and the outcomes of a use case's source, every value as its column declares it. Columns are found by
their names, whatever their case and underscores. Knows nothing of the catalogue.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pandas as pd

from factory.catalogue.entities import KNOWN_AT
from factory.catalogue.histories import CHANGED_AT, OUTCOME
from factory.errors import SourceUnreadable
from factory.settings import WeekPlan
from factory.snapshots.weeks import arrival_week, start_of
from factory.sources.delimited import Dialect, read_delimited
from factory.sources.moments import MomentColumn
from factory.sources.readers import BATCH_ROWS, NULLS, parquet_chunks
from factory.use_cases.columns import NO, YES, Column
from factory.use_cases.sources import Entities

_TRUE, _FALSE = {"yes", "y", "true", "t", "1", "1.0"}, {"no", "n", "false", "f", "0", "0.0"}
_NULLS = frozenset(spelling.casefold() for spelling in NULLS)


@dataclass(frozen=True, slots=True)
class TableMapping:
    """Which of a file's columns are the key and, where there are any, the outcome and the moments of both."""

    key: str
    outcome: str | None
    changed_at: str | None = None
    known_at: str | None = None
    numbers: bool = False
    """Whether outcomes are numbers: a 1 is no `yes` then."""

    def columns(self) -> list[str]:
        """Those that are named."""
        return [name for name in (self.key, self.outcome, self.changed_at, self.known_at) if name]


@dataclass(frozen=True, slots=True)
class Rows:
    """States and outcomes as the catalogue takes them; moments are missing where the source has none."""

    states: pd.DataFrame
    outcomes: pd.DataFrame
    lookups: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """States of the tables in which columns are looked up, by their names."""


def read_table(path: Path, source: Entities, mapping: TableMapping, told: Callable[[str], None]) -> Rows:
    """The rows of a delimited text file (plain or compressed) or of a Parquet file; raises SourceUnreadable."""
    if not path.is_file():
        raise SourceUnreadable(f"{path}: there is no such file")
    if path.suffix.lower() in (".parquet", ".pq"):
        chunks: Iterable[pd.DataFrame] = parquet_chunks(path, None)
    else:
        chunks = read_delimited(path, Dialect(), BATCH_ROWS, [mapping.key], told=told)
    return _rows(pd.concat(list(chunks)), source, mapping, str(path), told)


def read_sample(source: Entities, outcome: str | None, told: Callable[[str], None], *, numbers: bool = False) -> Rows:
    """The rows that the source declares to begin with; raises SourceUnreadable where it declares none."""
    sample = source.sample
    if sample is None:
        raise SourceUnreadable(f"{source.table!r} has no sample: load a file (python -m factory load table)")
    frame: pd.DataFrame | Rows = import_module(sample.module).read(sample.name)
    if isinstance(frame, Rows):
        return frame
    mapping = TableMapping(sample.key or source.key, outcome, numbers=numbers)
    return _rows(frame, source, mapping, sample.origin, told)


def read_folder(folder: Path, source: Entities, told: Callable[[str], None]) -> Rows:
    """The files of a folder in the layout that the source's own module reads; raises SourceUnreadable."""
    if not source.folder:
        raise SourceUnreadable(
            f"{source.table!r} has no layout of several files: load one (python -m factory load table)"
        )
    if not folder.is_dir():
        raise SourceUnreadable(f"{folder}: there is no such folder")
    read: Rows = import_module(source.folder).read_folder(folder, told)
    return read


def dated(rows: Rows, source: Entities, plan: WeekPlan, joining: datetime | None) -> Rows:
    """The rows with moments where the source has none: when each entity joined, and since when its outcome is known.

    The first stock and its outcomes are known by the epoch; who joins later does so in a week of its own, and the
    outcome follows after the label's delay. With `joining`, a moment after the first cut, all join then.
    """
    delay, epoch = timedelta(days=source.label_delay_days), plan.epoch.astimezone(UTC)
    terms = {"first_share": source.arrivals.first_share, "weekly_share": source.arrivals.weekly_share}
    paced = plan.model_copy(update=terms)

    def joined(name: str) -> datetime:
        if joining is not None:
            return joining
        week = arrival_week(name, paced)
        return start_of(week, epoch) if week > 1 else epoch - delay

    keys = rows.states[source.key]
    moments = dict(zip(keys, (joined(name) for name in keys), strict=True))
    states, outcomes = rows.states, rows.outcomes
    if CHANGED_AT not in states:
        states = states.assign(**{CHANGED_AT: keys.map(moments)})
    if KNOWN_AT not in outcomes:
        since = states.drop_duplicates(source.key, keep="last").set_index(source.key)[CHANGED_AT]
        outcomes = outcomes.assign(**{KNOWN_AT: outcomes[source.key].map(since) + delay})
    return Rows(states, outcomes, rows.lookups)


def _rows(
    frame: pd.DataFrame, source: Entities, mapping: TableMapping, origin: str, told: Callable[[str], None]
) -> Rows:
    mapping = _found(mapping, frame)
    if missing := [name for name in mapping.columns() if name not in frame.columns]:
        raise SourceUnreadable(
            f"{origin} has no column {', '.join(map(repr, missing))}; there are: {', '.join(map(str, frame.columns))}"
        )
    frame = frame.map(missing_as_none)
    keys = frame[mapping.key]
    if keys.isna().any():
        place = frame.index[keys.isna()][0]
        raise SourceUnreadable(f"{origin}: {int(keys.isna().sum())} rows without {mapping.key}, the first is {place}")
    if source.first_counts:
        frame = _once(frame, mapping.key, told)
        keys = frame[mapping.key]
    found = _columns_of(frame, source, mapping)
    states = pd.DataFrame({source.key: keys.map(str.strip)})
    for column, name in found.items():
        states[column.name] = typed(column, frame[name], origin)
    if mapping.changed_at:
        states[CHANGED_AT] = (
            MomentColumn(origin, mapping.changed_at, "row").read(frame[mapping.changed_at], frame.index).to_numpy()
        )
    outcomes = _outcomes(frame, states[source.key], mapping)
    if mapping.known_at:
        known = frame[mapping.outcome].notna()
        outcomes[KNOWN_AT] = (
            MomentColumn(origin, mapping.known_at, "row")
            .read(frame.loc[known, mapping.known_at], frame.index[known])
            .to_numpy()
        )
    _tell(source, frame, mapping, found.values(), told)
    return Rows(states.reset_index(drop=True), outcomes.drop_duplicates().reset_index(drop=True))


def _once(frame: pd.DataFrame, key: str, told: Callable[[str], None]) -> pd.DataFrame:
    """The first row of each entity."""
    again = frame[key].map(str.strip).duplicated()
    if again.any():
        told(f"named again, and left out but for the first row of each: {int(again.sum()):,} rows")
    return frame[~again]


def _columns_of(frame: pd.DataFrame, source: Entities, mapping: TableMapping) -> dict[Column, str]:
    """The declared columns that the file has, with its own name of each: the column's before its other ones."""
    by_name = {_plain(name): str(name) for name in frame.columns if name not in mapping.columns()}
    named = {column: [_plain(name) for name in (column.name, *column.also)] for column in source.stored}
    return {
        column: next(by_name[name] for name in names if name in by_name)
        for column, names in named.items()
        if any(name in by_name for name in names)
    }


def _outcomes(frame: pd.DataFrame, keys: pd.Series, mapping: TableMapping) -> pd.DataFrame:
    """The outcomes that are given, as texts; none where the source has none."""
    given = frame[mapping.outcome] if mapping.outcome else pd.Series(None, index=frame.index, dtype=object)
    read = given.map(_stripped if mapping.numbers else _flag)
    return pd.DataFrame({keys.name: keys, OUTCOME: read})[given.notna()]


def _found(mapping: TableMapping, frame: pd.DataFrame) -> TableMapping:
    """The mapping with the file's own spelling of the names."""
    spelled = {_plain(name): str(name) for name in frame.columns}
    fields = ("key", "outcome", "changed_at", "known_at")
    named = {field: name for field in fields if (name := getattr(mapping, field))}
    return replace(mapping, **{field: spelled.get(_plain(name), name) for field, name in named.items()})


def _tell(
    source: Entities,
    frame: pd.DataFrame,
    mapping: TableMapping,
    taken: Collection[str],
    told: Callable[[str], None],
) -> None:
    left = [name for name in frame.columns if name not in taken and name not in mapping.columns()]
    told(f"{len(taken)} of the {len(source.stored)} declared columns are there")
    if left:
        told(f"not declared, and left out: {', '.join(str(name) or 'a column without a name' for name in left)}")
    for name in taken:
        if missing := int(frame[name].isna().sum()):
            told(f"missing in {name}: {missing:,}")


def typed(column: Column, values: pd.Series, origin: str) -> pd.Series:
    """The values as the column declares them; raises SourceUnreadable naming the first that is no number."""
    if column.kind == "number":
        numbers = pd.to_numeric(values, errors="coerce")
        if (wrong := numbers.isna() & values.notna()).any():
            raise SourceUnreadable(
                f"{origin}: {int(wrong.sum())} values of {column.name} are no numbers, the first is "
                f"{values[wrong].iloc[0]!r} in row {values.index[wrong][0]}: mend or empty them"
            )
        return numbers.astype(float)
    return values.map(_flag if column.kind == "flag" else _stripped)


def missing_as_none(value: object) -> object:
    """The value as text; None for the usual spellings of a missing one."""
    if value is None or (isinstance(value, str) and value.strip().casefold() in _NULLS):
        return None
    return value if isinstance(value, str) else str(value)


def _stripped(value: object) -> str | None:
    return None if pd.isna(value) else str(value).strip()


def _flag(value: object) -> str | None:
    """`yes` and `no` for every usual spelling; another one stays as it is, for the checks to name."""
    if (written := _stripped(value)) is None:
        return None
    spelled = written.casefold()
    return YES if spelled in _TRUE else NO if spelled in _FALSE else written


def _plain(name: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())
