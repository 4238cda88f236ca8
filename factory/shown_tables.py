"""`python -m factory load table`, and what `show` tells of a table of entities.

Owns words alone; reading belongs to `factory.sources.tables`, the tables to `factory.catalogue.entities`.
"""

from __future__ import annotations

from pathlib import Path

import typer
from sqlalchemy import Connection, func, select

from bridge.plain_text import as_line
from factory import shown_series, use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import KNOWN_AT, ORIGIN, is_empty, load_entities, tables_of
from factory.catalogue.histories import CHANGED_AT
from factory.errors import SourceUnreadable
from factory.settings import Settings, read_settings
from factory.snapshots.cutting import clock_for, last_cut_week
from factory.sources.tables import Rows, TableMapping, dated, read_folder, read_sample, read_table
from factory.use_cases.sources import Entities, Series
from factory.use_cases.tasks import Regression
from factory.use_cases.use_case import UseCase


def load(path: Path, use_case: str, columns: tuple[str | None, ...], origin: str | None, *, append: bool) -> None:
    """Load the file; `columns` are those of id, outcome and both moments, found by their names where they are None."""
    source, (key, outcome, changed_at, known_at) = _source(use_case), columns
    declared = use_cases.get(use_case)
    if isinstance(source, Series):
        raise SourceUnreadable(f"{use_case} is a series of bars: python -m factory load candles {path} --symbol SYMBOL")
    if not source.outcomes and (outcome or known_at):
        raise SourceUnreadable(f"{use_case} has no outcomes: what it learns stands in the columns, name no others")
    wanted = (outcome or declared.outcome) if source.outcomes else None
    mapping = TableMapping(key or source.key, wanted, changed_at, known_at, numbers=_numbers(declared))
    _append(use_case, read_table(path, source, mapping, _say), origin or str(path.resolve()), append=append)


def load_sample(use_case: str, *, append: bool) -> None:
    """Load the data set that the use case declares."""
    source = _source(use_case)
    if isinstance(source, Series):
        shown_series.load_sample(use_case, append=append)
        return
    declared = use_cases.get(use_case)
    rows = read_sample(source, declared.outcome or None, _say, numbers=_numbers(declared))
    _append(use_case, rows, source.sample.origin if source.sample else use_case, append=append)


def load_folder(folder: Path, use_case: str, *, append: bool) -> None:
    """Load the files of the folder, in the layout that the use case knows."""
    _append(use_case, read_folder(folder, _source(use_case), _say), str(folder.resolve()), append=append)


def _numbers(declared: UseCase) -> bool:
    """Whether outcomes are numbers."""
    learners = (model.task for model in declared.models if model.task.target == declared.outcome)
    return any(isinstance(task, Regression) for task in learners)


def _source(use_case: str) -> Entities:
    source = use_cases.get(use_case).source
    if isinstance(source, Entities):
        return source
    raise SourceUnreadable(f"{use_case} is made of texts: python -m factory load file")


def _append(use_case: str, rows: Rows, name: str, *, append: bool) -> None:
    source, settings = _source(use_case), read_settings()
    rows = _dated(rows, source, settings, use_case)
    engine = open_catalogue(settings.database_url)
    loaded = load_entities(engine, source, rows.states, rows.outcomes, origin=name, append=append, lookups=rows.lookups)
    _say(f"{name}: {loaded.new:,} rows loaded into {source.table!r}, {loaded.known:,} were there already")


def describe(connection: Connection, source: Entities) -> str:
    """What the table holds."""
    if is_empty(connection, source):
        return f"table {source.table!r} holds nothing"
    states, outcomes = tables_of(source)
    entities = connection.scalar(select(func.count(states.c[source.key].distinct())))
    names = ", ".join(sorted(connection.scalars(select(states.c[ORIGIN]).distinct())))
    if outcomes is None:
        return f"{entities:,} entities in table {source.table!r}, from {names}"
    known = connection.scalar(select(func.count(outcomes.c[source.key].distinct())))
    return f"{entities:,} entities in table {source.table!r}, {known:,} with an outcome, from {names}"


def _dated(rows: Rows, source: Entities, settings: Settings, use_case: str) -> Rows:
    if CHANGED_AT in rows.states and (KNOWN_AT in rows.outcomes or not source.outcomes):
        return rows
    clock, last = clock_for(settings, use_case), last_cut_week(settings, use_case)
    joining = None if last is None else clock.end(last)
    if joining is None:
        spread = source.arrivals
        known = f"; an outcome is known {source.label_delay_days} days later" if source.outcomes else ""
        _say(
            f"the source bears no moments: {spread.first_share:.0%} of its rows are the first stock, the others join "
            f"by {spread.weekly_share:.0%} a week{known}"
        )
    else:
        joined = clock.words((last or 0) + 1)
        _say(f"the source bears no moments: new rows join in {joined}, the first after the last one cut")
    return dated(rows, source, settings.weeks, joining)


def _say(line: str) -> None:
    typer.echo(as_line(line))
