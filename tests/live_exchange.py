"""An exchange on loopback: it answers ccxt's own client as Binance does, and misbehaves as exchanges do."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import ccxt
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

DAY_MS = 86_400_000
SYMBOL = "BTC/USDT"
_MARKET = {
    "symbol": "BTCUSDT",
    "status": "TRADING",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "baseAssetPrecision": 8,
    "quotePrecision": 8,
    "orderTypes": ["LIMIT", "MARKET"],
    "isSpotTradingAllowed": True,
    "permissions": ["SPOT"],
    "filters": [],
}


@dataclass
class LoopbackExchange:
    """`candles` are what it has: timestamp, open, high, low, close, volume. Pages hold `page` of them.

    `refusals` answers so many questions with 429 before it answers, and says `retry_after` with them. `windowed` gives
    nothing but what begins within a page's length of what was asked; `held` is waited for before a page after `pages`.
    """

    server: HTTPServer
    candles: list[list[float]]
    page: int = 500
    refusals: int = 0
    retry_after: str | None = "0"
    windowed: bool = False
    held: Event | None = None
    pages: int = 1
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.expect_request("/api/v3/exchangeInfo").respond_with_json({"symbols": [_MARKET]})
        for family in ("fapi", "dapi"):
            self.server.expect_request(f"/{family}/v1/exchangeInfo").respond_with_json({"symbols": []})
        self.server.expect_request("/api/v3/klines").respond_with_handler(self._klines)

    @property
    def url(self) -> str:
        """Where it listens."""
        return self.server.url_for("").rstrip("/")

    def _klines(self, request: Request) -> Response:
        if self.refusals:
            self.refusals -= 1
            headers = {} if self.retry_after is None else {"Retry-After": self.retry_after}
            return Response(json.dumps({"code": -1003, "msg": "Too many requests"}), 429, headers)
        since = int(request.args["startTime"])
        self.asked.append(since)
        if self.held is not None and len(self.asked) > self.pages:
            self.held.wait(60)
        found = [each for each in self.candles if each[0] >= since]
        if self.windowed:
            found = [each for each in found if each[0] < since + self.page * DAY_MS]
        rows: list[list[Any]] = [
            [int(begin), *map(str, numbers), int(begin) + DAY_MS - 1, "0", 1, "0", "0", "0"]
            for begin, *numbers in found[: self.page]
        ]
        return Response(json.dumps(rows), content_type="application/json")


def point_at(client: ccxt.Exchange, url: str) -> None:
    """Let ccxt's client ask the exchange under that address, whatever it asks."""
    client.urls["api"] = {
        name: f"{url}/{each.split('/', 3)[3]}" for name, each in client.urls["api"].items() if each.count("/") > 2
    }
