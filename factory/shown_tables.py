"""`python -m factory load table`, and what `show` tells of a table of entities.

Owns words alone; reading and loading belong to `factory.sources.arrivals`, the tables to `factory.catalogue.entities`.
"""

from __future__ import annotations

from pathlib import Path

import typer
from sqlalchemy import Connection, func, select

from bridge.plain_text import as_line
from factory import shown_series
from factory.catalogue.entities import is_empty, read_sources, tables_of
from factory.errors import SourceUnreadable
from factory.settings import read_settings
from factory.sources import arrivals
from factory.sources.tables import read_folder
from factory.use_cases.sources import Entities, Series


def load(path: Path, use_case: str, columns: tuple[str | None, ...], origin: str | None, *, append: bool) -> None:
    """Load the file; `columns` are those of id, outcome and both moments, found by their names where they are None."""
    if isinstance(arrivals.source_of(use_case), Series):
        raise SourceUnreadable(f"{use_case} is a series of bars: python -m factory load candles {path} --symbol SYMBOL")
    rows = arrivals.read_file(use_case, path, columns, _say)
    arrivals.load_rows(read_settings(), use_case, rows, origin or str(path.resolve()), _say, append=append)


def load_sample(use_case: str, *, append: bool) -> None:
    """Load the rows that the use case declares to begin with."""
    if isinstance(arrivals.source_of(use_case), Series):
        shown_series.load_sample(use_case, append=append)
        return
    rows, origin = arrivals.read_declared_sample(use_case, _say)
    arrivals.load_rows(read_settings(), use_case, rows, origin, _say, append=append)


def load_folder(folder: Path, use_case: str, *, append: bool) -> None:
    """Load the files of the folder, in the layout that the use case knows."""
    rows = read_folder(folder, arrivals.source_of(use_case), _say)
    arrivals.load_rows(read_settings(), use_case, rows, str(folder.resolve()), _say, append=append)


def describe(connection: Connection, source: Entities) -> str:
    """What the table holds."""
    if is_empty(connection, source):
        return f"table {source.table!r} holds nothing"
    states, outcomes = tables_of(source)
    entities = connection.scalar(select(func.count(states.c[source.key].distinct())))
    names = ", ".join(read_sources(connection, source))
    if outcomes is None:
        return f"{entities:,} entities in table {source.table!r}, from {names}"
    known = connection.scalar(select(func.count(outcomes.c[source.key].distinct())))
    return f"{entities:,} entities in table {source.table!r}, {known:,} with an outcome, from {names}"


def _say(line: str) -> None:
    typer.echo(as_line(line))
