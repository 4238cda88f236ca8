"""Real daily bars to begin with: the index that arch ships, 1999 to 2018."""

from __future__ import annotations

from importlib import import_module

import pandas as pd

from factory.series.bars import CANDLE, TIMESTAMP
from factory.series.measures import SYMBOL


def read(name: str) -> pd.DataFrame:
    """The candles of arch's data set of that name (`sp500`, `nasdaq`), its name in capitals for a symbol."""
    frame: pd.DataFrame = import_module(f"arch.data.{name}").load().rename(columns=str.lower)
    begun = pd.DatetimeIndex(frame.index).tz_localize("UTC").as_unit("ms").asi8
    candles = frame.assign(**{TIMESTAMP: begun, SYMBOL: name.upper()})
    return candles[[SYMBOL, *CANDLE]].reset_index(drop=True)
