"""Which lines of a growing log are new, and in which order: pure, for whoever reads a run's log again and again.

Prefect's clients send lines in batches of up to two seconds, and one run may have several clients: a line may arrive
after younger ones. So a reader asks from `since` on, which reaches back a little, and gives what came to `take`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from bridge.prefect_api.records import LogLine

OVERLAP = timedelta(seconds=10)
"""How much later than a younger line a line may arrive."""

CLOSING_LINE = "Finished in state"
"""With this Prefect's engine ends a flow run's log, some time after the state has become known."""


class LogTail:
    """The log of one run as far as it has been read. Lines before `after` are not wanted.

    Use: `page = read_logs(run, after=tail.since)`, then show `tail.take(page)`. Several pages of one reading may be
    taken one by one, with `since` asked for once, before the first.
    """

    __slots__ = ("_after", "_newest", "_seen", "closed")

    def __init__(self, after: datetime | None = None) -> None:
        self._after = after
        self._newest: datetime | None = None
        self._seen: dict[str, datetime] = {}
        self.closed = False
        """Whether the run's closing line has come."""

    @property
    def is_empty(self) -> bool:
        """Whether no line has been taken."""
        return self._newest is None

    @property
    def since(self) -> datetime | None:
        """From when on to ask; None is from the beginning."""
        if self._newest is None:
            return self._after
        since = self._newest - OVERLAP
        return since if self._after is None else max(since, self._after)

    def take(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """Those lines that were not taken before, oldest first; what is older than `since` is left out."""
        since = self.since
        fresh = {
            line.id: line for line in lines if line.id not in self._seen and (since is None or line.timestamp >= since)
        }
        if not fresh:
            return []
        taken = sorted(fresh.values(), key=lambda line: line.timestamp)
        self._newest = max(taken[-1].timestamp, self._newest or taken[-1].timestamp)
        self._seen |= {line.id: line.timestamp for line in taken}
        self.closed = self.closed or any(line.message.startswith(CLOSING_LINE) for line in taken)
        self._forget(self._newest - OVERLAP)
        return taken

    def _forget(self, before: datetime) -> None:
        """Only the lines that may be asked for again are remembered."""
        self._seen = {each: timestamp for each, timestamp in self._seen.items() if timestamp >= before}
