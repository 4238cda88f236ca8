"""`python -m factory load candles`, and a series' sample: what is loaded, in words.

Owns words alone; candles are read by `factory.series.files` and made fit by `factory.series.bars`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pandas as pd
import typer

from bridge.plain_text import as_line
from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.errors import SourceUnreadable
from factory.series import collecting
from factory.series.bars import read_bars
from factory.series.exchange import connect
from factory.series.files import read_candles
from factory.series.measures import SYMBOL
from factory.settings import read_settings
from factory.use_cases.sources import Series


def load_candles(path: Path, use_case: str, symbol: str, origin: str | None, *, append: bool) -> None:
    """Load a file's candles of one symbol."""
    source = series_of(use_case)
    _append(source, read_candles(path, _say), symbol, origin or str(path.resolve()), append=append)


def load_sample(use_case: str, *, append: bool) -> None:
    """Load the data set that the use case declares."""
    source, sample = series_of(use_case), series_of(use_case).sample
    if sample is None:
        raise SourceUnreadable(f"{source.table!r} has no sample: load candles (python -m factory load candles)")
    for symbol, candles in import_module(sample.module).read(sample.name).groupby(SYMBOL):
        _append(source, candles, symbol, sample.origin, append=append)


def collect(use_case: str, symbol: str, exchange: str, days: int, *, append: bool) -> None:
    """Fetch a market's candles of an exchange."""
    source, engine = series_of(use_case), open_catalogue(read_settings().database_url)
    asked = connect(exchange, _say)
    found = collecting.collect(
        engine, source, asked, symbol, days=days, now=datetime.now(UTC), tell=_say, append=append
    )
    last = "none" if found.last is None else f"{found.last:%Y-%m-%d}"
    _say(f"{exchange} {symbol}: {found.new:,} new bars in {source.table!r}, the last one of {last}")


def series_of(use_case: str) -> Series:
    """The use case's series; raises SourceUnreadable where it is made of something else."""
    source = use_cases.get(use_case).source
    if isinstance(source, Series):
        return source
    raise SourceUnreadable(f"{use_case} is no series of bars: name one that is with --use-case")


def _append(source: Series, candles: pd.DataFrame, symbol: str, origin: str, *, append: bool) -> None:
    bars = read_bars(candles, source, symbol, origin, now=datetime.now(UTC))
    engine = open_catalogue(read_settings().database_url)
    loaded = load_entities(engine, source, bars.states, pd.DataFrame(), origin=origin, append=append)
    for remark in bars.remarks:
        _say(f"{symbol}: {remark}")
    _say(f"{origin}: {loaded.new:,} bars of {symbol} loaded into {source.table!r}, {loaded.known:,} were there already")


def _say(line: str) -> None:
    typer.echo(as_line(line))
