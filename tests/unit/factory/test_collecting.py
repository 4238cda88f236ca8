"""Candles by ccxt's own client from an exchange on loopback: what an exchange may do, and a process that is killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import Engine

pytest.importorskip("ccxt", reason="it is installed on the model side")

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities, tables_of
from factory.errors import ExchangeAway, ForeignProducts, SourceUnreadable
from factory.series.bars import read_bars
from factory.series.collecting import Collected, collect, collect_further
from factory.series.exchange import Exchange, connect
from factory.use_cases.market import CANDLES
from tests.live_exchange import DAY_MS, SYMBOL, LoopbackExchange, point_at

NOW = datetime(2020, 1, 2, 9, 30, tzinfo=UTC)
TODAY = int(datetime(2020, 1, 2, tzinfo=UTC).timestamp() * 1000)
CHECKOUT = Path(__file__).resolve().parents[3]


def candles(days: int) -> list[list[float]]:
    """Those of the last days; the last one, today's, is not over."""
    close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, days)))
    return [
        [TODAY - (days - 1 - place) * DAY_MS, value, value * 1.01, value * 0.99, value, 10.0 + place]
        for place, value in enumerate(close.tolist())
    ]


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", threaded=True) as found:
        yield found


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_catalogue(f"sqlite:///{tmp_path / 'catalogue.sqlite'}")


def ask(there: LoopbackExchange, engine: Engine, said: list[str], *, days: int = 1_000) -> Collected:
    exchange = connect("binance", said.append)
    point_at(exchange.client, there.url)
    return collect(engine, CANDLES, exchange, SYMBOL, days=days, now=NOW, tell=said.append)


def stored(engine: Engine) -> pd.DataFrame:
    states, _ = tables_of(CANDLES)
    return pd.read_sql(states.select().order_by(states.c.bar), engine)


def test_pages_in_disorder_with_repetitions_become_bars_in_order_and_today_is_left_for_tomorrow(
    server: HTTPServer, engine: Engine
) -> None:
    rows, said = candles(1_200), []
    pages = [rows[begin : begin + 300] for begin in range(0, 1_200, 300)]
    shuffled = [each for page in pages for each in [page[5], *page[::-1]]]
    there = LoopbackExchange(server, shuffled, page=301)

    found = ask(there, engine, said, days=1_300)

    assert found == Collected(1_199, datetime(2020, 1, 1, 23, 59, 59, 999_000, tzinfo=UTC))
    assert stored(engine)["close"].tolist() == pytest.approx([row[4] for row in rows[:-1]])
    assert f"{SYMBOL}: 1 came twice" in said
    assert f"{SYMBOL}: 1 not over yet, left out" in said


def test_a_second_collection_asks_for_what_is_new_alone(server: HTTPServer, engine: Engine) -> None:
    rows, said = candles(100), []
    there = LoopbackExchange(server, rows[:-3])
    first = ask(there, engine, said, days=200)
    there.candles = rows

    second = ask(there, engine, said)
    third = ask(there, engine, said)

    assert (first.new, second.new, third.new) == (97, 2, 0)
    assert there.asked[-1] == rows[97][0], "from the day after the last bar, and nothing is asked when it is there"


def test_a_gap_that_is_longer_than_a_page_is_stepped_over_and_told(server: HTTPServer, engine: Engine) -> None:
    rows, said = candles(1_900), []
    there = LoopbackExchange(server, [*rows[:100], *rows[1_500:]], windowed=True)

    found = ask(there, engine, said, days=1_900)

    assert found.new == 499
    assert stored(engine)["close"].tolist() == pytest.approx([row[4] for row in [*rows[:100], *rows[1_500:-1]]])


def test_an_exchange_that_is_busy_is_waited_for_as_it_says(server: HTTPServer, engine: Engine) -> None:
    said: list[str] = []
    there = LoopbackExchange(server, candles(50), refusals=2, retry_after="1")
    assert ask(there, engine, said, days=60).new == 49
    assert sum("asked again in 1 s" in line for line in said) == 2


def test_one_that_stays_busy_is_told_with_the_remedy_and_nothing_is_lost(server: HTTPServer, engine: Engine) -> None:
    rows, said = candles(900), []
    there = LoopbackExchange(server, rows[:400])
    ask(there, engine, said, days=900)
    there.candles, there.refusals = rows, 99

    with pytest.raises(ExchangeAway, match=r"binance was asked 6 times.*it goes on where it stopped"):
        ask(there, engine, said)

    assert len(stored(engine)) == 400
    there.refusals = 0
    assert ask(there, engine, said).new == 499


def test_a_collection_that_is_killed_half_way_goes_on_where_it_stopped(
    server: HTTPServer, engine: Engine, tmp_path: Path
) -> None:
    rows, release, said = candles(1_200), Event(), []
    there = LoopbackExchange(server, rows, held=release)
    program = tmp_path / "collecting.py"
    program.write_text(
        "from datetime import UTC, datetime\n"
        "from factory.catalogue.database import open_catalogue\n"
        "from factory.series.collecting import collect\n"
        "from factory.series.exchange import connect\n"
        "from factory.use_cases.market import CANDLES\n"
        "from tests.live_exchange import SYMBOL, point_at\n"
        "exchange = connect('binance', print)\n"
        f"point_at(exchange.client, {there.url!r})\n"
        f"engine = open_catalogue({engine.url.render_as_string(hide_password=False)!r})\n"
        f"now = datetime.fromisoformat({NOW.isoformat()!r})\n"
        "collect(engine, CANDLES, exchange, SYMBOL, days=1_300, now=now, tell=print)\n"
    )
    process = subprocess.Popen([sys.executable, str(program)], cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)})
    try:
        while len(there.asked) < 2:
            assert process.poll() is None, "it ended by itself"
            release.wait(0.05)
    finally:
        process.kill()
        process.wait()
        release.set()

    assert len(stored(engine)) == 500, "the page that was there is kept"
    found = ask(there, engine, said, days=1_300)

    assert found.new == 699
    assert stored(engine)["close"].tolist() == pytest.approx([row[4] for row in rows[:-1]])


def test_what_cannot_be_collected_is_said_at_once(server: HTTPServer, engine: Engine) -> None:
    there = LoopbackExchange(server, candles(5))
    exchange = connect("binance", print)
    point_at(exchange.client, there.url)

    def collected(symbol: str, asked: Exchange = exchange) -> Collected:
        return collect(engine, CANDLES, asked, symbol, days=9, now=NOW, tell=print)

    with pytest.raises(SourceUnreadable, match=r"^binance has no market 'BTC/EUR'; it has BTC/USDT"):
        collected("BTC/EUR")
    with pytest.raises(SourceUnreadable, match=r"^there is no exchange 'binanz'; there are .*binance"):
        connect("binanz", print)
    frame = pd.DataFrame(candles(9), columns=["timestamp", "open", "high", "low", "close", "volume"])
    others = read_bars(frame, CANDLES, "X", "a file", now=NOW).states
    load_entities(engine, CANDLES, others, pd.DataFrame(), origin="a file")
    with pytest.raises(ForeignProducts, match="already holds the rows of a file"):
        collected(SYMBOL)


def test_what_was_collected_once_is_collected_further_and_files_are_left_alone(
    server: HTTPServer, engine: Engine
) -> None:
    rows, said = candles(100), []
    frame = pd.DataFrame(candles(9), columns=["timestamp", "open", "high", "low", "close", "volume"])
    there = LoopbackExchange(server, rows[:-3])

    def connected(name: str, tell: Callable[[str], None]) -> Exchange:
        exchange = connect(name, tell)
        point_at(exchange.client, there.url)
        return exchange

    def further() -> dict[str, int]:
        return collect_further(engine, CANDLES, now=NOW, tell=said.append, connected=connected)

    assert further() == {}
    ask(there, engine, said, days=200)
    others = read_bars(frame, CANDLES, "X", "a file", now=NOW).states
    load_entities(engine, CANDLES, others, pd.DataFrame(), origin="a file", append=True)
    there.candles = rows

    assert further() == {f"binance {SYMBOL}": 2}
    assert further() == {f"binance {SYMBOL}": 0}
