"""What Prefect says, read once for all who look: one cache and one budget of requests for the whole process.

Owns patience and outages. What is asked is said by the caller, in operations of `bridge.prefect_api`; what may be said
of an answer's age stands in `freshness`.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

from bridge.errors import BridgeError, FlowRunNotFound, PrefectUnreachable
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.retrying import RetryPolicy
from plugins.control_page.budget import RequestBudget
from plugins.control_page.freshness import Seen
from plugins.control_page.listening import Listener

PATIENCE_SECONDS = 1.2
"""A page must stand within two seconds, whatever becomes of Prefect."""
BRIEF_SECONDS = 0.2
"""So long wait the other parts of a page once one of them has found Prefect slow."""
SILENT_SECONDS = 10.0
"""Asked for so long without an answer to anything, Prefect does not answer; what takes less is slow."""
OLD_SECONDS = 5.0
"""What is older, where something fresher is wanted, is shown with its age."""
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
NEVER = float("-inf")

T = TypeVar("T")


@dataclass(slots=True)
class _Entry:
    value: Any = None
    seen_at: datetime | None = None
    refusal: str | None = None
    """Why it was not read although Prefect answered."""
    read_at: float = NEVER
    rests_until: float = NEVER
    has_news: bool = False
    begun_at: float = NEVER
    reading: asyncio.Task[None] | None = None


class PrefectReader:
    """Shared by everybody who looks; `connect` says where Prefect is and may block."""

    def __init__(
        self,
        connect: Callable[[], PrefectConnection],
        budget: RequestBudget | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._connect = connect
        self._budget = budget or RequestBudget()
        self._clock = clock
        self._entries: OrderedDict[Hashable, _Entry] = OrderedDict()
        self._connection: tuple[PrefectConnection, float] | None = None
        self._clients: dict[tuple[Any, ...], AsyncPrefectClient] = {}
        self._failure: str | None = None
        """Why Prefect counts as away: what the last reading failed of. Any answer ends it."""
        self._rests_until = NEVER
        self._slow_at = NEVER
        self._expired = 0
        self._answered_at = NEVER
        self._listener = Listener(self.connection, self._heard, self.expire)

    async def see(
        self,
        key: Hashable,
        operation: Callable[[], Operation[T]],
        *,
        fresh_seconds: float,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Seen[T]:
        """What `operation` returns, at most `fresh_seconds` old where the budget and Prefect allow, else what is known.

        What is known and older than it should be says so (`Seen.is_old`).
        """
        self._listener.somebody_looks()
        entry = self._entry(key)
        is_told = self._listener.is_open and isinstance(key, tuple) and key[0] in TOLD
        if self._is_due(entry, fresh_seconds, is_told=is_told):
            reading = entry.reading or self._begin(entry, operation, fresh_seconds)
            if reading is None and entry.value is None and not self._is_resting():
                await asyncio.sleep(min(self._budget.seconds_until_allowed(), patience_seconds))
                reading = entry.reading or self._begin(entry, operation, fresh_seconds)
            if reading is not None:
                await self._wait(entry, reading, patience_seconds)
        return self._as_seen(entry, is_due=self._is_due(entry, fresh_seconds, is_told=is_told))

    def known(self, key: Hashable) -> Seen[Any]:
        """What was read under this key, however long ago; nobody is asked."""
        entry = self._entries.get(key)
        return Seen(entry.value, entry.seen_at) if entry else Seen()

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

    async def read(self, operation: Operation[T]) -> T:
        """What one person has asked for and nobody else looks at, once the budget allows; raises `bridge.errors`."""
        await asyncio.sleep(self._budget.seconds_until_allowed())
        try:
            async with asyncio.timeout(READING_SECONDS):
                client = await self._client(ACT)
                return await client.run(self._counted(operation))
        except TimeoutError as error:
            raise PrefectUnreachable(f"Prefect has not answered for {READING_SECONDS:g} s") from error

    def expire(self) -> None:
        """Everything is read anew when it is looked at next."""
        self._expired += 1
        for entry in self._entries.values():
            entry.read_at = NEVER

    def _heard(self, flow_run_id: str) -> None:
        """The run's state has changed, and with it every list that it may stand in."""
        for key, entry in self._entries.items():
            if isinstance(key, tuple) and (key[0] in {"runs", "overview"} or flow_run_id in key):
                entry.has_news = True

    async def connection(self) -> PrefectConnection:
        """Where Prefect is; raises ConnectionMisconfigured."""
        if self._connection is None or self._clock() - self._connection[1] > CONNECTION_SECONDS:
            self._connection = (await asyncio.to_thread(self._connect), self._clock())
        return self._connection[0]

    def _entry(self, key: Hashable) -> _Entry:
        entry = self._entries.setdefault(key, _Entry())
        self._entries.move_to_end(key)
        while len(self._entries) > ENTRIES_KEPT:
            self._entries.popitem(last=False)
        if entry.reading is not None and (entry.reading.done() or entry.reading.get_loop().is_closed()):
            entry.reading = None
        return entry

    def _is_due(self, entry: _Entry, fresh_seconds: float, *, is_told: bool) -> bool:
        calm = is_told and not entry.has_news
        return self._clock() - entry.read_at >= (max(fresh_seconds, CALM_SECONDS) if calm else fresh_seconds)

    def _is_resting(self) -> bool:
        """Whether nobody asks for a while, as Prefect has just failed to answer."""
        return self._clock() < self._rests_until

    def _begin(
        self, entry: _Entry, operation: Callable[[], Operation[Any]], fresh_seconds: float
    ) -> asyncio.Task[None] | None:
        if self._is_resting() or self._clock() < entry.rests_until or not self._budget.allows():
            return None
        entry.reading, entry.begun_at = (
            asyncio.create_task(self._read(entry, operation(), fresh_seconds)),
            self._clock(),
        )
        return entry.reading

    async def _wait(self, entry: _Entry, reading: asyncio.Task[None], patience_seconds: float) -> None:
        """For an answer, counted from when it was asked for: who comes later does not wait as long again."""
        if self._clock() - self._slow_at < QUIET_SECONDS:
            patience_seconds = min(patience_seconds, BRIEF_SECONDS)
        await asyncio.wait({reading}, timeout=max(0.0, entry.begun_at + patience_seconds - self._clock()))
        if reading.done():
            reading.result()  # what is no failure of Prefect's is a fault, and must not look like waiting
        elif patience_seconds >= PATIENCE_SECONDS:
            self._slow_at = self._clock()

    def _as_seen(self, entry: _Entry, *, is_due: bool) -> Seen[Any]:
        if not is_due:
            return Seen(entry.value, entry.seen_at, entry.refusal)
        now = self._clock()
        is_waited_for = entry.reading is not None and not entry.reading.done()
        failure, silent = self._failure, now - max(entry.begun_at, self._answered_at)
        if is_waited_for and failure is None and silent >= SILENT_SECONDS:
            failure = f"Prefect has not answered for {silent:.0f} s"
        return Seen(
            entry.value,
            entry.seen_at,
            failure or entry.refusal,
            is_away=failure is not None,
            is_old=entry.value is not None and now - entry.read_at > OLD_SECONDS,
            is_slow=is_waited_for and now - entry.begun_at >= PATIENCE_SECONDS,
        )

    async def _read(self, entry: _Entry, operation: Operation[Any], fresh_seconds: float) -> None:
        entry.has_news, expired = False, self._expired
        try:
            async with asyncio.timeout(READING_SECONDS):
                client = await self._client(LOOK)
                value = await client.run(self._counted(operation))
        except TimeoutError:
            said = f"Prefect has not answered for {READING_SECONDS:g} s"
            self._note(entry, PrefectUnreachable(said), fresh_seconds)
        except BridgeError as error:
            self._note(entry, error, fresh_seconds)
        else:
            entry.value, entry.seen_at, entry.refusal = value, datetime.now(UTC), None
            entry.read_at = self._clock() if expired == self._expired else NEVER  # something was changed meanwhile

    def _note(self, entry: _Entry, error: BridgeError, fresh_seconds: float) -> None:
        if error.retryable:  # it is Prefect that is away, not this one thing that it refused
            self._failure, self._rests_until = str(error), self._clock() + QUIET_SECONDS
            return
        entry.refusal, entry.rests_until = str(error), self._clock() + max(QUIET_SECONDS, fresh_seconds)
        if isinstance(error, FlowRunNotFound):  # what was seen of it is no more
            entry.value = entry.seen_at = None

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
                    self._answered_at, self._failure, self._rests_until = self._clock(), None, NEVER
                    request = operation.send(answer)
        except StopIteration as stop:
            result: T = stop.value
            return result
