"""The logs of all followed runs, read together: one request for all of them at intervals, one more when runs end.

All runs of a reading are asked for from one moment on, a little before the last reading. A line that is late by more
than `log_tail.OVERLAP`, or whose clock is, comes with its run's last reading, which asks from that run's own newest
line on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from bridge.errors import BridgeError, PrefectApiError
from bridge.prefect_api.batches import LOGS_PAGE, read_log_page
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import LogLine
from bridge.waiting.batching import Batcher
from bridge.waiting.followed import FollowedRun
from bridge.waiting.log_tail import OVERLAP

log = logging.getLogger(__name__)

T = TypeVar("T")

PAGES_AT_ONCE = 50
"""Pages of lines that one reading fetches before the lines are handed on; the next reading goes on from there."""


class Ask(Protocol):
    """Carries an operation out."""

    def __call__(self, operation: Operation[T]) -> Awaitable[T]: ...


class LogStream:
    """Reads logs for those followers of `runs` that have a tail."""

    def __init__(
        self,
        ask: Ask,
        runs: Mapping[str, FollowedRun],
        *,
        log_seconds: float,
        gather_seconds: float,
        spacing_seconds: float,
    ) -> None:
        self._ask = ask
        self._runs = runs
        self._log_seconds = log_seconds
        self._unread: set[str] = set()
        """Runs of which some follower has seen no line yet; they are read from their own beginnings."""
        self._from: datetime | None = None
        self._ending: Batcher[None] = Batcher(
            self._read_ending, gather_seconds=gather_seconds, spacing_seconds=spacing_seconds, most=PAGE
        )

    def add(self, flow_run_id: str) -> None:
        """A follower who wants the log has come."""
        self._unread.add(flow_run_id)

    async def keep_reading(self) -> None:
        """Read for ever. Logs are worth no wait: what fails is tried again at the next reading."""
        while True:
            wanted = self._wanted()
            pause_seconds = self._log_seconds * max(1, -(-len(wanted) // LOGS_PAGE))
            try:
                complete = await self._read_all(wanted)
            except PrefectApiError as error:
                log.warning("Reading the logs of %d flow runs failed: %s", len(wanted), error)
                complete = True
            await asyncio.sleep(pause_seconds if complete else 0)

    async def finish(self, flow_run_id: str) -> None:
        """What the log of a run that has ended holds by now, to its followers."""
        try:
            await self._ending.ask(flow_run_id)
        except PrefectApiError as error:
            log.warning("Reading the log of flow run %s failed: %s", flow_run_id, error)

    def _wanted(self) -> list[str]:
        return [each for each, run in self._runs.items() if any(f.tail is not None for f in run.followers)]

    async def _read_all(self, wanted: Sequence[str]) -> bool:
        begun = datetime.now(UTC)
        unread, self._unread = self._unread, set()
        new = [each for each in wanted if each in unread]
        known = [each for each in wanted if each not in unread]
        try:
            newly_till = await self._read(new, self._since(new))
        except PrefectApiError:
            self._unread |= unread
            raise
        if newly_till is not None:
            self._unread.update(new)
        till = await self._read(known, self._from)
        self._from = till or begun - OVERLAP
        return newly_till is None and till is None

    async def _read_ending(self, flow_run_ids: Sequence[str]) -> Mapping[str, BridgeError | None]:
        till, since = None, self._since(flow_run_ids)
        while True:
            till = await self._read(flow_run_ids, since)
            if till is None or till == since:
                return dict.fromkeys(flow_run_ids)
            since = till

    def _since(self, flow_run_ids: Sequence[str]) -> datetime | None:
        """From when on these runs must be asked for, so that each of their followers misses nothing."""
        tails = [f.tail for each in flow_run_ids if each in self._runs for f in self._runs[each].followers if f.tail]
        moments = [tail.since for tail in tails if tail.since is not None]
        return min(moments) if moments and len(moments) == len(tails) else None

    async def _read(self, flow_run_ids: Sequence[str], since: datetime | None) -> datetime | None:
        """Hand the lines on; the time of the last one when there are more than were fetched."""
        till: datetime | None = None
        for start in range(0, len(flow_run_ids), LOGS_PAGE):
            last = await self._read_some(flow_run_ids[start : start + LOGS_PAGE], since)
            till = last if till is None or (last is not None and last < till) else till
        return till

    async def _read_some(self, flow_run_ids: Sequence[str], since: datetime | None) -> datetime | None:
        for number in range(PAGES_AT_ONCE):
            rows = await self._ask(read_log_page(flow_run_ids, after=since, offset=number * PAGE))
            by_run: dict[str, list[LogLine]] = {}
            for flow_run_id, line in filter(None, rows):
                by_run.setdefault(flow_run_id, []).append(line)
            for flow_run_id, lines in by_run.items():
                self._hand_on(flow_run_id, lines)
            if len(rows) < PAGE:
                return None
        return max((line.timestamp for lines in by_run.values() for line in lines), default=None)

    def _hand_on(self, flow_run_id: str, lines: Sequence[LogLine]) -> None:
        run = self._runs.get(flow_run_id)
        for follower in run.followers if run is not None else ():
            follower.tell_lines(lines)
