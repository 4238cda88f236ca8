"""Bringing a table's rows into the catalogue: with the moments that they lack, from a file or the declared sample.

Owns the way from rows to the use case's table. How a file is read is `factory.sources.tables`', how rows come in
`factory.catalogue.entities`'.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import KNOWN_AT, load_entities
from factory.catalogue.histories import CHANGED_AT
from factory.catalogue.loading import Loaded
from factory.errors import SourceUnreadable
from factory.settings import Settings
from factory.snapshots.cutting import clock_for, last_cut_week
from factory.sources.tables import Rows, TableMapping, dated, read_sample, read_table
from factory.use_cases.sources import Entities
from factory.use_cases.tasks import Regression
from factory.use_cases.use_case import UseCase

Tell = Callable[[str], None]


def read_file(use_case: str, path: Path, columns: tuple[str | None, ...], told: Tell) -> Rows:
    """The rows of a file; `columns` are those of id, outcome and both moments, found by their names where None.

    Raises SourceUnreadable.
    """
    source, declared, (key, outcome, changed_at, known_at) = source_of(use_case), use_cases.get(use_case), columns
    if not source.outcomes and (outcome or known_at):
        raise SourceUnreadable(f"{use_case} has no outcomes: what it learns stands in the columns, name no others")
    wanted = (outcome or declared.outcome) if source.outcomes else None
    mapping = TableMapping(key or source.key, wanted, changed_at, known_at, numbers=_numbers(declared))
    return read_table(path, source, mapping, told)


def read_declared_sample(use_case: str, told: Tell) -> tuple[Rows, str]:
    """The rows that the use case declares to begin with, and where they are from; raises SourceUnreadable."""
    source, declared = source_of(use_case), use_cases.get(use_case)
    rows = read_sample(source, declared.outcome or None, told, numbers=_numbers(declared))
    return rows, source.sample.origin if source.sample else use_case


def load_rows(
    settings: Settings,
    use_case: str,
    rows: Rows,
    origin: str,
    told: Tell,
    *,
    append: bool = False,
    table: str | None = None,
    empty_first: bool = False,
) -> int:
    """Load the rows into the use case's table, and into the other one of that name first where it is named.

    With `empty_first` they take the place of what stood there. Gives how many of the use case's own are new; raises as
    `load_entities`.
    """
    source, engine = source_of(use_case), open_catalogue(settings.database_url)
    complete = _dated(rows, source, settings, use_case, told)
    kept_in = dict.fromkeys([table or source.table, source.table])
    loaded = Loaded(new=0, known=0)
    for name in kept_in:
        loaded = load_entities(
            engine,
            replace(source, table=name),
            complete.states,
            complete.outcomes,
            origin=origin,
            append=append,
            lookups=complete.lookups,
            empty_first=empty_first,
        )
        told(f"{origin}: {loaded.new:,} rows loaded into {name!r}, {loaded.known:,} were there already")
    return loaded.new


def source_of(use_case: str) -> Entities:
    """The table that the use case is made of; raises SourceUnreadable where it is made of texts."""
    source = use_cases.get(use_case).source
    if isinstance(source, Entities):
        return source
    raise SourceUnreadable(f"{use_case} is made of texts: python -m factory load file")


def _numbers(declared: UseCase) -> bool:
    """Whether outcomes are numbers."""
    learners = (model.task for model in declared.models if model.task.target == declared.outcome)
    return any(isinstance(task, Regression) for task in learners)


def _dated(rows: Rows, source: Entities, settings: Settings, use_case: str, told: Tell) -> Rows:
    if CHANGED_AT in rows.states and (KNOWN_AT in rows.outcomes or not source.outcomes):
        return rows
    clock, last = clock_for(settings, use_case), last_cut_week(settings, use_case)
    joining = None if last is None else clock.end(last)
    if joining is None:
        spread = source.arrivals
        known = f"; an outcome is known {source.label_delay_days} days later" if source.outcomes else ""
        told(
            f"the source bears no moments: {spread.first_share:.0%} of its rows are the first stock, the others join "
            f"by {spread.weekly_share:.0%} a week{known}"
        )
    else:
        joined = clock.words((last or 0) + 1)
        told(f"the source bears no moments: new rows join in {joined}, the first after the last one cut")
    return dated(rows, source, settings.weeks, joining)
