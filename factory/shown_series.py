"""`python -m factory load candles`, `collect` and a series' sample: what is loaded, in words.

Owns words alone; the work is done in `factory.series`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import typer

from bridge.plain_text import as_line
from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.errors import SourceUnreadable
from factory.series import collecting, loading
from factory.series.exchange import connect
from factory.settings import read_settings
from factory.use_cases.sources import Series


def load_candles(path: Path, use_case: str, symbol: str, origin: str | None, *, append: bool) -> None:
    """Load a file's candles of one symbol."""
    source, engine = _series(use_case), open_catalogue(read_settings().database_url)
    now = datetime.now(UTC)
    loading.load_file(engine, source, path, symbol, now=now, tell=_say, origin=origin, append=append)


def load_sample(use_case: str, *, append: bool) -> None:
    """Load the data set that the use case declares."""
    source, engine = _series(use_case), open_catalogue(read_settings().database_url)
    loading.load_sample(engine, source, now=datetime.now(UTC), tell=_say, append=append)


def collect(use_case: str, symbol: str, exchange: str, days: int, *, append: bool) -> None:
    """Fetch a market's candles of an exchange."""
    source, engine = _series(use_case), open_catalogue(read_settings().database_url)
    asked, now = connect(exchange, _say), datetime.now(UTC)
    found = collecting.collect(engine, source, asked, symbol, days=days, now=now, tell=_say, append=append)
    last = "none" if found.last is None else f"{found.last:%Y-%m-%d}"
    _say(f"{exchange} {symbol}: {found.new:,} new bars in {source.table!r}, the last one of {last}")


def collect_further(use_case: str) -> None:
    """Fetch what is new of every market that was collected before."""
    source, engine = _series(use_case), open_catalogue(read_settings().database_url)
    found = collecting.collect_further(engine, source, now=datetime.now(UTC), tell=_say)
    for market, new in found.items():
        _say(f"{market}: {new:,} new bars in {source.table!r}")
    if not found:
        _say(f"no market was collected into {source.table!r} before: name one with --symbol and --exchange")


def _series(use_case: str) -> Series:
    try:
        return use_cases.get(use_case).series
    except TypeError as error:
        raise SourceUnreadable(f"{error}: name a use case that is one with --use-case") from error


def _say(line: str) -> None:
    typer.echo(as_line(line))
