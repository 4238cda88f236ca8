"""The factory's command line: load products, cut a week, show what is there.

Owns words and exit codes alone; everything else is called.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, func, select

from bridge.plain_text import as_line, as_lines
from factory import shown_series, shown_settings, shown_tables, use_cases
from factory.account import account
from factory.catalogue.corrections import change, merge_class, read_corrections, remove
from factory.catalogue.corrections import relabel as set_label
from factory.catalogue.database import open_catalogue
from factory.catalogue.loading import load
from factory.catalogue.schema import labels, products
from factory.catalogue.schema import sources as sources_table
from factory.contracts import looked_at
from factory.errors import FactoryError, WeekUnknown
from factory.quality.checking import check_week
from factory.records import accepted_leaks, ledger
from factory.records.decisions import read_decisions
from factory.settings import SettingsError, read_settings
from factory.snapshots.cutting import clock_for, cut_week, joining_moment
from factory.snapshots.weeks import week_of
from factory.sources import readers, simulation
from factory.sources.delimited import Dialect
from factory.test_sets import shown_tests
from factory.use_cases import own
from factory.use_cases.sources import Entities

app = typer.Typer(no_args_is_help=True, add_completion=False, help="The data side of the model factory.")
loading = typer.Typer(no_args_is_help=True, help="Append products and labels to the catalogue.")
app.add_typer(loading, name="load")
app.command("settings")(shown_settings.show)
app.command("freeze")(shown_tests.freeze_test_set)

UseCaseOption = Annotated[str, typer.Option("--use-case", help="Whose weeks.", callback=shown_settings.known)]
_PERIOD = typer.Option("--week", "--month", "--day", help="A week's number, a month as 2017-06, a day as 2017-06-12.")
MOST = 10**6
"""More weeks or rows nobody asks for, and a database may not know the number."""
AppendOption = Annotated[bool, typer.Option("--append", help="Add to the products of another source.")]


@app.callback()
def prepare(settings: shown_settings.FileOption = None) -> None:
    """The data side of the model factory."""
    if settings is not None:
        os.environ[own.VARIABLE] = str(settings.absolute())
    use_cases.current()  # a file that cannot be used ends every command, before it does anything


@loading.command("sample")
def load_sample(use_case: UseCaseOption = "products", append: AppendOption = False) -> None:
    """Real data that comes with the installation: for products 5,612 goods descriptions in 21 sections."""
    if isinstance(use_cases.get(use_case).source, Entities):
        shown_tables.load_sample(use_case, append=append)
        return
    _load(readers.read_sample(), "the sample", append=append, stock=not append)


@loading.command("rakuten")
def load_rakuten(folder: Path, append: AppendOption = False) -> None:
    """Rakuten France's X_train*.csv and Y_train*.csv in FOLDER."""
    _load(readers.read_rakuten(folder, typer.echo), "Rakuten", append=append)


@loading.command("file")
def load_file(
    path: Path,
    id_column: Annotated[str, typer.Option("--id", help="Column of the product's id.")],
    text_column: Annotated[str, typer.Option("--text", help="Column of the text.")],
    label_column: Annotated[str, typer.Option("--label", help="Column of the class.")],
    group: Annotated[str | None, typer.Option(help="Column whose equal values stay on one side of the split.")] = None,
    description: Annotated[str | None, typer.Option(help="Column of further text.")] = None,
    columns: Annotated[str | None, typer.Option(help="Names for a CSV without header: a,b,c.")] = None,
    no_header: Annotated[bool, typer.Option("--no-header", help="A CSV without header: c0, c1, …")] = False,
    separator: Annotated[str | None, typer.Option(help="Between fields; guessed of , ; tab and | else.")] = None,
    encoding: Annotated[str | None, typer.Option(help="As Python names it; else by its mark, else UTF-8.")] = None,
    quote: Annotated[str, typer.Option(help="Around fields; empty: a quote is a sign like any other.")] = '"',
    line_breaks: Annotated[
        bool, typer.Option("--line-breaks", help="Quoted fields may hold lines that look like rows.")
    ] = False,
    null: Annotated[
        list[str] | None, typer.Option(help=f"Spelling of a missing value, in place of {', '.join(readers.NULLS[1:])}.")
    ] = None,
    created_at: Annotated[
        str | None, typer.Option(help="Column of the day or moment (ISO 8601) at which a product was created.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Name of the source; else the file's whole path.")] = None,
    append: AppendOption = False,
) -> None:
    """Any delimited text file (CSV, TSV; also gzip, bzip2, xz, zstd or zip) or Parquet file; nothing is repaired."""
    names = tuple(name.strip() for name in columns.split(",")) if columns else None
    mapping = readers.ColumnMapping(
        id_column, text_column, label_column, group, description, names, no_header, created_at
    )
    dialect = Dialect(_sign(separator, "--separator"), encoding, _sign(quote or None, "--quote") or "", line_breaks)
    nulls = readers.NULLS if null is None else tuple(null)
    batches = readers.read_file(path, mapping, dialect, nulls, typer.echo)
    _load(batches, source or str(path.resolve()), append=append, dated=created_at is not None)


@loading.command("table")
def load_table(
    path: Path,
    use_case: Annotated[str, typer.Option("--use-case", help="Whose table.", callback=shown_settings.known)] = "churn",
    id_column: Annotated[str | None, typer.Option("--id", help="Column of the id; else the table's key.")] = None,
    outcome: Annotated[str | None, typer.Option("--outcome", help="Column of the outcome; else the target.")] = None,
    changed_at: Annotated[str | None, typer.Option(help="Column of the moment since which a row holds.")] = None,
    known_at: Annotated[str | None, typer.Option(help="Column of the moment since which its outcome is known.")] = None,
    source: Annotated[str | None, typer.Option(help="Name of the source; else the file's whole path.")] = None,
    append: AppendOption = False,
) -> None:
    """A CSV or Parquet file with the states and outcomes of a use case's entities; found by the columns' names."""
    shown_tables.load(path, use_case, (id_column, outcome, changed_at, known_at), source, append=append)


@loading.command("candles")
def load_candles(
    path: Path,
    symbol: Annotated[str, typer.Option("--symbol", help="What is traded, such as BTC/USDT.")],
    use_case: Annotated[
        str, typer.Option("--use-case", help="Whose series.", callback=shown_settings.known)
    ] = "market",
    source: Annotated[str | None, typer.Option(help="Name of the source; else the file's whole path.")] = None,
    append: AppendOption = False,
) -> None:
    """A CSV or Parquet file of daily candles: timestamp (milliseconds), open, high, low, close, volume."""
    shown_series.load_candles(path, use_case, symbol, source, append=append)


@loading.command("folder")
def load_folder(
    folder: Path,
    use_case: Annotated[str, typer.Option("--use-case", help="Whose tables.", callback=shown_settings.known)],
    append: AppendOption = False,
) -> None:
    """Several files in a layout that the use case knows: for deals the Maven CRM files in FOLDER."""
    shown_tables.load_folder(folder, use_case, append=append)


@loading.command("simulated")
def load_simulated(
    rows: Annotated[int, typer.Option(help="Size of the whole catalogue.")] = simulation.PUBLISHED_ROWS,
    seed: Annotated[int, typer.Option(help="Another seed, other products.")] = 42,
    drift_week: Annotated[int | None, typer.Option(help="From this week on the vocabulary has changed.")] = None,
    drift: Annotated[float, typer.Option(help="Share of the vocabulary that changes then, 0 to 1.")] = 0.5,
    turnover: Annotated[float, typer.Option(help="Share of the vocabulary that changes every week, 0 to 1.")] = 0.0,
    first_week: Annotated[int, typer.Option(help="Leave out what arrives before this week.")] = 1,
    last_week: Annotated[int | None, typer.Option(help="Leave out what arrives after this week.")] = None,
    append: AppendOption = False,
) -> None:
    """Products that are simulated, not real: Rakuten's class counts, French-like texts, drift on demand."""
    plan = read_settings().weeks
    drawn = simulation.Simulation(rows, seed, drift_week, drift, turnover, plan)
    batches = simulation.simulate(drawn, first_week=first_week, last_week=last_week)
    _load(batches, drawn.source, append=append, stock=True)


@app.command()
def cut(
    period: Annotated[str, _PERIOD],
    as_of: Annotated[datetime | None, typer.Option(help="Products created until then; else the week's Monday.")] = None,
    use_case: UseCaseOption = "products",
) -> None:
    """Cut a week's snapshot, or a month's or day's, and check it."""
    settings = read_settings()
    number = _number(use_case, period)
    moment = as_of or clock_for(settings, use_case).as_of(number)
    dataset = check_week(settings, cut_week(settings, use_case, as_of=moment, week=number))
    typer.echo(
        f"{ledger.batch_name(use_case, dataset.week, dataset.revision)} accepted: {dataset.rows:,} rows "
        f"({dataset.train_rows:,} to train on, {dataset.arrivals:,} new), {dataset.classes} classes; "
        f"test set {dataset.test_version} of {dataset.test.rows:,} rows\n{as_line(dataset.uri)}"
    )
    if difference := shown_tests.describe_difference(settings, dataset):
        remedy = "" if use_cases.get(use_case).rolling else " (python -m factory freeze)"
        typer.echo(as_line(f"{difference}{remedy}"))


@app.command()
def collect(
    symbol: Annotated[str | None, typer.Option("--symbol", help="What is traded, such as BTC/USDT.")] = None,
    exchange: Annotated[str | None, typer.Option("--exchange", help="Where, as ccxt names it, such as kraken.")] = None,
    days: Annotated[int, typer.Option(help="How far back, where there is no bar yet.", min=1, max=MOST)] = 1_825,
    use_case: Annotated[
        str, typer.Option("--use-case", help="Whose series.", callback=shown_settings.known)
    ] = "market",
    append: AppendOption = False,
) -> None:
    """Fetch daily candles of an exchange, from the last one that the catalogue has; of all collected before if none."""
    if (symbol is None) != (exchange is None):
        raise typer.BadParameter("give --symbol and --exchange, or neither")
    if symbol and exchange:
        shown_series.collect(use_case, symbol, exchange, days, append=append)
    else:
        shown_series.collect_further(use_case)


@app.command()
def accept(
    period: Annotated[str | None, _PERIOD] = None,
    use_case: UseCaseOption = "products",
    leak: Annotated[
        list[str] | None, typer.Option(help="Name of a training's finding, such as word:crate; may be repeated.")
    ] = None,
    reason: Annotated[str, typer.Option(help="Why the finding is no leak.")] = "",
) -> None:
    """Accept what is meant: a week's findings (--week), or what a training took for leaks (--leak, with a --reason)."""
    settings = read_settings()
    if (period is None) == (not leak):
        raise typer.BadParameter("give --week, or --leak with a --reason")
    if leak:
        use_cases.get(use_case)
        accepted_leaks.accept(open_catalogue(settings.database_url), use_case, leak, reason, account())
        typer.echo(as_line(f"{use_case}: {len(leak)} findings accepted ({', '.join(leak)}); start the training again"))
        return
    number, clock = _number(use_case, period or ""), use_cases.clock_of(use_case)
    with open_catalogue(settings.database_url).connect() as connection:
        dataset = ledger.newest(ledger.read_entries(connection, use_case, number), "cut", "rejected", "accepted")
    if dataset is None:
        command = f"python -m factory cut --{clock.noun} {clock.written(number)}"
        raise WeekUnknown(f"{clock.words(number)} was not cut yet: run `{command}`")
    check_week(settings, dataset, overrule=True)
    typer.echo(f"{ledger.batch_name(use_case, dataset.week, dataset.revision)} accepted")


@app.command()
def leaks(use_case: UseCaseOption = "products") -> None:
    """Findings that were accepted as no leaks, when, by whom and why; the newest first."""
    with open_catalogue(read_settings().database_url).connect() as connection:
        found = accepted_leaks.read_accepted(connection, use_case)
    table = Table("when (UTC)", "finding", "by", "reason", box=None)
    for each in found:
        table.add_row(*_told(f"{each.accepted_at:%Y-%m-%d %H:%M}", each.name, each.accepted_by, each.reason))
    if found:
        Console().print(table)
    else:
        typer.echo(f"no finding of {use_case} was accepted yet")


@app.command()
def show(use_case: UseCaseOption = "products") -> None:
    """What the catalogue holds, and its weeks."""
    source = use_cases.get(use_case).source
    with open_catalogue(read_settings().database_url).connect() as connection:
        held = shown_tables.describe(connection, source) if isinstance(source, Entities) else _products(connection)
        entries = ledger.read_entries(connection, use_case)
        tests = shown_tests.draw_tests(connection, use_case)
    typer.echo(as_line(held))
    if entries:
        Console().print(_weeks(entries))
    if tests:
        Console().print(tests)
    for entry in entries:
        for finding in entry.findings:
            typer.echo(as_line(f"{entry.batch_name}: {finding}"))


@app.command()
def relabel(
    label: Annotated[str, typer.Option("--to", help="The label that they get.")],
    ids: Annotated[list[str] | None, typer.Argument(help="Ids of the products.")] = None,
    old: Annotated[str | None, typer.Option("--from", help="Every product of this label, in place of ids.")] = None,
) -> None:
    """Give products another label, from the next cut on; two classes become one by --from and --to."""
    if bool(ids) == bool(old):
        raise typer.BadParameter("give ids, or --from with the label that they bear")
    engine = open_catalogue(read_settings().database_url)
    by = account()
    label = label.strip()
    changed = merge_class(engine, old, label, by) if old else set_label(engine, ids or [], label, by)
    typer.echo(f"{changed:,} products relabelled {label!r}")


@app.command()
def delete(ids: Annotated[list[str], typer.Argument(help="Ids of the products.")]) -> None:
    """Remove products and their labels, from the next cut on; snapshots that stand keep them."""
    removed = remove(open_catalogue(read_settings().database_url), ids, account())
    typer.echo(f"{removed:,} products deleted")


@app.command()
def update(
    productid: Annotated[str, typer.Argument(help="Id of the product.")],
    text: Annotated[str | None, typer.Option(help="Its text.")] = None,
    description: Annotated[str | None, typer.Option(help="Its further text; empty: none.")] = None,
    group: Annotated[str | None, typer.Option(help="Its group; empty: none.")] = None,
) -> None:
    """Change a product's texts or group, from the next cut on."""
    given = {"designation": text, "description": description, "group_id": group}
    columns = {name: value or None for name, value in given.items() if value is not None}
    if not columns:
        raise typer.BadParameter("name what changes: --text, --description or --group")
    changed = change(open_catalogue(read_settings().database_url), productid, columns, account())
    typer.echo(as_line(f"{productid} changed" if changed else f"{productid} is so already"))


@app.command()
def corrections(last: Annotated[int, typer.Option(help="At most so many.", min=1, max=MOST)] = 20) -> None:
    """What was relabelled, changed or deleted, when and by whom; the newest first."""
    with open_catalogue(read_settings().database_url).connect() as connection:
        found = read_corrections(connection, last)
    table = Table("when (UTC)", "product", "what", "before", "after", "by", box=None)
    for each in found:
        cells = (str(dict(values)) if values else "-" for values in (each.before, each.after))
        row = (f"{each.corrected_at:%Y-%m-%d %H:%M}", each.productid, each.kind, *cells, each.corrected_by)
        table.add_row(*_told(*row))
    if found:
        Console().print(table)
    else:
        typer.echo("nothing was corrected yet")


@app.command()
def decisions(
    use_case: UseCaseOption = "products",
    last: Annotated[int, typer.Option(help="At most so many.", min=1, max=MOST)] = 10,
) -> None:
    """Who became champion when, why, and by whose word; the newest first."""
    with open_catalogue(read_settings().database_url).connect() as connection:
        found = read_decisions(connection, use_case, limit=last)
    table = Table("when (UTC)", "outcome", "rule", "challenger", "champion", "test set", "by", "reason", box=None)
    for each in found:
        result = each.result
        by = " and ".join(filter(None, (result.decided_by, result.approved_by or result.rejected_by)))
        test = looked_at(result.test_version, result.test_looks)
        versions = (f"v{result.challenger_version}", f"v{result.champion_version}" if result.champion_version else "-")
        table.add_row(
            *_told(f"{each.decided_at:%Y-%m-%d %H:%M}", each.outcome, result.rule, *versions, test, by, result.reason)
        )
    if found:
        Console().print(table)
    else:
        typer.echo(f"no decision was taken on {use_case} yet")


def main() -> None:
    """The entry point: a FactoryError or a wrong setting is one message and exit code 1."""
    try:
        app(prog_name="python -m factory")
    except (FactoryError, SettingsError, ValueError) as error:
        typer.echo(as_lines(f"error: {error}"), err=True)
        sys.exit(1)


def _load(
    batches: Iterator[pd.DataFrame], source: str, *, append: bool, stock: bool = False, dated: bool = False
) -> None:
    """`stock` is of the epoch, whenever it is loaded; `dated` batches say themselves since when.

    All others join in the week after the last one that was cut, whole.
    """
    settings = read_settings()
    engine = open_catalogue(settings.database_url)
    epoch = settings.weeks.epoch
    moment = epoch if stock else joining_moment(settings)
    complete = epoch if dated and moment > epoch else None
    loaded = load(engine, batches, source=source, created_at=moment, append=append, stock_until=complete)
    typer.echo(f"{as_line(source)}: {loaded.new:,} products loaded, {loaded.known:,} were there already")
    if loaded.new and moment > epoch and not dated:
        typer.echo(f"the new ones belong to week {week_of(moment, epoch)}, the first after the last one cut")
    if loaded.late:
        typer.echo(
            f"{loaded.late:,} of them were created by {epoch:%Y-%m-%d}, as the first stock was, and come after a cut: "
            f"they belong to week {week_of(moment, epoch)}, whole"
        )
    if dated and loaded.latest and loaded.latest > moment:
        last = week_of(loaded.latest, epoch)
        typer.echo(f"the last of them was created on {loaded.latest:%Y-%m-%d} and belongs to week {last:,}")


def _number(use_case: str, period: str) -> int:
    clock = use_cases.clock_of(use_case)
    try:
        number = clock.parse(period)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=f"--{clock.noun}") from error
    if number > MOST:
        raise typer.BadParameter(f"{number} is not less than or equal to {MOST}", param_hint=f"--{clock.noun}")
    return number


def _products(connection: Connection) -> str:
    rows = connection.scalar(select(func.count()).select_from(products))
    classes = connection.scalar(select(func.count(labels.c.prdtypecode.distinct())))
    names = ", ".join(sorted(connection.scalars(select(sources_table.c.name)))) or "nothing"
    return f"{rows:,} products in {classes} classes, from {names}"


def _sign(given: str | None, option: str) -> str | None:
    """One character, as a shell can say it: a tab is `tab` or \\t."""
    sign = "\t" if given in ("tab", "\\t") else given
    if sign is not None and (len(sign) != 1 or sign in "\r\n"):
        raise typer.BadParameter("one character, or tab", param_hint=option)
    return sign


def _weeks(entries: list[ledger.Entry]) -> Table:
    table = Table("batch", "share", "rows", "train", "new", "classes", "status", box=None)
    for column in table.columns:
        column.no_wrap = True
    for entry in entries:
        dataset = entry.dataset
        counts = [dataset.rows, dataset.train_rows, dataset.arrivals, dataset.classes] if dataset else []
        cells = [f"{count:,}" for count in counts] or ["-"] * 4
        table.add_row(*_told(entry.batch_name, f"{entry.share:.0%}", *cells, entry.status))
    return table


def _told(*cells: str) -> list[Text]:
    """Cells in which nothing is markup or steers the terminal."""
    return [Text(as_line(cell)) for cell in cells]
