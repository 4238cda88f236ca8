"""What Prefect says, read once for all who look: one cache and one budget of requests for the whole process.

Owns freshness, patience and outages. What is asked is said by the caller, in operations of `bridge.prefect_api`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Generic, TypeVar

from bridge.errors import BridgeError, PrefectUnreachable
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.retrying import RetryPolicy
from plugins.control_page.budget import RequestBudget
from plugins.control_page.listening import Listener

PATIENCE_SECONDS = 1.2
"""A page must stand within two seconds, whatever becomes of Prefect."""
READING_SECONDS = 20.0
"""A slow answer still comes in useful: it is there for the next look."""
ACTING_SECONDS = 15.0
"""A person waits for it; what was sent by then is not taken back."""
QUIET_SECONDS = 3.0
"""After a failure nobody asks for so long; all are told of it meanwhile."""
CONNECTION_SECONDS = 30.0
"""So soon a connection that was changed in Airflow is noticed."""
ENTRIES_KEPT = 300
CALM_SECONDS = 15.0
"""While the event socket tells of changes, what it tells of is read so seldom where it tells of none."""
TOLD = frozenset({"run", "runs", "overview"})
"""Kinds of keys whose changes the socket tells: the first part of a key, where it has parts."""
LOOK = RetryPolicy(attempts=2, first_pause_seconds=0.1, longest_pause_seconds=0.2)
ACT = RetryPolicy(attempts=4, longest_pause_seconds=1.0)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was read last and when; `trouble` says why it is not fresher, in words for people."""

    value: T | None = None
    read_at: datetime | None = None
    trouble: str | None = None

    @property
    def is_loading(self) -> bool:
        """Whether nothing has come yet, and nothing has gone wrong."""
        return self.value is None and self.trouble is None


@dataclass(slots=True)
class _Entry:
    seen: Seen[Any]
    read_at: float = float("-inf")
    has_news: bool = False
    begun_at: float = float("-inf")
    reading: asyncio.Task[None] | None = None


class PrefectReader:
    """Shared by everybody who looks; `connect` says where Prefect is and may block."""

    def __init__(self, connect: Callable[[], PrefectConnection], budget: RequestBudget | None = None) -> None:
        self._connect = connect
        self._budget = budget or RequestBudget()
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._connection: tuple[PrefectConnection, float] | None = None
        self._clients: dict[tuple[Any, ...], AsyncPrefectClient] = {}
        self._trouble: tuple[str, float] | None = None
        self._listener = Listener(self.connection, self._heard, self.expire)

    async def see(
        self,
        key: Hashable,
        operation: Callable[[], Operation[T]],
        *,
        fresh_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Seen[T]:
        """What `operation` returns, at most `fresh_seconds` old where the budget allows, else as it was read last."""
        self._listener.somebody_looks()
        entry = self._entry(key)
        is_told = self._listener.is_open and isinstance(key, tuple) and key[0] in TOLD and not entry.has_news
        if monotonic() - entry.read_at >= (max(fresh_seconds, CALM_SECONDS) if is_told else fresh_seconds):
            reading = entry.reading or self._begin(entry, operation)
            if reading is None and entry.seen.value is None and self._recent_trouble() is None:
                await asyncio.sleep(min(self._budget.seconds_until_allowed(), patience_seconds))
                reading = entry.reading or self._begin(entry, operation)
            if reading is not None:
                # Counted from its begin: who comes later to a slow reading does not wait as long again.
                await asyncio.wait({reading}, timeout=max(0.0, entry.begun_at + patience_seconds - monotonic()))
                if not reading.done() and patience_seconds < PATIENCE_SECONDS:
                    return entry.seen
                if not reading.done():
                    said = f"Prefect has not answered for {patience_seconds:g} s."
                    self._trouble = (said, monotonic())  # the next part of the same page need not wait as long again
                    return replace(entry.seen, trouble=said)
                reading.result()  # what is no failure of Prefect's is a fault, and must not look like waiting
        trouble = entry.seen.trouble or (self._recent_trouble() if entry.seen.value is None else None)
        return replace(entry.seen, trouble=trouble)

    async def act(self, operation: Operation[T]) -> T:
        """Carry out what changes something; raises the tree of `bridge.errors`. What was read before is read anew."""
        try:
            async with asyncio.timeout(ACTING_SECONDS):
                client = await self._client(ACT)
                return await client.run(self._counted(operation))
        except TimeoutError as error:
            raise PrefectUnreachable(
                f"Prefect has not answered for {ACTING_SECONDS:g} s. It may still do what was asked: look at the runs "
                "before you ask again."
            ) from error
        finally:
            self.expire()

    def expire(self) -> None:
        """Everything is read anew when it is looked at next."""
        for entry in self._entries.values():
            entry.read_at = float("-inf")

    def _heard(self, flow_run_id: str) -> None:
        """The run's state has changed, and with it every list that it may stand in."""
        for key, entry in self._entries.items():
            if isinstance(key, tuple) and (key[0] in {"runs", "overview"} or flow_run_id in key):
                entry.has_news = True

    async def connection(self) -> PrefectConnection:
        """Where Prefect is; raises ConnectionMisconfigured."""
        if self._connection is None or monotonic() - self._connection[1] > CONNECTION_SECONDS:
            self._connection = (await asyncio.to_thread(self._connect), monotonic())
        return self._connection[0]

    def _entry(self, key: Hashable) -> _Entry:
        entry = self._entries.setdefault(key, _Entry(Seen()))
        self._entries.move_to_end(key)
        while len(self._entries) > ENTRIES_KEPT:
            self._entries.popitem(last=False)
        if entry.reading is not None and (entry.reading.done() or entry.reading.get_loop().is_closed()):
            entry.reading = None
        return entry

    def _begin(self, entry: _Entry, operation: Callable[[], Operation[Any]]) -> asyncio.Task[None] | None:
        if self._recent_trouble() is not None or not self._budget.allows():
            return None
        entry.reading, entry.begun_at = asyncio.create_task(self._read(entry, operation())), monotonic()
        return entry.reading

    async def _read(self, entry: _Entry, operation: Operation[Any]) -> None:
        entry.has_news = False
        try:
            async with asyncio.timeout(READING_SECONDS):
                client = await self._client(LOOK)
                value = await client.run(self._counted(operation))
        except TimeoutError:
            self._note(entry, PrefectUnreachable(f"Prefect has not answered for {READING_SECONDS:g} s"))
        except BridgeError as error:
            self._note(entry, error)
        else:
            entry.seen, entry.read_at, self._trouble = Seen(value, datetime.now(UTC)), monotonic(), None

    def _note(self, entry: _Entry, error: BridgeError) -> None:
        entry.seen = replace(entry.seen, trouble=str(error))
        if error.retryable:  # it is Prefect that is away, not this one thing that it refused
            self._trouble = (str(error), monotonic())
        entry.read_at = monotonic() - QUIET_SECONDS

    def _recent_trouble(self) -> str | None:
        if self._trouble is None or monotonic() - self._trouble[1] > QUIET_SECONDS:
            return None
        return self._trouble[0]

    async def _client(self, retry: RetryPolicy) -> AsyncPrefectClient:
        """A client of this event loop for the connection as it stands."""
        connection = await self.connection()
        key = (asyncio.get_running_loop(), retry, repr(connection), *connection.request_headers.items())
        if key not in self._clients:
            self._clients = {other: client for other, client in self._clients.items() if other[0] is key[0]}
            self._clients[key] = AsyncPrefectClient(connection, retry)
        return self._clients[key]

    def _counted(self, operation: Operation[T]) -> Generator[Request, Answer, T]:
        """The same operation, whose requests are taken from the budget."""
        try:
            request = next(operation)
            while True:
                self._budget.spend()
                try:
                    answer = yield request
                except PrefectUnreachable as error:
                    request = operation.throw(error)
                else:
                    request = operation.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
