"""Tables with the history of entities: how they stand in the catalogue, how rows come in, how they were at a moment.

Owns the tables that a use case's source declares: one row a state of an entity, one row an outcome. They bear the names
that people know them by; columns that a declaration gained are added. Knows nothing of files or of weeks.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType

import pandas as pd
from sqlalchemy import Column, ColumnElement, Connection, Engine, Float, MetaData, Table, Text, inspect, select

from factory.catalogue.database import exclusive
from factory.catalogue.histories import (
    CHANGED_AT,
    OUTCOME,
    SHOWN_AT,
    asked_rows,
    counted_off,
    looked_up,
    outcomes_of_periods,
)
from factory.catalogue.loading import CATALOGUE_LOCK, Loaded, account_of_load
from factory.catalogue.schema import Id, Moment
from factory.errors import CatalogueEmpty, EntityConflict, ForeignProducts, SourceUnreadable
from factory.lineage.steps import Account, step
from factory.series.measures import RISES, SYMBOL, derive
from factory.snapshots.weeks import aware
from factory.use_cases.clock import WEEKS, Clock
from factory.use_cases.columns import Column as DeclaredColumn
from factory.use_cases.sources import Entities, Series

KNOWN_AT, ORIGIN = "known_at", "source"
_WRITE_ROWS = 2_000


@lru_cache(maxsize=32)
def tables_of(source: Entities) -> tuple[Table, Table | None]:
    """The table of states and that of outcomes, as the source declares them; None where it declares no outcomes."""
    metadata = MetaData()
    states = _states(metadata, source.table, source.key, source.stored)
    if not source.outcomes:
        return states, None
    outcomes = Table(
        source.outcomes,
        metadata,
        Column(source.key, Id, primary_key=True),
        Column(KNOWN_AT, Moment, primary_key=True),
        Column(OUTCOME, Text, nullable=False),
    )
    return states, outcomes


@lru_cache(maxsize=32)
def lookup_tables_of(source: Entities) -> Mapping[str, Table]:
    """The tables in which the source looks up columns, by their names; states as those of entities."""
    metadata, declared = MetaData(), {column.name: column for column in source.columns}
    return MappingProxyType(
        {
            each.table: _states(metadata, each.table, each.key, tuple(declared[name] for name in each.columns))
            for each in source.lookups
        }
    )


def all_tables_of(source: Entities) -> tuple[Table, ...]:
    """All tables that the source has."""
    own = (table for table in tables_of(source) if table is not None)
    return (*own, *lookup_tables_of(source).values())


def _states(metadata: MetaData, name: str, key: str, columns: tuple[DeclaredColumn, ...]) -> Table:
    return Table(
        name,
        metadata,
        Column(key, Id, primary_key=True),
        Column(CHANGED_AT, Moment, primary_key=True),
        *(Column(each.name, Float if each.kind == "number" else Text) for each in columns),
        Column(ORIGIN, Text),
    )


def is_empty(connection: Connection, source: Entities) -> bool:
    """Whether nothing was ever loaded."""
    states, _ = tables_of(source)
    if not inspect(connection).has_table(states.name):
        return True
    return connection.scalar(select(states.c[source.key]).limit(1)) is None


def _account_of_entities(
    loaded: Loaded | None, engine: Engine, source: Entities, *_: object, origin: str, **__: object
) -> Account:
    return account_of_load(loaded, engine, origin, *all_tables_of(source))


@step(_account_of_entities)
def load_entities(
    engine: Engine,
    source: Entities,
    states: pd.DataFrame,
    outcomes: pd.DataFrame,
    *,
    origin: str,
    append: bool = False,
    lookups: Mapping[str, pd.DataFrame] = MappingProxyType({}),
    empty_first: bool = False,
) -> Loaded:
    """Append states (key, changed_at and declared columns) and outcomes (key, known_at, outcome), all or none.

    With them states of the tables in which columns are looked up, by their names. What stands already is left as it is
    and counted. `origin` names where rows come from: a table takes more of its own origin, another's only with
    `append`. With `empty_first` they take the place of all that stood there; snapshots stay. Raises ForeignProducts,
    SourceUnreadable for no rows, and EntityConflict where one entity has two states of one moment, or two outcomes.
    """
    if states.empty:
        raise SourceUnreadable(f"{origin} holds no rows")
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        _prepare(connection, source)
        if empty_first:
            for table in all_tables_of(source):
                connection.execute(table.delete())
        _claim(connection, source, origin, append=append)
        kept, results = tables_of(source)
        new = _append(connection, kept, states.assign(**{ORIGIN: origin}), [source.key, CHANGED_AT])
        if results is not None:
            _append(connection, results, outcomes, [source.key, KNOWN_AT])
        for lookup in source.lookups:
            if lookup.table in lookups:
                rows, table = lookups[lookup.table], lookup_tables_of(source)[lookup.table]
                _append(connection, table, rows.assign(**{ORIGIN: origin}), [lookup.key, CHANGED_AT])
    return Loaded(new=new, known=len(states) - new)


def read_states(connection: Connection, source: Entities, as_of: datetime, clock: Clock = WEEKS) -> pd.DataFrame:
    """One row an entity, by its id: key, changed_at, the declared columns and `outcome`, as all was known at `as_of`.

    An outcome counts once it is known. An entity that has one is shown as it was `label_delay_days` before that: what
    was written of it later may follow from the outcome. Of a source that is asked every period of the `clock` there is
    a row for each period in which it waited, as it was at its end, which is its changed_at. Of a series each
    bar is shown with what is derived of those that were over by then. Raises CatalogueEmpty.
    """
    if is_empty(connection, source):
        raise CatalogueEmpty(
            f"table {source.table!r} holds nothing: load a file (`python -m factory load table`), or the sample"
        )
    if isinstance(source, Series):
        return _by_id(_read_series(connection, source, as_of), source)
    moment = aware(as_of)
    history = _known_by(connection, tables_of(source)[0], moment)
    if source.asked is not None:
        rows = asked_rows(history, source, clock, moment)
    else:
        rows = _as_judged(history, _told(connection, source, moment), source, moment)
    beside = {name: _known_by(connection, table, moment) for name, table in lookup_tables_of(source).items()}
    shown = counted_off(looked_up(rows, source, beside), source)
    return _by_id(shown.assign(**{CHANGED_AT: shown[SHOWN_AT]}) if source.asked else shown, source)


def read_outcomes(
    connection: Connection, source: Entities, as_of: datetime | None = None, clock: Clock = WEEKS
) -> pd.Series:
    """The last outcome of each entity that has one, by its id: of those that were known at `as_of`, else of all.

    Of a source that is asked every period of the `clock`, that of each row that `read_states` gives.
    """
    if is_empty(connection, source):
        return pd.Series(dtype=object)
    if isinstance(source, Series):
        told = _read_series(connection, source, as_of).set_index(source.key)[OUTCOME]
        return told[told.notna()]
    moment = None if as_of is None else aware(as_of)
    if source.asked is not None:
        history = _known_by(connection, tables_of(source)[0], moment, source.key, CHANGED_AT, source.asked.column)
        return outcomes_of_periods(history, source, clock, moment)
    told = _told(connection, source, moment)
    return pd.Series(dtype=object) if told is None else told[OUTCOME]


def _as_judged(history: pd.DataFrame, told: pd.DataFrame | None, source: Entities, as_of: datetime) -> pd.DataFrame:
    """The state of each entity that its outcome belongs to, where that is known, else its newest one."""
    key, rows = source.key, history.sort_values([source.key, CHANGED_AT])
    newest = rows.drop_duplicates(key, keep="last").assign(
        **{OUTCOME: None, SHOWN_AT: pd.Timestamp(as_of).as_unit("us")}
    )
    if told is None:
        return newest
    judged = told[KNOWN_AT].reindex(rows[key]).set_axis(rows.index) - timedelta(days=source.label_delay_days)
    before = rows[judged.isna() | (rows[CHANGED_AT] <= judged)]
    shown = before.drop_duplicates(key, keep="last")
    shown = shown.assign(
        **{
            OUTCOME: shown[key].map(told[OUTCOME]),
            SHOWN_AT: judged[shown.index].fillna(pd.Timestamp(as_of).as_unit("us")),
        }
    )
    newer = newest[~newest[key].isin(shown[key])]
    return pd.concat([shown, newer]) if len(newer) else shown


def _told(connection: Connection, source: Entities, as_of: datetime | None) -> pd.DataFrame | None:
    """The last outcome of each entity and since when it is known, by its id; None where the source has no table."""
    _, outcomes = tables_of(source)
    if outcomes is None:
        return None
    known = () if as_of is None else (outcomes.c[KNOWN_AT] <= as_of,)
    rows = _frame(connection, outcomes, *known).sort_values([source.key, KNOWN_AT])
    return rows.drop_duplicates(source.key, keep="last").set_index(source.key)


def _known_by(connection: Connection, states: Table, as_of: datetime | None, *columns: str) -> pd.DataFrame:
    """The states that were known at `as_of`, all where it is None; with the named columns, else with every one."""
    known = () if as_of is None else (states.c[CHANGED_AT] <= as_of,)
    return _frame(connection, states, *known, columns=columns)


def read_sources(connection: Connection, source: Entities) -> list[str]:
    """Where the rows come from, each once; nothing where nothing was ever loaded."""
    if is_empty(connection, source):
        return []
    states, _ = tables_of(source)
    return sorted(connection.scalars(select(states.c[ORIGIN]).distinct()))


def read_keys(connection: Connection, source: Entities, clock: Clock = WEEKS) -> set[str]:
    """The ids of all entities; where they are asked every period of the `clock`, of all their rows."""
    if is_empty(connection, source):
        return set()
    if source.asked is not None:
        return set(read_outcomes(connection, source, clock=clock).index)
    states, _ = tables_of(source)
    return set(connection.scalars(select(states.c[source.key]).distinct()))


def _read_series(connection: Connection, source: Series, as_of: datetime | None) -> pd.DataFrame:
    """The bars that were over by then, else all, with what is derived of them and what became of each."""
    states, _ = tables_of(source)
    over = () if as_of is None else (states.c[CHANGED_AT] <= aware(as_of),)
    bars = _frame(connection, states, *over).sort_values([SYMBOL, CHANGED_AT])
    return derive(bars, source).rename(columns={RISES: OUTCOME})


def _by_id(rows: pd.DataFrame, source: Entities) -> pd.DataFrame:
    order = rows[source.key].map(lambda name: name.encode())
    columns = [source.key, CHANGED_AT, *(column.name for column in source.columns), OUTCOME]
    return rows.loc[order.sort_values(kind="stable").index, columns].reset_index(drop=True)


def _frame(
    connection: Connection, table: Table, *conditions: ColumnElement[bool], columns: tuple[str, ...] = ()
) -> pd.DataFrame:
    chosen = [table.c[name] for name in columns] or list(table.columns)
    result = connection.execute(select(*chosen).where(*conditions))
    frame = pd.DataFrame(result.all(), columns=list(result.keys()), dtype=object)
    for column in chosen:
        if isinstance(column.type, Float):
            frame[column.name] = frame[column.name].astype(float)
        elif isinstance(column.type, Moment):
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True).dt.as_unit("us")
    return frame


def _prepare(connection: Connection, source: Entities) -> None:
    """The tables, with every column that is declared by now; raises SourceUnreadable where another holds the name."""
    for table in all_tables_of(source):
        if not inspect(connection).has_table(table.name):
            table.create(connection)
            continue
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
        if not there.issuperset(key := table.primary_key.columns.keys()):
            raise SourceUnreadable(
                f"table {table.name!r} of the catalogue holds something else (it has no {' and '.join(key)}): "
                "name another table"
            )
        for column in table.columns:
            if column.name not in there:
                kind = column.type.compile(connection.dialect)
                quote = connection.dialect.identifier_preparer.quote
                connection.exec_driver_sql(f"ALTER TABLE {quote(table.name)} ADD COLUMN {quote(column.name)} {kind}")


def _claim(connection: Connection, source: Entities, origin: str, *, append: bool) -> None:
    states, _ = tables_of(source)
    others = [name for name in connection.scalars(select(states.c[ORIGIN]).distinct()) if name != origin]
    if others and not append:
        raise ForeignProducts(
            f"table {source.table!r} already holds the rows of {', '.join(map(str, others))}, not of {origin}: set "
            "DATABASE_URL (and SNAPSHOT_URI) to another catalogue, or append to this one with --append"
        )


def _append(connection: Connection, table: Table, frame: pd.DataFrame, keys: list[str]) -> int:
    """The number of rows that were new; raises EntityConflict."""
    names = [column.name for column in table.columns]
    given = frame.reindex(columns=names).astype(object)
    given = given.where(given.notna(), None)
    compared = [name for name in names if name not in (*keys, ORIGIN)]
    there = _frame(connection, table).reindex(columns=names).astype(object)
    both = pd.concat([there.where(there.notna(), None), given], ignore_index=True)
    same = both.drop_duplicates([*keys, *compared])
    if (twice := same.duplicated(keys, keep=False)).any():
        rows = same[twice].sort_values(keys).head(2)
        first, second = rows.to_dict("records")
        column = next(name for name in compared if first[name] != second[name])
        raise EntityConflict(
            f"{int(same.duplicated(keys).sum()):,} rows of {table.name!r} say two things of one moment; nothing was "
            f"loaded. The first: {keys[0]} {first[keys[0]]!r} at {first[keys[1]]:%Y-%m-%d %H:%M} has {column} "
            f"{first[column]!r} and {second[column]!r}. Give the later one its own moment, or mend the file"
        )
    new = same.iloc[len(there) :]
    records = new.to_dict("records")
    for start in range(0, len(records), _WRITE_ROWS):
        connection.execute(table.insert(), records[start : start + _WRITE_ROWS])
    return len(records)
