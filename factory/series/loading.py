"""Candles of a file, or of a series' sample, into the catalogue.

Owns the way from one to the other, told line by line. What stands already is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from pathlib import Path

import pandas as pd
from sqlalchemy import Engine

from factory.catalogue.entities import load_entities
from factory.errors import SourceUnreadable
from factory.series.bars import read_bars
from factory.series.files import read_candles
from factory.series.measures import SYMBOL
from factory.use_cases.sources import Series

Tell = Callable[[str], None]


def load_file(
    engine: Engine,
    source: Series,
    path: Path,
    symbol: str,
    *,
    now: datetime,
    tell: Tell,
    origin: str | None = None,
    append: bool = False,
) -> int:
    """Load a file's candles of one symbol that are over by `now`; gives how many bars are new.

    Raises SourceUnreadable, EntityConflict for a bar that stands there otherwise, and ForeignProducts.
    """
    candles = read_candles(path, tell)
    return _load(engine, source, candles, symbol, origin or str(path.resolve()), now=now, tell=tell, append=append)


def load_sample(engine: Engine, source: Series, *, now: datetime, tell: Tell, append: bool = False) -> int:
    """Load the candles that the series declares; gives how many bars are new.

    Raises ForeignProducts, and SourceUnreadable where it declares none.
    """
    if (sample := source.sample) is None:
        raise SourceUnreadable(f"{source.table!r} has no sample: load candles (python -m factory load candles)")
    parts = import_module(sample.module).read(sample.name).groupby(SYMBOL)
    return sum(
        _load(engine, source, candles, symbol, sample.origin, now=now, tell=tell, append=append)
        for symbol, candles in parts
    )


def _load(
    engine: Engine,
    source: Series,
    candles: pd.DataFrame,
    symbol: str,
    origin: str,
    *,
    now: datetime,
    tell: Tell,
    append: bool,
) -> int:
    bars = read_bars(candles, source, symbol, origin, now=now)
    loaded = load_entities(engine, source, bars.states, pd.DataFrame(), origin=origin, append=append)
    for remark in bars.remarks:
        tell(f"{symbol}: {remark}")
    tell(f"{origin}: {loaded.new:,} bars of {symbol} loaded into {source.table!r}, {loaded.known:,} were there already")
    return loaded.new
