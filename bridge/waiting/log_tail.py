"""Which lines of a growing log are new, and in which order: pure, for whoever reads a run's log again and again.

A line is known by its id. Prefect sorts a log by the moments that the flow's own processes wrote down, each by its own
clock, and their clients send lines in batches: a line may come after younger ones, and far above them. So a reader asks
for the whole log as long as it is short, else from a little before the newest line on; at the end it looks back once
more over all that is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bridge.prefect_api.batches import read_log_page
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import LogLine

OVERLAP = timedelta(seconds=10)
"""How much later than a younger line a line may arrive."""

HAND_OVER_OVERLAP = timedelta(hours=1)
"""How far the clock of a flow may be behind Prefect's, where the reading of its log was handed over."""

KEPT = 2_000
"""So many lines are remembered; half of them are forgotten at once. What sorts above those left is not looked for."""

CLOSING_LINE = "Finished in state"
"""With this Prefect's engine ends a flow run's log, some time after the state has become known."""


class LogTail:
    """The log of one run as far as it has been read. Lines that reached Prefect before `after` are not wanted.

    Use: `page = read_logs(run, after=tail.since)`, then show `tail.take(page)`. Several pages of one reading may be
    taken one by one, with `since` asked for once, before the first.
    """

    __slots__ = ("_after", "_newest", "_seen", "closed", "floor", "lag")

    def __init__(self, after: datetime | None = None) -> None:
        self._after = after
        self._newest: datetime | None = None
        self._seen: dict[str, datetime] = {}
        self.floor: datetime | None = None if after is None else after - HAND_OVER_OVERLAP
        """From when on to ask for all that may still be new; None is from the beginning."""
        self.lag = timedelta.min
        """By how much, at most, a line came to Prefect later than the clock said by which it was written."""
        self.closed = False
        """Whether the run's closing line has come."""

    @property
    def is_empty(self) -> bool:
        """Whether no line has been seen."""
        return self._newest is None

    @property
    def since(self) -> datetime | None:
        """From when on to ask for what is probably new; None is from the beginning."""
        if self._newest is None or len(self._seen) < PAGE:
            return self.floor
        since = self._newest - OVERLAP
        return since if self.floor is None else max(since, self.floor)

    def take(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Those lines that were not seen before, the oldest first."""
        fresh = {line.id: line for line in lines if self._is_new(line)}
        if not fresh:
            return []
        seen = sorted(fresh.values(), key=lambda line: line.timestamp)
        self._newest = max(seen[-1].timestamp, self._newest or seen[-1].timestamp)
        self._seen |= {line.id: line.timestamp for line in seen}
        self.lag = max(self.lag, *(line.arrived - line.timestamp for line in seen))
        taken = [line for line in seen if self._after is None or line.arrived >= self._after]
        self.closed = self.closed or any(is_closing(line) for line in taken)
        if len(self._seen) > KEPT:
            self._forget()
        return taken

    def _is_new(self, line: LogLine) -> bool:
        return line.id not in self._seen and (self.floor is None or line.timestamp >= self.floor)

    def _forget(self) -> None:
        moments = sorted(self._seen.values())
        self.floor = floor = moments[-KEPT // 2]
        self._seen = {each: timestamp for each, timestamp in self._seen.items() if timestamp >= floor}


def new_lines(flow_run_id: str, tail: LogTail, *, to_the_floor: bool = False) -> Operation[list[LogLine]]:
    """The lines that came since `tail` was asked last, oldest first; `to_the_floor` looks for whatever is late."""
    since, offset = tail.floor if to_the_floor else tail.since, 0
    found: list[LogLine] = []
    while True:
        rows = yield from read_log_page([flow_run_id], after=since, offset=offset)
        found += [line for _, line in filter(None, rows)]
        offset += len(rows)
        if len(rows) < PAGE:
            return tail.take(found)


def is_closing(line: LogLine) -> bool:
    """Whether it is the engine's last line of a flow run; each of its task runs has one of its own."""
    return line.task_run_id is None and line.message.startswith(CLOSING_LINE)
