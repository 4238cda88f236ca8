"""An exchange as ccxt speaks with it: which markets it has, and a page of a market's daily candles.

Owns how long is waited when an exchange is busy or away, and what its refusals mean. Knows no catalogue. ccxt is large
(68 MB, a second to import) and imported where somebody fetches alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd

from factory.errors import ExchangeAway, SourceUnreadable
from factory.series.bars import CANDLE

if TYPE_CHECKING:
    import ccxt

T = TypeVar("T")

TIMEFRAME = "1d"
PAGE = 500
"""Candles that are asked for at once; some exchanges give fewer."""
WAITS_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each further attempt, where the exchange does not say itself when to come again."""
LONGEST_WAIT_SECONDS = 300.0
TIMEOUT_MS = 20_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """One exchange; `tell` is given a line where it makes us wait."""

    client: ccxt.Exchange
    tell: Callable[[str], None]

    @property
    def name(self) -> str:
        """As ccxt names it."""
        return str(self.client.id)

    def refuse_unknown(self, symbol: str) -> None:
        """Raises SourceUnreadable where the exchange has no such market, or no candles of a day."""
        markets = self._asked(self.client.load_markets)
        if symbol not in markets:
            raise SourceUnreadable(f"{self.name} has no market {symbol!r}; it has {_some(list(markets))}")
        if not self.client.has["fetchOHLCV"] or TIMEFRAME not in (self.client.timeframes or {TIMEFRAME}):
            raise SourceUnreadable(f"{self.name} gives no daily candles: name another exchange")

    def candles(self, symbol: str, since_ms: int) -> pd.DataFrame:
        """A page of candles that begin at `since_ms` or later, as the exchange gives them; columns are CANDLE's.

        Raises ExchangeAway once it was waited for long enough.
        """
        page = self._asked(lambda: self.client.fetch_ohlcv(symbol, TIMEFRAME, since=since_ms, limit=PAGE))
        return pd.DataFrame(page, columns=list(CANDLE))

    def _asked(self, question: Callable[[], T]) -> T:
        import ccxt

        for wait in (*WAITS_SECONDS, None):
            try:
                return question()
            except ccxt.OperationFailed as error:  # busy, or away: rate limits, timeouts, maintenance
                if wait is None:
                    raise ExchangeAway(
                        f"{self.name} was asked {len(WAITS_SECONDS) + 1} times and did not answer ({_words(error)}): "
                        "try again later, it goes on where it stopped"
                    ) from error
                told = self._told_to_wait()
                seconds = wait if told is None else told
                self.tell(f"{self.name}: {_words(error)}; asked again in {seconds:g} s")
                time.sleep(seconds)
            except ccxt.BaseError as error:
                raise SourceUnreadable(f"{self.name} refuses: {_words(error)}") from error
        raise AssertionError("the last attempt answers or raises")

    def _told_to_wait(self) -> float | None:
        """What the last answer's Retry-After says, in seconds."""
        headers: dict[str, Any] = self.client.last_response_headers or {}
        said = {name.lower(): value for name, value in headers.items()}.get("retry-after", "")
        return min(float(said), LONGEST_WAIT_SECONDS) if str(said).isdigit() else None


def connect(name: str, tell: Callable[[str], None]) -> Exchange:
    """The exchange of that name, not spoken with yet; raises SourceUnreadable where ccxt knows none."""
    import ccxt

    if name not in ccxt.exchanges:
        near = [known for known in ccxt.exchanges if known.startswith(name[:2])]
        raise SourceUnreadable(f"there is no exchange {name!r}; there are {_some(near or ccxt.exchanges)}")
    client = getattr(ccxt, name)({"enableRateLimit": True, "timeout": TIMEOUT_MS})
    client.has["fetchCurrencies"] = False  # of no use here, and refused without a key by some
    return Exchange(client, tell)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
