"""A flow run's log in the task's log: Prefect's lines with their level, each once.

Owns how far it has been written. That is remembered as an XCom of the task, so that a triggerer which takes over from
one that died goes on where the other had stopped, give or take SAVE_SECONDS.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk.exceptions import AirflowException

from bridge.in_airflow.airflow_internals import AirflowRuntimeError, read_xcom, write_xcom
from bridge.in_airflow.hand_over import may_be_a_takeover
from bridge.prefect_api import exchange, wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import LogLine
from bridge.waiting.log_tail import CLOSING_LINE, LogTail

AIRFLOW_ERRORS = (AirflowException, AirflowRuntimeError)
"""What Airflow answers a trigger where it cannot do what was asked."""

POSITION_KEY = "prefect_log_position"
SAVE_SECONDS = 10.0

LAST_LINES_SECONDS = 3.0
"""How long a failure waits for the lines that were under way; Prefect's clients send them every two seconds."""
LOOK_SECONDS = 0.5


class RunLog:
    """Writes lines to `log`; `until` is the time of the last line that was written before."""

    def __init__(self, log: Any, ti: Any, until: str | None) -> None:
        self._log = log
        self._ti = ti
        self.position: datetime | None = None if until is None else datetime.fromisoformat(until)
        """From when on lines are wanted; None is from the beginning."""
        self.closed = False
        """Whether the run's closing line has been written."""
        self._saved_at = time.monotonic()

    async def find_position(self, resume_not_before: str | None) -> None:
        """Where another triggerer has stopped writing, if this one takes over."""
        if self._ti is None or not may_be_a_takeover(resume_not_before):
            return
        try:
            saved = await read_xcom(key=POSITION_KEY, **xcom_place(self._ti))
        except AIRFLOW_ERRORS as error:
            self._log.warning("The log may begin anew: Airflow does not say how far it was written: %s", error)
            return
        if saved is not None:
            self.position = datetime.fromisoformat(saved)

    async def write(self, lines: Sequence[LogLine]) -> None:
        """Write these lines, and now and then how far that was."""
        write_lines(self._log, lines)
        self.closed = self.closed or any(line.message.startswith(CLOSING_LINE) for line in lines)
        newest = max(line.timestamp for line in lines) + timedelta(microseconds=1)
        self.position = max(newest, self.position or newest)
        if self._ti is not None and time.monotonic() - self._saved_at > SAVE_SECONDS:
            self._saved_at = time.monotonic()
            try:
                await write_xcom(POSITION_KEY, self.position.isoformat(), **xcom_place(self._ti))
            except AIRFLOW_ERRORS as error:
                self._log.warning("How far the log was written cannot be saved: %s", error)


def write_lines(log: Any, lines: Sequence[LogLine]) -> None:
    """Each line with its level and the time at which the flow wrote it."""
    for line in lines:
        log.log(line.level, "[Prefect %s] %s", line.timestamp.strftime("%H:%M:%S.%f")[:-3], line.message)


def last_lines(client: PrefectClient, flow_run_id: str, until: str | None, wait_seconds: float) -> Sequence[LogLine]:
    """The lines of a run that has ended, after those written `until` then; waits so long for those under way."""
    tail = LogTail(None if until is None else datetime.fromisoformat(until))
    found: list[LogLine] = []
    deadline = time.monotonic() + wait_seconds
    while True:
        since, offset, page_is_full = tail.since, 0, True
        while page_is_full:
            page = client.run(wire.read_logs(flow_run_id, after=since, offset=offset))
            found += tail.take(page)
            offset += len(page)
            page_is_full = len(page) == exchange.PAGE
        if tail.closed or time.monotonic() > deadline:
            return found
        time.sleep(LOOK_SECONDS)


def xcom_place(ti: Any) -> dict[str, Any]:
    """Where an XCom of this task instance lies."""
    map_index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": map_index}
