"""`python -m factory freeze`, and what the other commands tell of frozen test sets.

Owns words alone; freezing, comparing and counting belong to `factory.test_sets.freezing`, `frozen_rows` and
`frozen_tests`.
"""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection

from bridge.plain_text import as_line
from factory import shown_settings, use_cases
from factory.account import account
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.settings import Settings, read_settings
from factory.test_sets import frozen_rows, frozen_tests
from factory.test_sets.freezing import freeze
from factory.test_sets.frozen_tests import FrozenTest


def freeze_test_set(
    use_case: Annotated[
        str, typer.Option("--use-case", help="Whose test set.", callback=shown_settings.known)
    ] = "products",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would hold, and freeze nothing.")] = False,
) -> None:
    """Freeze a new test set of today's rows and labels; every model is judged on it from then on."""
    settings = read_settings()
    made = freeze(settings, use_case, account(), dry_run=dry_run)
    before, difference = made.before.version, made.difference
    does = "decides from now on, for models of before it too" if made.test else "would decide; nothing was frozen"
    lines = [
        f"test set {made.version} of {use_case}: {made.rows:,} rows in {made.classes:,} classes; it {does}",
        f"beside {before}: {made.came:,} rows came in, {made.gone:,} are gone; {difference.sentence()}",
    ]
    if made.refused:
        lines.append(f"{made.refused:,} rows stay out: equal or near to rows that were trained on, or of their groups")
    with open_catalogue(settings.database_url).connect() as connection:
        looks = _count_looks(connection, use_case, made.before)
    lines.append(f"looks at {before} until now: {looks:,}")
    if made.test:
        lines.append(made.test.file.uri)
    for line in lines:
        typer.echo(as_line(line))


def describe_difference(settings: Settings, dataset: DatasetRef) -> str | None:
    """How the rows of the week's test set differ from the catalogue; None where they do not."""
    with open_catalogue(settings.database_url).connect() as connection:
        found = frozen_rows.compare(connection, dataset.use_case, dataset.test_version, dataset.test)
    return found.sentence() if found.count else None


def _count_looks(connection: Connection, use_case: str, test: FrozenTest) -> int:
    """How often a version of any model was measured on the set."""
    models = use_cases.models_of(use_case)
    return sum(frozen_tests.count_looks(connection, model.name, test.file) for model in models)


def draw_tests(connection: Connection, use_case: str) -> Table | None:
    """The test sets with their looks, the one that decides last; None before the first cut."""
    table = Table("test set", "rows", "looks", "frozen (UTC)", "by", box=None)
    for each in frozen_tests.all_known(connection, use_case):
        looks = f"{_count_looks(connection, use_case, each):,}"
        moment = f"{each.frozen_at:%Y-%m-%d %H:%M}" if each.frozen_at else "with the first cut"
        cells = (each.version, f"{each.file.rows:,}", looks, moment, each.frozen_by or "-")
        table.add_row(*(Text(as_line(cell)) for cell in cells))
    return table if table.row_count else None
