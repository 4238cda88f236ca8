"""Prefect's clock is wrong, and is set: every end is told, and none twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from bridge.errors import PrefectUnreachable
from bridge.in_airflow import polling, watching
from bridge.prefect_api.events import StateChange
from tests.airflow.test_watching import Store, run_with, running, watcher
from tests.live_prefect import LivePrefect

HOUR = 3600

SITECUSTOMIZE = """
import os, time
from pathlib import Path

def offset(clock):
    return float(Path(os.environ["CLOCKS"], clock).read_text())

try:
    import pendulum
except ImportError:
    pass
else:
    right_now, right_time = pendulum.now, time.time
    pendulum.now = lambda tz=None: right_now(tz).add(seconds=offset("server"))
    time.time = lambda: right_time() + offset("http")
"""


@dataclass
class WrongClock(LivePrefect):
    """A Prefect server whose clock can be set; its HTTP answers may tell another one."""

    http_follows: bool = True

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PYTHONPATH": str(self._place), "CLOCKS": str(self._place)}

    def start(self) -> None:
        self._place.mkdir(parents=True)
        (self._place / "sitecustomize.py").write_text(SITECUSTOMIZE)
        self.set_clock(0)
        super().start()

    def set_clock(self, seconds: float) -> None:
        """So far ahead of the right time, or behind it."""
        for clock, offset in (("server", seconds), ("http", seconds if self.http_follows else 0)):
            new = self._place / f"{clock}.new"
            new.write_text(str(offset))
            new.replace(self._place / clock)

    @property
    def _place(self) -> Path:
        return self.home / "clocks"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WrongClock]:
    running_server = WrongClock(tmp_path_factory.mktemp("wrong-clock"))
    running_server.start()
    try:
        yield running_server
    finally:
        running_server.stop()


@pytest.fixture(autouse=True, params=[True, False], ids=["date-header-moves", "date-header-stays"])
def _connected(server: WrongClock, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    address = urlsplit(server.api_url)
    monkeypatch.setenv(
        "AIRFLOW_CONN_PREFECT_DEFAULT",
        f'{{"conn_type": "prefect", "host": "http://{address.hostname}", "port": {address.port}}}',
    )
    monkeypatch.setattr(watching, "RECHECK_SECONDS_A_PAGE", 1.0)
    server.http_follows = request.param
    server.set_clock(0)


@pytest.fixture(params=[True, False], ids=["socket", "no-socket"])
def _with_or_without_socket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any) -> AsyncIterator[Any]:
        raise PrefectUnreachable("no websockets here")
        yield

    if not request.param:
        monkeypatch.setattr(polling, "state_changes", refused)


async def ended(server: WrongClock, tag: str) -> str:
    return await asyncio.to_thread(run_with, server, tag, "RUNNING", "COMPLETED")


@pytest.mark.usefixtures("_with_or_without_socket")
@pytest.mark.parametrize("seconds", [-HOUR, HOUR])
async def test_a_clock_that_is_set_and_corrected_loses_and_doubles_no_end(server: WrongClock, seconds: float) -> None:
    store, tag = Store(), uuid4().hex
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        expected = []
        for offset in (0, seconds, 0):
            server.set_clock(offset)
            for _ in range(2):
                expected.append(await ended(server, tag))
                assert await record.has_told(len(expected)) == expected
        assert not any(event["maybe_repeated"] for event in record.events)


async def test_a_clock_that_was_set_back_while_nobody_watched(server: WrongClock) -> None:
    store, tag = Store(), uuid4().hex
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        await ended(server, tag)
        await record.has_told(1)
    server.set_clock(-24 * HOUR)
    missed = await ended(server, tag)
    server.set_clock(0)
    also_missed = await ended(server, tag)
    async with running(watcher(store, tag), store) as again:
        assert await again.has_told(2) == [missed, also_missed]


async def test_an_event_is_enough_for_an_end_of_a_time_that_the_cursor_has_forgotten(
    server: WrongClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is told of it then says that it may have been told before."""
    events: asyncio.Queue[StateChange] = asyncio.Queue()

    async def from_queue(*_: Any) -> AsyncIterator[StateChange]:
        while True:
            yield await events.get()

    monkeypatch.setattr(polling, "state_changes", from_queue)
    monkeypatch.setattr("bridge.prefect_api.end_cursor.REMEMBERED", 2)
    store, tag = Store(), uuid4().hex
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        expected = []
        for _ in range(4):
            expected.append(await ended(server, tag))
            await record.has_told(len(expected))
        server.set_clock(-HOUR)
        expected.append(await ended(server, tag))
        await events.put(StateChange(expected[-1], "COMPLETED", "Completed", datetime.now(UTC)))
        assert await record.has_told(5) == expected
    assert [event["maybe_repeated"] for event in record.events] == [False] * 4 + [True]
