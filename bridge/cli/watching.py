"""Following one run from the command line: its state and its log, until it has ended.

A Prefect that is away for a while is waited for, and the display says so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bridge.cli.display import Display
from bridge.errors import FlowRunTimedOut, PrefectUnreachable
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.verdict import Live, judge
from bridge.waiting.decoration import Decoration
from bridge.waiting.log_tail import LogTail, new_lines
from bridge.waiting.task_names import TaskNames

T = TypeVar("T")

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""Between two looks at a run that somebody follows on a terminal."""
LAST_LINES_SECONDS = 8.0
"""How long the last lines are waited for after the end: a run whose process was killed writes no closing line."""


@dataclass
class Watcher:
    """Follows runs; gives up when Prefect was away for `patience_seconds` or `timeout_seconds` have passed."""

    client: PrefectClient
    display: Display
    patience_seconds: float
    timeout_seconds: float | None = None
    last: FlowRun | None = None
    """The run as it was read last."""
    _names: TaskNames = field(default_factory=TaskNames)
    _naming: Decoration = field(default_factory=lambda: Decoration(log.debug, "Names of task runs in logs"))

    def watch(self, flow_run_id: str) -> FlowRun:
        """The run once it has ended; state changes and log lines are shown meanwhile, each line once and in order.

        Raises FlowRunTimedOut when the time is up, PrefectUnreachable when Prefect stays away, FlowRunNotFound,
        FlowRunLost when the run is deleted meanwhile.
        """
        deadline = None if self.timeout_seconds is None else time.monotonic() + self.timeout_seconds
        url = self.client.connection.flow_run_url(flow_run_id)
        run = self.ask(lambda: wire.read_flow_run(flow_run_id), flow_run_id, deadline)
        tail = LogTail()
        shown = ""
        with self.display.live() as live:
            while True:
                self.last = run
                live.state(run)
                if run.state_name != shown:
                    shown = run.state_name
                    self.display.state(run)
                self._show(self.ask(lambda: new_lines(flow_run_id, tail), flow_run_id, deadline))
                if not isinstance(judge(run), Live):
                    break
                _pause(deadline, flow_run_id, url)
                run = self.ask(lambda: wire.reread_flow_run(flow_run_id, url), flow_run_id, deadline)
        if run.start_time is not None:
            self._show_last_lines(flow_run_id, tail)
        return run

    def _show_last_lines(self, flow_run_id: str, tail: LogTail) -> None:
        until = time.monotonic() + LAST_LINES_SECONDS
        while not tail.closed and time.monotonic() < until:
            time.sleep(POLL_SECONDS / 2)
            self._show(self.ask(lambda: new_lines(flow_run_id, tail, to_the_floor=True), flow_run_id))

    def _show(self, lines: Sequence[LogLine]) -> None:
        for line in self.named(lines):
            self.display.log(line)

    def named(self, lines: Sequence[LogLine]) -> Sequence[LogLine]:
        """The lines with the names of their task runs, where Prefect tells them."""
        with self._naming.attempt():
            self.client.run(self._names.learn(lines))
        return self._names.name(lines)

    def ask(self, operation: Callable[[], Operation[T]], flow_run_id: str, deadline: float | None = None) -> T:
        """What the operation returns; it is asked again while Prefect is away, so it must change nothing."""
        away_since: float | None = None
        while True:
            try:
                answer = self.client.run(operation())
            except PrefectUnreachable as error:
                asked = time.monotonic()
                if away_since is None:
                    away_since = asked
                    self.display.away(self.client.connection.api_url, self.patience_seconds)
                if asked - away_since >= self.patience_seconds:
                    raise PrefectUnreachable(
                        f"{error} Nothing is known of flow run {flow_run_id}; it may go on. "
                        f"Follow it again: bridge watch {flow_run_id}"
                    ) from error
                _pause(deadline, flow_run_id, self.client.connection.flow_run_url(flow_run_id))
                continue
            if away_since is not None:
                self.display.back(time.monotonic() - away_since)
            return answer


def _pause(deadline: float | None, flow_run_id: str, url: str) -> None:
    """Sleep until the next look; raises FlowRunTimedOut once the deadline has passed."""
    left = POLL_SECONDS if deadline is None else deadline - time.monotonic()
    if left <= 0:
        raise FlowRunTimedOut(
            f"The time to wait is over; the run goes on. Follow it: bridge watch {flow_run_id}; "
            f"end it: bridge cancel {flow_run_id}. {url}",
            flow_run_id=flow_run_id,
            url=url,
        )
    time.sleep(min(POLL_SECONDS, left))
