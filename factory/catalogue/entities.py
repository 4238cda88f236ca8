"""Tables with the history of entities: how they stand in the catalogue, how rows come in, how they were at a moment.

Owns the tables that a use case's source declares: one row a state of an entity, one row an outcome. They bear the names
that people know them by; columns that a declaration gained are added. Knows nothing of files or of weeks.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache

import pandas as pd
from sqlalchemy import Column, Connection, Engine, Float, MetaData, Table, Text, inspect, select

from factory.catalogue.database import exclusive
from factory.catalogue.loading import CATALOGUE_LOCK, Loaded, account_of_load
from factory.catalogue.schema import Id, Moment
from factory.errors import CatalogueEmpty, EntityConflict, ForeignProducts, SourceUnreadable
from factory.lineage.steps import Account, step
from factory.series.measures import RISES, SYMBOL, derive
from factory.snapshots.weeks import aware
from factory.use_cases.sources import Entities, Series

CHANGED_AT, KNOWN_AT, OUTCOME, ORIGIN = "changed_at", "known_at", "outcome", "source"
_WRITE_ROWS = 2_000


@lru_cache(maxsize=32)
def tables_of(source: Entities) -> tuple[Table, Table | None]:
    """The table of states and that of outcomes, as the source declares them; None where it declares no outcomes."""
    metadata = MetaData()
    declared = [Column(each.name, Float if each.kind == "number" else Text) for each in source.stored]
    states = Table(
        source.table,
        metadata,
        Column(source.key, Id, primary_key=True),
        Column(CHANGED_AT, Moment, primary_key=True),
        *declared,
        Column(ORIGIN, Text),
    )
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


def all_tables_of(source: Entities) -> tuple[Table, ...]:
    """The same, those that there are."""
    return tuple(table for table in tables_of(source) if table is not None)


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
) -> Loaded:
    """Append states (key, changed_at and declared columns) and outcomes (key, known_at, outcome), all or none.

    What stands already is left as it is and counted. `origin` names where rows come from: a table takes more of its
    own origin, another's only with `append`. Raises ForeignProducts, SourceUnreadable for no rows, and EntityConflict
    where one entity has two states of one moment, or two outcomes.
    """
    if states.empty:
        raise SourceUnreadable(f"{origin} holds no rows")
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        _prepare(connection, source)
        _claim(connection, source, origin, append=append)
        kept, results = tables_of(source)
        new = _append(connection, kept, states.assign(**{ORIGIN: origin}), [source.key, CHANGED_AT])
        if results is not None:
            _append(connection, results, outcomes, [source.key, KNOWN_AT])
    return Loaded(new=new, known=len(states) - new)


def read_states(connection: Connection, source: Entities, as_of: datetime) -> pd.DataFrame:
    """One row an entity, by its id: key, changed_at, the declared columns and `outcome`, as all was known at `as_of`.

    An outcome counts once it is known. An entity that has one is shown as it was `label_delay_days` before that: what
    was written of it later may follow from the outcome. Of a series each bar is shown with what is derived of those
    that were over by then. Raises CatalogueEmpty.
    """
    if is_empty(connection, source):
        raise CatalogueEmpty(
            f"table {source.table!r} holds nothing: load a file (`python -m factory load table`), or the sample"
        )
    if isinstance(source, Series):
        return _by_id(_read_series(connection, source, as_of), source)
    states, outcomes = tables_of(source)
    key, moment = source.key, aware(as_of)
    rows = _frame(connection, states, states.c[CHANGED_AT] <= moment).sort_values([key, CHANGED_AT])
    if outcomes is None:
        return _by_id(rows.drop_duplicates(key, keep="last").assign(**{OUTCOME: None}), source)
    told = _frame(connection, outcomes, outcomes.c[KNOWN_AT] <= moment).sort_values([key, KNOWN_AT])
    told = told.drop_duplicates(key, keep="last").set_index(key)
    judged = told[KNOWN_AT].reindex(rows[key]).set_axis(rows.index) - timedelta(days=source.label_delay_days)
    before = rows[judged.isna() | (rows[CHANGED_AT] <= judged)]
    shown = before.drop_duplicates(key, keep="last").assign(**{OUTCOME: lambda frame: frame[key].map(told[OUTCOME])})
    newer = rows[~rows[key].isin(shown[key])].drop_duplicates(key, keep="last").assign(**{OUTCOME: None})
    return _by_id(pd.concat([shown, newer]) if len(newer) else shown, source)


def read_outcomes(connection: Connection, source: Entities, as_of: datetime | None = None) -> pd.Series:
    """The last outcome of each entity that has one, by its id: of those that were known at `as_of`, else of all."""
    if is_empty(connection, source):
        return pd.Series(dtype=object)
    if isinstance(source, Series):
        told = _read_series(connection, source, as_of).set_index(source.key)[OUTCOME]
        return told[told.notna()]
    _, outcomes = tables_of(source)
    if outcomes is None:
        return pd.Series(dtype=object)
    known = () if as_of is None else (outcomes.c[KNOWN_AT] <= aware(as_of),)
    rows = _frame(connection, outcomes, *known).sort_values([source.key, KNOWN_AT])
    return rows.drop_duplicates(source.key, keep="last").set_index(source.key)[OUTCOME]


def read_keys(connection: Connection, source: Entities) -> set[str]:
    """The ids of all entities."""
    if is_empty(connection, source):
        return set()
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


def _frame(connection: Connection, table: Table, *conditions: object) -> pd.DataFrame:
    result = connection.execute(select(table).where(*conditions))  # type: ignore[arg-type]
    frame = pd.DataFrame(result.all(), columns=list(result.keys()), dtype=object)
    for column in table.columns:
        if isinstance(column.type, Float):
            frame[column.name] = frame[column.name].astype(float)
        elif isinstance(column.type, Moment):
            frame[column.name] = pd.to_datetime(frame[column.name], utc=True)
    return frame


def _prepare(connection: Connection, source: Entities) -> None:
    """The tables, with every column that is declared by now."""
    for table in all_tables_of(source):
        if not inspect(connection).has_table(table.name):
            table.create(connection)
            continue
        there = {column["name"] for column in inspect(connection).get_columns(table.name)}
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
