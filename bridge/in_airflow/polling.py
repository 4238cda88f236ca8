"""When to poll Prefect for flow runs that have ended: one socket and one pace for all watchers of a connection.

The event socket hastens a poll; at intervals there is one anyhow, so that what the socket lost is found. What a poll
finds is the watchers' business (`bridge.in_airflow.watching`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from airflow.sdk.exceptions import AirflowException

from bridge.errors import BridgeError
from bridge.in_airflow.airflow_internals import AdvanceItem, AirflowRuntimeError, SharedStreamProducer
from bridge.in_airflow.hook import PrefectHook
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.end_cursor import Watch
from bridge.prefect_api.events import StateChange, state_changes
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import ENDED_TYPES

log = logging.getLogger(__name__)

RECONCILE_SECONDS = 15.0
RECONCILE_WITHOUT_SOCKET_SECONDS = 5.0
GATHER_SECONDS = 0.05
LEAST_SECONDS_BETWEEN_POLLS = 0.25
SECOND_POLL_SECONDS = 1.0
"""An event is sent before its state is committed: it asks for a poll at once, and for one that is so much later."""

RECONNECT_SECONDS = 2.0
LONGEST_RECONNECT_SECONDS = 60.0

OUTAGES = (BridgeError, AirflowException, AirflowRuntimeError)
"""What passes, or is mended elsewhere: Prefect is away, refuses the credentials, the connection is missing."""


@dataclass(eq=False)
class Poll:
    """One poll of Prefect, made by every watcher of the API; `again`: there is more to tell at once."""

    client: Callable[[], Awaitable[AsyncPrefectClient]]
    """Gives the client that the watchers share, for the connection as it is now; raises one of OUTAGES."""
    hints: Sequence[StateChange] = ()
    """The ends whose events have asked for this poll."""
    for_all: bool = True
    """It is time to poll for whatever has ended, hinted at or not."""
    again: bool = False
    _to_call: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def concerns(self, watch: Watch) -> bool:
        """Whether there may be news of what is watched."""
        return self.for_all or bool(self.hinted_ids(watch))

    def hinted_ids(self, watch: Watch) -> set[str]:
        """The flow runs of which events have told an end that may be watched."""
        return {change.flow_run_id for change in self.hints if watch.may_be(change)}

    def when_stored(self, act: Callable[[], Awaitable[None]]) -> None:
        """Call this once Airflow has stored the events of this poll."""
        self._to_call.append(act)

    async def stored(self) -> None:
        for act in self._to_call:
            await act()


class Poller(SharedStreamProducer):
    """Says when to poll: at the end of some flow run, and at intervals. A poll waits until the one before is stored."""

    def __init__(self, prefect_conn_id: str, reconcile_seconds: float) -> None:
        self._conn_id = prefect_conn_id
        self._reconcile_seconds = reconcile_seconds
        self._due = asyncio.Event()
        self._done = asyncio.Event()
        self._listening = False
        self._clients: dict[PrefectConnection, AsyncPrefectClient] = {}
        self._hints: list[tuple[float, StateChange]] = []
        """Ends that ask for a poll, with the time of the event loop at which their events came."""
        self._polled_all_at: float | None = None
        """When, by the same clock; None: such a poll is due."""

    async def open_stream(self) -> AsyncGenerator[tuple[Poll, Poll], None]:
        """Polls, for ever."""
        listener = asyncio.create_task(self._listen(), name=f"prefect events of {self._conn_id}")
        try:
            while True:
                poll = self._next_poll()
                self._due.clear()
                self._done.clear()
                yield poll, poll
                await self._done.wait()
                if not poll.again:
                    await self._until_due(listener)
        finally:
            listener.cancel()
            for client in self._clients.values():
                await client.close()
            self._clients.clear()

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """The polls' events are stored. Where one watcher failed, all save at the next poll."""
        for item in batch:
            if item.outcome.is_clean:
                await item.broker_payload.stored()
        self._done.set()

    def _next_poll(self) -> Poll:
        now = asyncio.get_running_loop().time()
        hints = [change for _, change in self._hints]
        self._hints = [(at, change) for at, change in self._hints if now - at < SECOND_POLL_SECONDS]
        is_for_all = self._seconds_to_poll_all(now) <= 0
        if is_for_all:
            self._polled_all_at = now
        return Poll(self._client, hints, is_for_all)

    def _seconds_to_poll_all(self, now: float) -> float:
        if self._polled_all_at is None:
            return 0.0
        longest = self._reconcile_seconds
        if not self._listening:
            longest = min(longest, RECONCILE_WITHOUT_SOCKET_SECONDS)
        return self._polled_all_at + longest - now

    async def _client(self) -> AsyncPrefectClient:
        # A client makes a TLS context, which is dear. One for a connection that has changed is left to those who may
        # still be using it.
        connection = await PrefectHook(self._conn_id).connection_async()
        if connection not in self._clients:
            self._clients[connection] = AsyncPrefectClient(connection, RetryPolicy(attempts=3))
        return self._clients[connection]

    async def _until_due(self, listener: asyncio.Task[None]) -> None:
        await asyncio.sleep(LEAST_SECONDS_BETWEEN_POLLS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), self._longest_wait_seconds())
            await asyncio.sleep(GATHER_SECONDS)
        if listener.done():
            listener.result()

    def _longest_wait_seconds(self) -> float:
        now = asyncio.get_running_loop().time()
        seconds = self._seconds_to_poll_all(now)
        if self._hints:
            seconds = min(seconds, self._hints[-1][0] + SECOND_POLL_SECONDS - now)
        return max(0.0, seconds)

    async def _listen(self) -> None:
        pause, told = RECONNECT_SECONDS, False
        while True:
            try:
                connection = await PrefectHook(self._conn_id).connection_async()
                # Without a backfill: there is a poll as soon as the socket is open.
                async for change in state_changes(connection, None, self._opened):
                    pause, told = RECONNECT_SECONDS, False
                    if change.state_type in ENDED_TYPES:
                        self._hints.append((asyncio.get_running_loop().time(), change))
                        self._due.set()
            except OUTAGES as error:
                log.log(
                    logging.DEBUG if told else logging.INFO, "No events from Prefect, polling at intervals: %s", error
                )
                told = True
            self._listening = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_RECONNECT_SECONDS)

    def _opened(self) -> None:
        self._listening = True
        self._polled_all_at = None
        self._due.set()
