"""Bars of a day as exchanges give them, made fit for the catalogue: in order, each once, and over.

Pure: candles in, states of a series out. A candle is what ccxt calls one: `timestamp` (milliseconds since 1970, when it
begins, in UTC), open, high, low, close, volume. Knows neither files nor exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from factory.catalogue.histories import CHANGED_AT
from factory.errors import SourceUnreadable
from factory.series.measures import SYMBOL
from factory.use_cases.sources import BARS, Series

TIMESTAMP = "timestamp"
NUMBERS = tuple(column.name for column in BARS if column.kind == "number")
CANDLE = (TIMESTAMP, *NUMBERS)
DAY_MS = 86_400_000
LAST_MS = DAY_MS - 1
"""A bar is known whole at its last millisecond, which is how exchanges name its end, too; it is of that day then."""


@dataclass(frozen=True, slots=True)
class Bars:
    """States of a series as the catalogue takes them, and what was found on the way to them, a line each."""

    states: pd.DataFrame
    remarks: tuple[str, ...]


def read_bars(candles: pd.DataFrame, source: Series, symbol: str, origin: str, *, now: datetime) -> Bars:
    """The candles that are over by `now`, by time, each once.

    Order does not matter, and a candle may come twice; one that is not over yet is left out. Raises SourceUnreadable
    naming a candle that says two things, one of no whole day, and one that no trading can have made.
    """
    rows = _numbers(candles, origin).drop_duplicates().sort_values(TIMESTAMP, kind="stable")
    _refuse(
        rows, rows[TIMESTAMP] % DAY_MS != 0, origin, "begin at another time than midnight in UTC: load bars of a day"
    )
    _refuse(rows, rows[TIMESTAMP].duplicated(keep=False), origin, "say two things of one day: keep the right one")
    over = rows[TIMESTAMP] + LAST_MS < now.timestamp() * 1000
    rows, remarks = rows[over], []
    if running := int((~over).sum()):
        remarks.append(f"{running:,} not over yet, left out")
    _refuse(rows, _impossible(rows), origin, "cannot be: prices are above 0, low is the lowest and high the highest")
    if repeated := len(candles) - len(rows) - running:
        remarks.append(f"{repeated:,} came twice")
    return Bars(_as_states(rows, source, symbol), (*remarks, *_gaps(rows)))


def _numbers(candles: pd.DataFrame, origin: str) -> pd.DataFrame:
    if missing := [name for name in CANDLE if name not in candles.columns]:
        raise SourceUnreadable(f"{origin} lacks {', '.join(missing)}: a candle has {', '.join(CANDLE)}")
    rows = candles[list(CANDLE)].apply(pd.to_numeric, errors="coerce")
    _refuse(candles, ~np.isfinite(rows).all(axis=1), origin, "hold something else than numbers: mend or remove them")
    return rows.astype({TIMESTAMP: "int64"})


def _refuse(rows: pd.DataFrame, wrong: pd.Series, origin: str, said: str) -> None:
    if wrong.any():
        first = ", ".join(f"{name} {value}" for name, value in rows[wrong].iloc[0].items())
        raise SourceUnreadable(f"{origin}: {int(wrong.sum()):,} candles {said}; the first: {first}")


def _impossible(rows: pd.DataFrame) -> pd.Series:
    ends = rows[["open", "close"]]
    outside = (rows["low"] > ends.min(axis=1)) | (rows["high"] < ends.max(axis=1))
    return outside | (rows["low"] <= 0) | (rows["volume"] < 0)


def _as_states(rows: pd.DataFrame, source: Series, symbol: str) -> pd.DataFrame:
    begun = pd.to_datetime(rows[TIMESTAMP], unit="ms", utc=True)
    ended = pd.to_datetime(rows[TIMESTAMP] + LAST_MS, unit="ms", utc=True)
    states = rows[list(NUMBERS)].astype(float).assign(**{SYMBOL: symbol, CHANGED_AT: ended})
    return states.assign(**{source.key: symbol + "@" + begun.dt.strftime("%Y-%m-%d")}).reset_index(drop=True)


def _gaps(rows: pd.DataFrame) -> tuple[str, ...]:
    """How many days between the first and the last have no bar, and the longest row of them; weekends are such, too."""
    days = rows[TIMESTAMP].to_numpy() // DAY_MS
    if len(days) < 2 or not (gaps := np.diff(days) - 1).any():
        return ()
    longest = int(gaps.argmax())
    since = datetime.fromtimestamp(int(days[longest] + 1) * 86_400, UTC)
    found = f"{int(gaps.sum()):,} days without a bar, weekends among them"
    return (f"{found}; the most in a row {gaps[longest]:,}, from {since:%Y-%m-%d} on",)
