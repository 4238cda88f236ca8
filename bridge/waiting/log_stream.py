"""The logs of all followed runs, read together: one request for all of them at intervals, one more when runs end.

Lines are sorted by the clocks of the processes that wrote them, and taken in by Prefect's, whose time the lines' ids
bear. So each run is asked for from a little before the last reading on, by Prefect's clock less what its own lines have
lagged behind that; runs of like lag share a request, which is all of them where clocks are in order. No clock of this
machine is in it but to count seconds. A line that sorts further above comes with its run's last reading.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from bridge.errors import BridgeError, PrefectApiError
from bridge.prefect_api.batches import LOGS_PAGE, read_log_page
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import LogLine
from bridge.waiting.batching import Batcher
from bridge.waiting.decoration import Decoration
from bridge.waiting.followed import FollowedRun
from bridge.waiting.log_tail import OVERLAP, LogTail
from bridge.waiting.task_names import TaskNames

log = logging.getLogger(__name__)

T = TypeVar("T")

PAGES_AT_ONCE = 50
"""Pages of lines that one reading fetches before the lines are handed on; the next reading goes on from there."""

LIKE_LAG = timedelta(seconds=30)
"""Runs whose lines lag behind Prefect's clock by no more than this from one to the other are read together."""

NAMES_SECONDS = 3.0
"""How long lines are held back for the names of their task runs."""


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
        """Runs that were not read to their end yet; they are read from their own newest lines on."""
        self._clock = _PrefectClock()
        self._read_until: datetime | None = None
        """When the last reading began, by Prefect's clock."""
        self._names = TaskNames()
        self._naming = Decoration(log.warning, "Names of task runs in logs")
        self._reading = Decoration(log.warning, "Reading logs")
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
            complete = True
            with self._reading.attempt():
                try:
                    complete = await self._read_all(wanted)
                except PrefectApiError as error:
                    log.warning("Reading the logs of %d flow runs failed: %s", len(wanted), error)
            await asyncio.sleep(pause_seconds if complete else 0)

    async def finish(self, flow_run_id: str) -> None:
        """What the log of a run that has ended holds by now, to its followers."""
        with self._reading.attempt():
            try:
                await self._ending.ask(flow_run_id)
            except PrefectApiError as error:
                log.warning("Reading the log of flow run %s failed: %s", flow_run_id, error)

    def _wanted(self) -> list[str]:
        return [each for each, run in self._runs.items() if any(f.tail is not None for f in run.followers)]

    async def _read_all(self, wanted: Sequence[str]) -> bool:
        """Whether everything was read; else the next reading goes on at once."""
        begun = self._clock.now()
        silent = [each for each in wanted if any(tail.is_empty for tail in self._tails(each))]
        unread = [each for each in wanted if each in self._unread.difference(silent)]
        known = [each for each in wanted if each not in self._unread.union(silent)]
        readings = [
            (silent, self._since(silent)),
            (unread, self._since(unread)),
            *self._by_lag(known, self._read_until),
        ]
        self._unread = set(unread)
        for flow_run_ids, since in readings:
            if flow_run_ids and await self._read(flow_run_ids, since) is not None:
                self._unread.update(flow_run_ids)
            else:
                self._unread.difference_update(flow_run_ids)
        self._read_until = begun
        return not self._unread

    def _by_lag(
        self, flow_run_ids: Iterable[str], read_until: datetime | None
    ) -> Iterator[tuple[Sequence[str], datetime | None]]:
        """Runs that share a request, and from when on each is asked for."""
        lags = {each: max(tail.lag for tail in self._tails(each)) for each in flow_run_ids}
        group: list[str] = []
        for position, each in enumerate(ordered := sorted(lags, key=lambda each: lags[each], reverse=True)):
            group.append(each)
            following = ordered[position + 1] if position + 1 < len(ordered) else None
            if following is None or lags[group[0]] - lags[following] > LIKE_LAG:
                yield group, None if read_until is None else read_until - lags[group[0]] - OVERLAP
                group = []

    def _tails(self, flow_run_id: str) -> list[LogTail]:
        run = self._runs.get(flow_run_id)
        return [follower.tail for follower in run.followers if follower.tail is not None] if run is not None else []

    async def _read_ending(self, flow_run_ids: Sequence[str]) -> Mapping[str, BridgeError | None]:
        floors = [tail.floor for each in flow_run_ids for tail in self._tails(each)]
        since = _earliest(floors)
        while True:
            till = await self._read(flow_run_ids, since)
            if till is None or till == since:
                return dict.fromkeys(flow_run_ids)
            since = till

    def _since(self, flow_run_ids: Sequence[str]) -> datetime | None:
        """From when on these runs must be asked for, so that each of their followers misses nothing."""
        return _earliest([tail.since for each in flow_run_ids for tail in self._tails(each)])

    async def _read(self, flow_run_ids: Sequence[str], since: datetime | None) -> datetime | None:
        """Hand the lines on; the time of the last one when there are more than were fetched."""
        till: datetime | None = None
        for start in range(0, len(flow_run_ids), LOGS_PAGE):
            last = await self._read_some(flow_run_ids[start : start + LOGS_PAGE], since)
            till = last if till is None or (last is not None and last < till) else till
        return till

    async def _read_some(self, flow_run_ids: Sequence[str], since: datetime | None) -> datetime | None:
        newest: datetime | None = None
        for number in range(PAGES_AT_ONCE):
            rows = await self._ask(read_log_page(flow_run_ids, after=since, offset=number * PAGE))
            found = list(filter(None, rows))
            await self._hand_on(found)
            newest = max((line.timestamp for _, line in found), default=newest)
            if len(rows) < PAGE:
                return None
        return newest

    async def _hand_on(self, found: Sequence[tuple[str, LogLine]]) -> None:
        self._clock.see(line for _, line in found)
        with self._naming.attempt():
            async with asyncio.timeout(NAMES_SECONDS):
                await self._ask(self._names.learn(line for _, line in found))
        by_run: dict[str, list[LogLine]] = {}
        for (flow_run_id, _), line in zip(found, self._names.name(line for _, line in found), strict=True):
            by_run.setdefault(flow_run_id, []).append(line)
        for flow_run_id, lines in by_run.items():
            run = self._runs.get(flow_run_id)
            for follower in run.followers if run is not None else ():
                follower.tell_lines(lines)


class _PrefectClock:
    """Prefect's clock, as far as lines tell: when the newest came, and the seconds since."""

    def __init__(self) -> None:
        self._seen: datetime | None = None
        self._seen_at = 0.0

    def see(self, lines: Iterable[LogLine]) -> None:
        newest = max((line.arrived for line in lines), default=None)
        now = self.now()
        if newest is not None and (now is None or newest > now):
            self._seen, self._seen_at = newest, asyncio.get_running_loop().time()

    def now(self) -> datetime | None:
        """None as long as no line has come."""
        if self._seen is None:
            return None
        return self._seen + timedelta(seconds=asyncio.get_running_loop().time() - self._seen_at)


def _earliest(moments: Sequence[datetime | None]) -> datetime | None:
    known = [each for each in moments if each is not None]
    return min(known) if known and len(known) == len(moments) else None
