"""The reading that decides how followed runs stand: at intervals, and at once for those who have just come.

Owns when which runs are asked for, and what a failed reading means to those who wait for them. A page of runs that
cannot be read ends no other page's waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby

from bridge.errors import BridgeError, PrefectApiError, PrefectUnreachable
from bridge.prefect_api.batches import Readings, read_page
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import PAGE
from bridge.prefect_api.wire import lost
from bridge.waiting.batching import copy_error
from bridge.waiting.followed import FollowedRun
from bridge.waiting.log_stream import Ask

log = logging.getLogger(__name__)

FEW = 20
"""So many runs are always read whole: that is one request, where asking for changes alone is one by state."""

LONGEST_FAILURE_PAUSE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class WaitingPolicy:
    """Paces of the shared wait, in seconds."""

    reconcile_seconds: float = 15.0
    reconcile_without_socket_seconds: float = 3.0
    request_seconds: float = 2.0
    """At most one reconciling request in so many seconds: with many waits the readings become rarer."""
    request_without_socket_seconds: float = 0.6
    whole_seconds: float = 60.0
    """How often runs are read whole, which finds those that were deleted; between, changes alone are asked for."""
    gather_seconds: float = 0.03
    """How long questions are gathered before they are asked in one request."""
    spacing_seconds: float = 0.3
    """At most one gathered request of a kind in so many seconds."""
    reconnect_seconds: float = 2.0
    longest_reconnect_seconds: float = 60.0
    log_seconds: float = 5.0
    last_lines_seconds: float = 3.0
    """How long the end of a run waits for the closing line of its log; Prefect's clients send every two seconds."""
    last_lines_pause_seconds: float = 0.4
    """Between two readings for the closing line, at the longest."""
    silent_seconds: float = 10.0
    """A run that has written no line in so long writes none."""


@dataclass(frozen=True, slots=True)
class _Page:
    """Runs to ask for in one request; with `unless` those alone whose state type is another."""

    flow_run_ids: Sequence[str]
    unless: str | None


class Reconciling:
    """Reads the runs of `waits` for their followers."""

    def __init__(
        self, ask: Ask, runs: dict[str, FollowedRun], connection: PrefectConnection, policy: WaitingPolicy
    ) -> None:
        self._ask = ask
        self._runs = runs
        self._connection = connection
        self._policy = policy
        self._listening = False
        self._newcomers: set[str] = set()
        """Runs to be read whole before the next round."""
        self._due = asyncio.Event()
        self._reconciled_at = float("-inf")
        self._whole_at = float("-inf")
        self._newcomers_at = float("-inf")
        self._failures = 0
        """Readings in a row that failed."""

    def read_soon(self, flow_run_id: str) -> None:
        """Someone has come who must know how this run stands."""
        self._newcomers.add(flow_run_id)
        self._due.set()

    def socket_opened(self) -> None:
        """Events come from now on; what happened before is read at once."""
        self._listening = True
        self._reconciled_at = float("-inf")
        self._due.set()

    def socket_closed(self) -> None:
        """No events come: readings are more frequent."""
        self._listening = False
        self._due.set()

    def is_fresh(self, run: FollowedRun, now: float) -> bool:
        """Whether what is known of the run is as good as a round's answer."""
        return run.reading is not None and now - run.read_at <= self._interval_seconds()

    async def read_for_ever(self) -> None:
        """Raises what no wait survives; a defect of our own among it."""
        while True:
            await self._until_due()
            for page in self._pages():
                await self._read(page)

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._newcomers and (left := self._reconciled_at + self._interval_seconds() - loop.time()) > 0:
            self._due.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._due.wait()
        if self._newcomers:
            spacing = self._newcomers_at + self._policy.spacing_seconds - loop.time()
            await asyncio.sleep(max(self._policy.gather_seconds, spacing))

    def _interval_seconds(self) -> float:
        policy, pages = self._policy, -(-len(self._runs) // PAGE)
        if self._listening and not self._failures:
            return max(policy.reconcile_seconds, pages * policy.request_seconds)
        return max(policy.reconcile_without_socket_seconds, pages * policy.request_without_socket_seconds)

    def _pages(self) -> Iterator[_Page]:
        """What is to be asked for now: newcomers, and everything when its time has come."""
        now = asyncio.get_running_loop().time()
        newcomers, self._newcomers = self._newcomers & self._runs.keys(), set()
        if newcomers:
            self._newcomers_at = now
        if self._reconciled_at + self._interval_seconds() > now:
            return _paged(newcomers, None)
        self._reconciled_at = now
        pages = -(-len(self._runs) // PAGE)
        whole_seconds = max(self._policy.whole_seconds, 2 * pages * self._policy.request_seconds)
        if len(self._runs) <= FEW or self._whole_at + whole_seconds <= now:
            self._whole_at = now
            return _paged(self._runs, None)
        return self._changes(newcomers)

    def _changes(self, newcomers: set[str]) -> Iterator[_Page]:
        known = {
            each: run.reading.state_type if run.reading is not None and each not in newcomers else ""
            for each, run in self._runs.items()
        }
        for state_type, group in groupby(sorted(known, key=known.__getitem__), key=known.__getitem__):
            yield from _paged(group, state_type or None)

    async def _read(self, page: _Page) -> None:
        begun_at = asyncio.get_running_loop().time()
        try:
            readings = await self._ask(read_page(page.flow_run_ids, page.unless))
        except PrefectUnreachable as error:
            await self._bear(page, error)
        except PrefectApiError as error:
            for run in self._followed(page):
                self._fail(run, error)
        else:
            self._failures = 0
            self._take(page, readings, begun_at)

    async def _bear(self, page: _Page, error: PrefectUnreachable) -> None:
        """A reading has failed: waits go on as long as their patience lasts."""
        self._failures += 1
        now = asyncio.get_running_loop().time()
        log.warning("Reading %d flow runs failed (%d in a row): %s", len(page.flow_run_ids), self._failures, error)
        for run in self._followed(page):
            for follower, waited_seconds in run.out_of_patience(now):
                follower.fail(
                    PrefectUnreachable(
                        f"Prefect has not said for {waited_seconds:.0f} s how flow run {run.flow_run_id} stands; "
                        f"{self._failures} readings in a row failed, the last one because {error}"
                    )
                )
        await asyncio.sleep(min(LONGEST_FAILURE_PAUSE_SECONDS, 0.1 * 2.0 ** min(self._failures, 10)))

    def _take(self, page: _Page, readings: Readings, begun_at: float) -> None:
        now = asyncio.get_running_loop().time()
        for run in self._followed(page):
            flow_run_id = run.flow_run_id
            if (reading := readings.runs.get(flow_run_id)) is not None:
                if run.see(reading, begun_at, now):
                    self.read_soon(flow_run_id)
            elif (spoilt := readings.spoilt.get(flow_run_id)) is not None:
                self._fail(run, spoilt)
            elif page.unless is not None:
                run.read_at = now
            else:
                gone = lost(flow_run_id, self._connection.flow_run_url(flow_run_id))
                self._fail(run, readings.spoilt.get("") or gone)

    def _followed(self, page: _Page) -> list[FollowedRun]:
        """Those runs of the page that somebody follows still."""
        return [self._runs[each] for each in page.flow_run_ids if each in self._runs]

    @staticmethod
    def _fail(run: FollowedRun, error: BridgeError) -> None:
        for follower in run.followers:
            follower.fail(copy_error(error))


def _paged(flow_run_ids: Iterable[str], unless: str | None) -> Iterator[_Page]:
    ids = list(flow_run_ids)
    for start in range(0, len(ids), PAGE):
        yield _Page(ids[start : start + PAGE], unless)
