"""`python -m factory settings`: what holds for a use case, what would hold without a file, and where it is set.

Owns words alone; what may be set, and the file, belong to `factory.use_cases`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bridge.plain_text import as_line
from factory import use_cases
from factory.use_cases import own

FileOption = Annotated[
    Path | None,
    typer.Option("--settings", help=f"TOML file of own settings for use cases, in place of {own.VARIABLE}."),
]

LONGEST = 60
"""Characters of a value in the table; --json shows it whole."""


def known(use_case: str | None) -> str | None:
    """The name, when there is such a use case; a command is refused for another one."""
    names = [each.name for each in use_cases.ALL]
    if use_case is not None and use_case not in names:
        raise typer.BadParameter(f"there are: {', '.join(names)}", param_hint="--use-case")
    return use_case


def show(
    use_case: Annotated[str | None, typer.Option("--use-case", help="One use case; else all.", callback=known)] = None,
    settings: FileOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Check the file of own settings, and show each value, its default and where it came from."""
    if settings is not None:
        os.environ[own.VARIABLE] = str(settings.absolute())
    names = [each.name for each in use_cases.ALL]
    rows = [row for name in names if use_case in (None, name) for row in _rows(name)]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table("use case", "key", "value", "default", "from", box=None)
    table.columns[1].no_wrap = True
    for row in rows:
        origin = "default" if row["from"] == "default" else "file"
        cells = (row["use_case"], row["key"], _told(row["value"]), _told(row["default"]), origin)
        table.add_row(*(Text(as_line(cell)) for cell in cells))
    typer.echo(as_line(f"own settings: {own.settings_file() or f'none, {own.VARIABLE} names no file'}"))
    Console().print(table)


def _rows(name: str) -> list[dict[str, Any]]:
    defaults = next(own.values(each) for each in use_cases.ALL if each.name == name)
    found, given, path = own.values(use_cases.get(name)), own.keys_set(name), str(own.settings_file())
    return [
        {
            "use_case": name,
            "key": key,
            "value": value,
            "default": defaults[key],
            "from": path if key in given else "default",
        }
        for key, value in found.items()
    ]


def _told(value: object) -> str:
    """The value as the file would say it, no longer than a table can bear."""
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
