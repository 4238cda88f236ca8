"""Waiting for flow runs, shared: however many wait in one event loop, one socket and one batched read serve them all.

The socket hastens, the reconciling read decides: an event only names runs that are worth reading now. Without a socket
(a proxy without websockets) the same code works at the pace of the reconciling read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from weakref import WeakKeyDictionary

from bridge.errors import FlowRunLost, PrefectApiError, PrefectUnauthorised, PrefectUnreachable, UnexpectedAnswer
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import state_changes
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.retrying import RetryPolicy

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WaitingPolicy:
    """Paces of the shared wait, in seconds, and how many reads in a row may fail before the waits are given up."""

    reconcile_seconds: float = 15.0
    reconcile_without_socket_seconds: float = 3.0
    gather_seconds: float = 0.03
    """How long events are gathered before the runs that they name are read in one request."""
    reconnect_seconds: float = 2.0
    longest_reconnect_seconds: float = 60.0
    failures_allowed: int = 10


@dataclass(eq=False)
class _Wait:
    """One follower: the newest reading, or the error that ends it."""

    flow_run_id: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reading: FlowRun | None = None
    error: PrefectApiError | FlowRunLost | None = None

    def tell(self, reading: FlowRun) -> None:
        self.reading = reading
        self.changed.set()

    def fail(self, error: PrefectApiError | FlowRunLost) -> None:
        self.error = error
        self.changed.set()


class SharedWaiting:
    """All waits of one event loop on one Prefect API. Get it from `shared_waiting`."""

    def __init__(self, connection: PrefectConnection, policy: WaitingPolicy) -> None:
        self.connection = connection
        self.policy = policy
        self._waits: dict[str, set[_Wait]] = {}
        self._named: set[str] = set()
        """Runs that an event, or a new follower, has named since the last read."""
        self._due = asyncio.Event()
        self._reconciled_at = 0.0
        """When all runs were read last, by the event loop's clock."""
        self.listening = False
        self._last_event: datetime | None = None
        self._service: asyncio.Task[None] | None = None

    async def follow(self, flow_run_id: str) -> AsyncGenerator[FlowRun, None]:
        """The run as it stands now, then again whenever its state has changed; the caller stops when it has enough.

        Raises FlowRunLost when the run was deleted, PrefectUnreachable when the API stayed away for too long,
        PrefectUnauthorised when it refuses the credentials.
        """
        wait = _Wait(flow_run_id)
        self._waits.setdefault(flow_run_id, set()).add(wait)
        self._name([flow_run_id])
        if self._service is None or self._service.done():
            self._service = asyncio.create_task(self._serve(), name=f"bridge waits on {self.connection.api_url}")
            self._service.add_done_callback(self._ended)
        seen: tuple[str, str] | None = None
        try:
            while True:
                await wait.changed.wait()
                wait.changed.clear()
                if wait.error is not None:
                    raise wait.error
                if wait.reading and (wait.reading.state_type, wait.reading.state_name) != seen:
                    seen = (wait.reading.state_type, wait.reading.state_name)
                    yield wait.reading
        finally:
            self._leave(wait)

    def _leave(self, wait: _Wait) -> None:
        waits = self._waits.get(wait.flow_run_id, set())
        waits.discard(wait)
        if not waits:
            self._waits.pop(wait.flow_run_id, None)
        if not self._waits and self._service is not None:
            self._service.cancel()
            self._service = None

    def _ended(self, service: asyncio.Task[None]) -> None:
        """Nobody may wait for a service that has given up, or has died of a fault of its own."""
        if service.cancelled() or (group := service.exception()) is None:
            return
        errors = group.exceptions if isinstance(group, BaseExceptionGroup) else (group,)
        if len(errors) == 1 and isinstance(errors[0], PrefectApiError):
            self._fail_all(errors[0])
        else:
            self._fail_all(UnexpectedAnswer(f"Waiting on {self.connection.api_url} broke down: {group!r}"))

    def _name(self, flow_run_ids: Iterable[str]) -> None:
        self._named.update(flow_run_ids)
        self._due.set()

    async def _serve(self) -> None:
        retry = RetryPolicy(attempts=2)  # the failure budget below is the patience of a wait
        async with AsyncPrefectClient(self.connection, retry) as client, asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._read(client))

    async def _listen(self) -> None:
        pause = self.policy.reconnect_seconds
        while True:
            try:
                async for change in state_changes(self.connection, self._last_event, self._opened):
                    pause = self.policy.reconnect_seconds
                    self._last_event = max(change.occurred, self._last_event or change.occurred)
                    if change.flow_run_id in self._waits:
                        self._name([change.flow_run_id])
            except (PrefectUnreachable, PrefectUnauthorised) as error:
                log.info("No events from Prefect, reading at intervals instead: %s", error)
            self.listening = False
            self._due.set()
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.policy.longest_reconnect_seconds)

    def _opened(self) -> None:
        self.listening = True

    async def _read(self, client: AsyncPrefectClient) -> None:
        failures = 0
        while True:
            named, self._named = self._named & self._waits.keys(), set()
            self._due.clear()
            # However many events keep coming: the runs that no event has named are read when their time has come.
            whole = not named or self._reconcile_in_seconds() <= 0
            wanted = set(self._waits) if whole else named
            try:
                runs = await client.run(wire.read_flow_runs(wanted))
            except PrefectApiError as error:
                failures += 1
                self._named |= named
                if not error.retryable or failures > self.policy.failures_allowed:
                    raise
                log.warning("Reading %d flow runs failed (%d in a row): %s", len(wanted), failures, error)
                await asyncio.sleep(min(2.0**failures * 0.1, self.policy.reconcile_without_socket_seconds))
                continue
            failures = 0
            if whole:
                self._reconciled_at = asyncio.get_running_loop().time()
            self._tell(wanted, runs)
            await self._until_due()

    async def _until_due(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._due.wait(), max(0.0, self._reconcile_in_seconds()))
            await asyncio.sleep(self.policy.gather_seconds)

    def _reconcile_in_seconds(self) -> float:
        interval = self.policy.reconcile_seconds if self.listening else self.policy.reconcile_without_socket_seconds
        return self._reconciled_at + interval - asyncio.get_running_loop().time()

    def _tell(self, wanted: set[str], runs: dict[str, FlowRun]) -> None:
        for flow_run_id in wanted:
            run = runs.get(flow_run_id)
            for wait in list(self._waits.get(flow_run_id, ())):
                if run is not None:
                    wait.tell(run)
                else:
                    wait.fail(wire.lost(flow_run_id, self.connection.flow_run_url(flow_run_id)))

    def _fail_all(self, error: PrefectApiError) -> None:
        for waits in list(self._waits.values()):
            for wait in list(waits):
                wait.fail(error)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[PrefectConnection, SharedWaiting]] = WeakKeyDictionary()


def shared_waiting(connection: PrefectConnection, policy: WaitingPolicy | None = None) -> SharedWaiting:
    """The waiting that all callers in this event loop share for this API; the first caller's policy holds."""
    waitings = _by_loop.setdefault(asyncio.get_running_loop(), {})
    if connection not in waitings:
        waitings[connection] = SharedWaiting(connection, policy or WaitingPolicy())
    return waitings[connection]
