"""The log of a flow run as far as it was read, for all who look at it. Without I/O, as `bridge.prefect_api`."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import replace

from bridge.prefect_api import run_queries, wire
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import LogLine
from bridge.waiting.log_tail import LogTail
from plugins.control_page.run_views import shortened

LINES_KEPT = 2_000
CHARACTERS_KEPT = 500_000
LINE_CHARACTERS = 10_000
"""As much as a browser shows without a stutter; what is longer or earlier is in Prefect, which takes lines of a MB."""
PAGES_AT_ONCE = 3
BOOKS_KEPT = 50


class LogBook:
    """One run's log: its last page at first, and whatever comes after it."""

    def __init__(self, flow_run_id: str) -> None:
        self._flow_run_id = flow_run_id
        self._tail = LogTail()
        self._lines: deque[LogLine] = deque()
        self._characters = 0
        self.begins_in_the_middle = False

    @property
    def is_closed(self) -> bool:
        """Whether Prefect's closing line has come."""
        return self._tail.closed

    def read(self) -> Operation[tuple[LogLine, ...]]:
        """What has come since the last reading is added; gives all that is kept, the oldest first."""
        if self._tail.is_empty:
            last = yield from run_queries.read_last_logs(self._flow_run_id)
            self.begins_in_the_middle = len(last) == PAGE
            self._keep(self._tail.take(last))
            return tuple(self._lines)
        since, offset = self._tail.since, 0
        for _ in range(PAGES_AT_ONCE):
            page = yield from wire.read_logs(self._flow_run_id, after=since, offset=offset)
            self._keep(self._tail.take(page))
            offset += len(page)
            if len(page) < PAGE:
                break
        return tuple(self._lines)

    def _keep(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            kept = replace(line, message=shortened(line.message, LINE_CHARACTERS))
            self._lines.append(kept)
            self._characters += len(kept.message)
        while len(self._lines) > LINES_KEPT or self._characters > CHARACTERS_KEPT:
            self._characters -= len(self._lines.popleft().message)
            self.begins_in_the_middle = True


class LogShelf:
    """The books of the runs that were looked at last."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, LogBook] = OrderedDict()

    def book(self, flow_run_id: str) -> LogBook:
        """The run's book, a new one where there is none."""
        book = self._books.setdefault(flow_run_id, LogBook(flow_run_id))
        self._books.move_to_end(flow_run_id)
        while len(self._books) > BOOKS_KEPT:
            self._books.popitem(last=False)
        return book
