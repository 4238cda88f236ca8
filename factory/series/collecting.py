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

from factory.catalogue.entities import ORIGIN, is_empty, load_entities, tables_of
from factory.catalogue.histories import CHANGED_AT
from factory.series.bars import DAY_MS, TIMESTAMP, read_bars
from factory.series.exchange import PAGE, Exchange, connect
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


def collect_further(
    engine: Engine,
    source: Series,
    *,
    now: datetime,
    tell: Callable[[str], None],
    connected: Callable[[str, Callable[[str], None]], Exchange] = connect,
) -> dict[str, int]:
    """The new bars of every market that was collected before, from its last one on: how many, by exchange and symbol.

    Nothing is asked where all bars are of files or samples. Raises as `collect` does.
    """
    return {
        f"{exchange} {symbol}": collect(
            engine, source, connected(exchange, tell), symbol, days=1, now=now, tell=tell, append=True
        ).new
        for exchange, symbol in collected_markets(engine, source)
    }


def collected_markets(engine: Engine, source: Series) -> list[tuple[str, str]]:
    """Exchange and symbol of each market that was collected before."""
    states, _ = tables_of(source)
    with engine.connect() as connection:
        if is_empty(connection, source):
            return []
        rows = connection.execute(select(states.c[ORIGIN], states.c[SYMBOL]).distinct()).all()
    named = [(str(origin).removesuffix(f" {symbol}"), str(symbol), str(origin)) for origin, symbol in rows]
    return sorted((exchange, symbol) for exchange, symbol, origin in named if origin == f"{exchange} {symbol}")


def last_bar(engine: Engine, source: Series, symbol: str | None = None) -> datetime | None:
    """The moment at which the symbol's last bar was over, or the last of all."""
    states, _ = tables_of(source)
    last = select(func.max(states.c[CHANGED_AT]))
    with engine.connect() as connection:
        if is_empty(connection, source):
            return None
        found: datetime | None = connection.scalar(last if symbol is None else last.where(states.c[SYMBOL] == symbol))
    return None if found is None else aware(found)
