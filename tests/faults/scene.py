"""What a plan is played with: the task as its DAG file has it, and the clocks. Starts nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from tests.faults.clocks import Clock
from tests.faults.flow_side import FLOW
from tests.faults.plan import (
    CLIENT_TIMEOUT_SECONDS,
    CRASH_GRACE_SECONDS,
    RUN_TIMEOUT_SECONDS,
    START_TIMEOUT_SECONDS,
    Plan,
)
from tests.faults.small_airflow import SmallAirflow
from tests.faults.task_row import TaskRow


def airflow_of(plan: Plan, deployment: str, port: int, tag: str, log: Path) -> SmallAirflow:
    """The plan's task, whose DAG run and flow runs bear `tag`; Prefect is at that port, as it believes."""
    operator = {
        "deployment": f"{FLOW}/{deployment}",
        "parameters": {"seed": plan.seed},
        "tags": [tag],
        "wait": plan.wait,
        "deferrable": plan.deferrable,
        "end_from_trigger": plan.end_from_trigger,
        "patience_seconds": plan.patience_seconds,
        "start_timeout_seconds": START_TIMEOUT_SECONDS if "never starts" in plan.endings else 600.0,
        "crash_grace_seconds": CRASH_GRACE_SECONDS,
        "stream_logs": plan.stream_logs,
        "run_timeout_seconds": RUN_TIMEOUT_SECONDS if "hangs" in plan.endings else plan.run_timeout_seconds,
    }
    extra = {"timeout": CLIENT_TIMEOUT_SECONDS}
    connection = {"conn_type": "prefect", "host": "http://127.0.0.1", "port": port, "extra": extra}
    row = TaskRow(plan.retries, map_index=plan.map_index, alone=not plan.dag_run_goes_on)
    return SmallAirflow(operator, row, connection, tag, log)


def clocks_of(plan: Plan, began: datetime) -> dict[str, Clock]:
    """The wrong clocks, by whose they are; those that are set, so long after `began`."""
    return {
        wrong.whose: Clock(
            wrong.seconds,
            None if wrong.set_after_seconds is None else began + timedelta(seconds=wrong.set_after_seconds),
            wrong.seconds_then,
        )
        for wrong in plan.clocks
    }
