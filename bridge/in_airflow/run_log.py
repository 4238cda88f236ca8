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
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import LogLine
from bridge.waiting.decoration import Decoration
from bridge.waiting.log_tail import LogTail, is_closing, new_lines
from bridge.waiting.task_names import TaskNames

AIRFLOW_ERRORS = (AirflowException, AirflowRuntimeError)
"""What Airflow answers a trigger where it cannot do what was asked."""

POSITION_KEY = "prefect_log_position"
SAVE_SECONDS = 10.0

LAST_LINES_SECONDS = 3.0
"""How long a failure waits for the lines that were under way; Prefect's clients send them every two seconds."""
LOOK_SECONDS = 0.5
"""Between two looks for the last lines, which Prefect stores some seconds after the run's end."""
DECORATION = "The flow's log in the task's"


class RunLog:
    """Writes lines to `log`; `until` is when the last line that was written before had come to Prefect."""

    def __init__(self, log: Any, ti: Any, until: str | None) -> None:
        self._log = log
        self._ti = ti
        self.position: datetime | None = None if until is None else datetime.fromisoformat(until)
        """From when on lines are wanted; None is from the beginning."""
        self.closed = False
        """Whether the run's closing line has been written."""
        self._saved_at = time.monotonic()
        self._decoration = Decoration(log.warning, DECORATION)

    async def find_position(self, resume_not_before: str | None) -> None:
        """Where another triggerer has stopped writing, if this one takes over."""
        if self._ti is None or not may_be_a_takeover(resume_not_before):
            return
        with self._decoration.attempt():
            saved = await read_xcom(key=POSITION_KEY, **xcom_place(self._ti))
            if saved is not None:
                found = datetime.fromisoformat(saved)
                self.position = max(found, self.position or found)

    async def write(self, lines: Sequence[LogLine]) -> None:
        """Write these lines, and now and then how far that was."""
        write_lines(self._log, lines, self._decoration)
        self.closed = self.closed or any(map(is_closing, lines))
        newest = max(line.arrived for line in lines) + timedelta(microseconds=1)
        self.position = max(newest, self.position or newest)
        if self._ti is not None and time.monotonic() - self._saved_at > SAVE_SECONDS:
            self._saved_at = time.monotonic()
            with self._decoration.attempt():
                await write_xcom(POSITION_KEY, self.position.isoformat(), **xcom_place(self._ti))


def write_lines(log: Any, lines: Sequence[LogLine], decoration: Decoration | None = None) -> None:
    """Each line with its level and the time at which the flow wrote it.

    Airflow's logger knows the named levels alone: a line between two of them is written at the lower one, and says so.
    """
    decoration = decoration or Decoration(log.warning, DECORATION)
    for line in lines:
        with decoration.attempt():
            log.log(line.named_level, "[Prefect %s] %s", line.timestamp.strftime("%H:%M:%S.%f")[:-3], line.text)


def write_last_lines(log: Any, client: PrefectClient, flow_run_id: str, until: str | None, wait_seconds: float) -> None:
    """Write the lines of a run that has ended, after those written `until` then; waits so long for those under way."""
    decoration = Decoration(log.warning, DECORATION)
    with decoration.attempt():
        tail = LogTail(None if until is None else datetime.fromisoformat(until))
        names = TaskNames()
        deadline = time.monotonic() + wait_seconds
        while True:
            lines = client.run(new_lines(flow_run_id, tail, to_the_floor=True))
            with decoration.attempt():
                client.run(names.learn(lines))
            write_lines(log, names.name(lines), decoration)
            if tail.closed or time.monotonic() > deadline:
                return
            time.sleep(LOOK_SECONDS)


def xcom_place(ti: Any) -> dict[str, Any]:
    """Where an XCom of this task instance lies."""
    map_index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": map_index}
