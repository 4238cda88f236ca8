"""Waiting for flow runs, shared: however many wait in one event loop, one socket and one batched read serve them all.

The socket hastens: an event is told to the followers at once. The reconciling read decides: it finds what events lost,
and takes back what one said that is not so. Without a socket (a proxy without websockets) the same code works at the
pace of the reconciling read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID
from weakref import WeakKeyDictionary

from bridge.errors import BridgeError, FlowRunNotFound, PrefectUnauthorised, PrefectUnreachable, UnexpectedAnswer
from bridge.prefect_api.batches import RESULTS_PAGE, read_page, read_results
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, state_changes
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import lost
from bridge.waiting.batching import Batcher, copy_error
from bridge.waiting.followed import FollowedRun, Follower, has_ended, is_older
from bridge.waiting.log_stream import LogStream
from bridge.waiting.log_tail import LogTail
from bridge.waiting.reconciling import Reconciling, WaitingPolicy

__all__ = ["SharedWaiting", "WaitingPolicy", "shared_waiting"]

log = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3
"""How often one request is sent before it counts as failed; a wait's patience outlasts many requests."""

FIRST_PAUSE_SECONDS = 0.05
"""Before the log of a run that has ended is read again; twice as long every time after, up to the policy's pause."""

AHEAD_PAUSES_SECONDS = (0.05, 0.2, 0.5)
"""An event is sent before its state is committed: how long the API is given to show it."""


class SharedWaiting:
    """All waits of one event loop on one Prefect API. Get it from `shared_waiting`."""

    def __init__(self, connection: PrefectConnection, policy: WaitingPolicy) -> None:
        self.connection = connection
        self.policy = policy
        self.listening = False
        """Whether the subscription to events stands."""
        self._runs: dict[str, FollowedRun] = {}
        self._last_event: datetime | None = None
        self._service: asyncio.Task[None] | None = None
        self._client: AsyncPrefectClient | None = None
        self._borrowers = 0
        gather, spacing = policy.gather_seconds, policy.spacing_seconds
        self._reconciling = Reconciling(self._ask, self._runs, connection, policy)
        self._logs = LogStream(
            self._ask, self._runs, log_seconds=policy.log_seconds, gather_seconds=gather, spacing_seconds=spacing
        )
        self._confirming: Batcher[FlowRun] = Batcher(
            self._read_runs, gather_seconds=gather, spacing_seconds=spacing, most=PAGE
        )
        self._results: Batcher[Mapping[str, Any] | None] = Batcher(
            self._read_results, gather_seconds=gather, spacing_seconds=spacing, most=RESULTS_PAGE
        )

    async def follow(
        self,
        flow_run_id: str,
        *,
        patience_seconds: float = 300.0,
        with_log: bool = False,
        log_after: datetime | None = None,
    ) -> AsyncGenerator[FlowRun | Sequence[LogLine], None]:
        """The run as it stands now, then again whenever its state has changed; the caller stops when it has enough.

        A reading may be an event's word: who acts finally on an end asks `confirm` before. Parameters, tags and
        idempotency key are not kept in readings. `with_log` gives batches of the run's log lines among the readings,
        from `log_after` on, oldest first and each once; what the log holds by then comes before a reading of an end,
        and who goes on after it is given the lines that are late.

        Raises FlowRunNotFound when there can be no such run, FlowRunLost when it is gone, PrefectUnreachable when the
        API did not say for `patience_seconds` how it stands, PrefectUnauthorised when it refuses the credentials,
        UnexpectedAnswer when its answer about this run cannot be read.
        """
        follower = self._join(_checked(flow_run_id), patience_seconds, LogTail(log_after) if with_log else None)
        try:
            while True:
                await follower.news()
                reading = follower.take_reading()
                if reading is not None and has_ended(reading):
                    await self._complete_log(follower, reading)
                if lines := follower.take_lines():
                    yield lines
                if reading is not None:
                    yield reading
        finally:
            self._leave(follower)

    async def _complete_log(self, follower: Follower, reading: FlowRun) -> None:
        """Read the log of a run that has ended up to its closing line, which comes some time after the state.

        A run that has written nothing for a while writes no log; one whose process was killed writes no closing line.
        """
        tail, loop = follower.tail, asyncio.get_running_loop()
        if tail is None:
            return
        await self._logs.finish(follower.run.flow_run_id)
        if tail.is_empty and reading.seconds_begun > self.policy.silent_seconds:
            return
        until, pause_seconds = loop.time() + self.policy.last_lines_seconds, FIRST_PAUSE_SECONDS
        while not tail.closed and loop.time() < until:
            await asyncio.sleep(pause_seconds)
            await self._logs.finish(follower.run.flow_run_id)
            pause_seconds = min(2 * pause_seconds, self.policy.last_lines_pause_seconds)

    async def confirm(self, flow_run_id: str) -> FlowRun:
        """How the run stands by the API's word, read now and whole; many who ask at once share a request.

        Where an event was ahead of the API, a moment is given to it. Raises as `follow` does; a request that fails is
        not borne with for longer than its own few attempts.
        """
        asked_id, loop = _checked(flow_run_id), asyncio.get_running_loop()
        asked_at = loop.time()
        reading = await self._confirming.ask(asked_id)
        for pause_seconds in AHEAD_PAUSES_SECONDS:
            followed = self._runs.get(asked_id)
            if followed is None or not is_older(reading, followed.reading):
                break
            await asyncio.sleep(pause_seconds)
            asked_at = loop.time()
            reading = await self._confirming.ask(asked_id)
        if asked_id in self._runs and self._runs[asked_id].see(reading, asked_at, loop.time()):
            self._reconciling.read_soon(asked_id)
        return reading

    async def result_of(self, flow_run_id: str) -> Mapping[str, Any] | None:
        """The result that the run published last, None where it published none; many who ask share a request.

        Raises UnexpectedAnswer when it is no JSON object, PrefectApiError when it cannot be read.
        """
        return await self._results.ask(_checked(flow_run_id))

    def _join(self, flow_run_id: str, patience_seconds: float, tail: LogTail | None) -> Follower:
        now = asyncio.get_running_loop().time()
        run = self._runs.setdefault(flow_run_id, FollowedRun(flow_run_id))
        follower = Follower(run, patience_seconds, tail, now)
        run.followers.append(follower)
        if run.reading is not None and self._reconciling.is_fresh(run, now):
            follower.tell(run.reading)
        else:
            self._reconciling.read_soon(flow_run_id)
        if tail is not None:
            self._logs.add(flow_run_id)
        if self._service is None or self._service.done():
            self._service = asyncio.create_task(self._serve(), name=f"bridge waits on {self.connection.api_url}")
            self._service.add_done_callback(self._ended)
        return follower

    def _leave(self, follower: Follower) -> None:
        run = follower.run
        run.followers.remove(follower)
        if not run.followers:
            del self._runs[run.flow_run_id]
        if not self._runs and self._service is not None:
            self._service.cancel()
            self._service = None
            self._closed()

    async def _serve(self) -> None:
        self._last_event = None
        async with self._borrowed_client(), asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._reconciling.read_for_ever())
            group.create_task(self._logs.keep_reading())

    def _ended(self, service: asyncio.Task[None]) -> None:
        """Nobody may wait for a service that has died of a fault of its own."""
        if service.cancelled() or (group := service.exception()) is None:
            return
        self._closed()
        errors = group.exceptions if isinstance(group, BaseExceptionGroup) else (group,)
        error = errors[0]
        if len(errors) > 1 or not isinstance(error, BridgeError):
            log.error("Waiting on %s broke down", self.connection.api_url, exc_info=group)
            error = UnexpectedAnswer(f"Waiting on {self.connection.api_url} broke down: {errors!r}")
        for run in self._runs.values():
            for follower in run.followers:
                follower.fail(copy_error(error))

    async def _listen(self) -> None:
        pause = self.policy.reconnect_seconds
        while True:
            try:
                async with aclosing(state_changes(self.connection, self._last_event, self._opened)) as changes:
                    async for change in changes:
                        pause = self.policy.reconnect_seconds
                        self._hear(change)
            except (PrefectUnreachable, PrefectUnauthorised) as error:
                log.info("No events from Prefect, reading at intervals instead: %s", error)
            self._closed()
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.policy.longest_reconnect_seconds)

    def _hear(self, change: StateChange) -> None:
        self._last_event = max(change.occurred, self._last_event or change.occurred)
        if (run := self._runs.get(change.flow_run_id)) is not None:
            run.hear(change, asyncio.get_running_loop().time())

    def _opened(self) -> None:
        self.listening = True
        self._reconciling.socket_opened()

    def _closed(self) -> None:
        self.listening = False
        self._reconciling.socket_closed()

    async def _ask(self, operation: Operation[T]) -> T:
        async with self._borrowed_client() as client:
            return await client.run(operation)

    @asynccontextmanager
    async def _borrowed_client(self) -> AsyncIterator[AsyncPrefectClient]:
        """The one client, made for the first who needs it and closed after the last."""
        if self._client is None:
            self._client = AsyncPrefectClient(self.connection, RetryPolicy(attempts=ATTEMPTS))
        self._borrowers += 1
        try:
            yield self._client
        finally:
            self._borrowers -= 1
            if not self._borrowers:
                client, self._client = self._client, None
                await client.close()

    async def _read_runs(self, flow_run_ids: Sequence[str]) -> Mapping[str, FlowRun | BridgeError]:
        readings = await self._ask(read_page(flow_run_ids))
        nameless = readings.spoilt.get("")
        return {
            each: readings.runs.get(each)
            or readings.spoilt.get(each)
            or nameless
            or lost(each, self.connection.flow_run_url(each))
            for each in flow_run_ids
        }

    async def _read_results(self, flow_run_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any] | BridgeError | None]:
        results = await self._ask(read_results(flow_run_ids))
        return {each: results.get(each) for each in flow_run_ids}


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[PrefectConnection, SharedWaiting]] = WeakKeyDictionary()


def shared_waiting(connection: PrefectConnection, policy: WaitingPolicy | None = None) -> SharedWaiting:
    """The waiting that all callers in this event loop share for this API; the first caller's policy holds."""
    waitings = _by_loop.setdefault(asyncio.get_running_loop(), {})
    if connection not in waitings:
        waitings[connection] = SharedWaiting(connection, policy or WaitingPolicy())
    return waitings[connection]


def _checked(flow_run_id: str) -> str:
    """The id as Prefect writes it: one that is none would spoil the request of everybody."""
    try:
        return str(UUID(flow_run_id))
    except ValueError as error:
        raise FlowRunNotFound(f"{flow_run_id!r} is not the id of a flow run, which is a UUID") from error
