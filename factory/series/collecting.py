"""Collecting: candles of an exchange into the catalogue, page by page, from the last bar that stands there.

Owns the order of it. Each page is written whole before the next one is asked for, so that whatever ends a collection in
between, the next one goes on where it stopped. What stands is never written again. A cut never collects.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import pandas as pd
from sqlalchemy import Engine, func, select

from factory.catalogue.entities import is_empty, load_entities, tables_of
from factory.catalogue.histories import CHANGED_AT
from factory.series.bars import DAY_MS, TIMESTAMP, read_bars
from factory.series.exchange import PAGE, Exchange
from factory.series.measures import SYMBOL
from factory.snapshots.weeks import aware
from factory.use_cases.sources import Series


@dataclass(frozen=True, slots=True)
class Collected:
    """How many bars are new, and the last one that stands; None where there is none."""

    new: int
    last: datetime | None


def collect(
    engine: Engine,
    source: Series,
    exchange: Exchange,
    symbol: str,
    *,
    days: int,
    now: datetime,
    tell: Callable[[str], None],
    append: bool = False,
) -> Collected:
    """The bars of the last `days` that are over by `now`; where the symbol has some already, those after its last one.

    Raises SourceUnreadable for a market that the exchange lacks or a candle that cannot be, ExchangeAway, and
    ForeignProducts where the table holds another source's bars and `append` is not said.
    """
    exchange.refuse_unknown(symbol)
    known = last_bar(engine, source, symbol)
    today = int(now.timestamp() * 1000) // DAY_MS * DAY_MS
    since = today - days * DAY_MS if known is None else int(known.timestamp() * 1000) // DAY_MS * DAY_MS + DAY_MS
    new, origin = 0, f"{exchange.name} {symbol}"
    while since < today:
        page = exchange.candles(symbol, since)
        page = page[page[TIMESTAMP] >= since]  # some exchanges give older ones as well
        if page.empty:
            since += PAGE * DAY_MS  # nothing was traded for so long
            continue
        bars = read_bars(page, source, symbol, origin, now=now)
        if len(bars.states):
            new += load_entities(engine, source, bars.states, pd.DataFrame(), origin=origin, append=append).new
        for remark in bars.remarks:
            tell(f"{symbol}: {remark}")
        since = int(page[TIMESTAMP].max()) + DAY_MS
    return Collected(new, last_bar(engine, source, symbol))


def last_bar(engine: Engine, source: Series, symbol: str) -> datetime | None:
    """The moment at which the symbol's last bar was over."""
    states, _ = tables_of(source)
    with engine.connect() as connection:
        if is_empty(connection, source):
            return None
        last: datetime | None = connection.scalar(
            select(func.max(states.c[CHANGED_AT])).where(states.c[SYMBOL] == symbol)
        )
    return None if last is None else aware(last)
