"""What a bar tells by itself and those before it, and what became of it: the declared columns of a series.

Pure: bars in, numbers out. A row looks back alone, but for "next return" and the outcome, which are known once the next
bar is; whoever changes a bar changes no earlier row. Knows no use case, and no way that bars come in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from factory.use_cases.columns import NO, YES, Derived, Measure
from factory.use_cases.sources import Series

SYMBOL, RISES = "symbol", "rises"


def derive(bars: pd.DataFrame, source: Series) -> pd.DataFrame:
    """The bars (`symbol`, open, high, low, close, volume) with every declared column and `rises`, a row a bar.

    Bars of one symbol follow each other in time. `rises` is "yes" where the next one closes higher, "no" where it does
    not, and None for the last one. Bars whose past is too short for a column are left out.
    """
    parts = [_of_symbol(part, source) for _, part in bars.groupby(SYMBOL, sort=False)]
    return pd.concat(parts) if parts else bars.assign(**{**{each.name: None for each in source.columns}, RISES: None})


def _of_symbol(bars: pd.DataFrame, source: Series) -> pd.DataFrame:
    columns = {each.name: MEASURES[each.measure](bars, each.bars) for each in source.columns}
    ahead = _next_return(bars, 1)
    rises = np.where(ahead > 0, YES, NO).astype(object)
    rises[ahead.isna()] = None
    derived = bars.assign(**columns, **{RISES: rises})
    return derived[_has_past(derived, source.columns)]


def _has_past(derived: pd.DataFrame, columns: tuple[Derived, ...]) -> pd.Series:
    return derived[[each.name for each in columns if each.is_feature]].notna().all(axis=1)


def _return(bars: pd.DataFrame, count: int) -> pd.Series:
    """How much higher the bar closed than the one so many before, as a share."""
    return bars["close"] / bars["close"].shift(count) - 1


def _volatility(bars: pd.DataFrame, count: int) -> pd.Series:
    """The standard deviation of the last so many returns of one bar."""
    return _return(bars, 1).rolling(count).std()


def _trend(bars: pd.DataFrame, count: int) -> pd.Series:
    """How far the close lies above the mean of the last so many, as a share."""
    return bars["close"] / bars["close"].rolling(count).mean() - 1


def _range(bars: pd.DataFrame, count: int) -> pd.Series:
    """The mean distance of the last so many bars' highs and lows, as a share of the close."""
    return ((bars["high"] - bars["low"]) / bars["close"]).rolling(count).mean()


def _place(bars: pd.DataFrame, count: int) -> pd.Series:
    """Where the close lies between the lowest (0) and the highest (1) of so many bars; .5 where both are one."""
    low, high = bars["low"].rolling(count).min(), bars["high"].rolling(count).max()
    return ((bars["close"] - low) / (high - low)).where(high > low, 0.5).where(low.notna())


def _volume(bars: pd.DataFrame, count: int) -> pd.Series:
    """The logarithm of one plus the volume, less its mean over the last so many bars."""
    volume = np.log1p(bars["volume"])
    return volume - volume.rolling(count).mean()


def _next_return(bars: pd.DataFrame, count: int) -> pd.Series:
    """How much higher the bar so many after it closes, as a share; NaN where there is none yet."""
    return bars["close"].shift(-count) / bars["close"] - 1


MEASURES: Mapping[Measure, Callable[[pd.DataFrame, int], pd.Series]] = {
    "return": _return,
    "volatility": _volatility,
    "trend": _trend,
    "range": _range,
    "place": _place,
    "volume": _volume,
    "next return": _next_return,
}
