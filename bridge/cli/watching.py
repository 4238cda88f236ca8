"""Following one run from the command line: its state and its log, until it has ended."""

from __future__ import annotations

import time
from datetime import datetime

from bridge.cli.display import Display
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.verdict import Live, judge

POLL_SECONDS = 1.0
CLOSING_LINE = "Finished in state"
"""With this Prefect's engine ends a flow run's log, some time after the state has become known."""
LAST_LINES_SECONDS = 8.0


def watch(client: PrefectClient, flow_run_id: str, display: Display) -> FlowRun:
    """The run once it has ended; state changes and log lines are shown meanwhile, each line once and in order."""
    tail = LogTail(client, flow_run_id)
    shown = ""
    with display.live() as live:
        while True:
            run = client.run(wire.read_flow_run(flow_run_id))
            live.state(run)
            if run.state_name != shown:
                shown = run.state_name
                display.state(run)
            for line in tail.new_lines():
                display.log(line)
            if not isinstance(judge(run), Live):
                break
            time.sleep(POLL_SECONDS)
    if run.start_time is not None:
        for line in tail.last_lines():
            display.log(line)
    return run


class LogTail:
    """The growing log of one run; Prefect's clients send lines in batches, so late ones are looked for again."""

    def __init__(self, client: PrefectClient, flow_run_id: str) -> None:
        self._client = client
        self._flow_run_id = flow_run_id
        self._from: datetime | None = None
        self._seen: set[str] = set()
        self._closed = False

    def last_lines(self) -> list[LogLine]:
        """The lines of a run that has ended which were still under way: until its closing line has come.

        A run whose process was killed writes none; then LAST_LINES_SECONDS are waited.
        """
        found: list[LogLine] = []
        deadline = time.monotonic() + LAST_LINES_SECONDS
        while not self._closed and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS / 2)
            found += self.new_lines()
        return found

    def new_lines(self) -> list[LogLine]:
        """The lines that came since the last call, oldest first."""
        fresh: list[LogLine] = []
        offset = 0
        while True:
            page = self._client.run(wire.read_logs(self._flow_run_id, after=self._from, offset=offset))
            fresh += [line for line in page if line.id not in self._seen]
            offset += len(page)
            if len(page) < wire.PAGE:
                break
        self._seen.update(line.id for line in fresh)
        self._closed = self._closed or any(line.message.startswith(CLOSING_LINE) for line in fresh)
        if fresh:
            self._from = fresh[-1].timestamp
        return fresh
