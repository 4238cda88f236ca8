"""When a deferred task may go on, and how a task waits that is not deferred.

Owns what is known of Airflow's handover between worker and triggerer; nothing of Prefect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import conf
from airflow.sdk.execution_time import task_runner
from airflow.triggers.base import BaseTrigger

REPORT_SECONDS = 3.0
"""How long the scheduler may take to hear the executor's report."""


def resume_not_before() -> str | None:
    """The moment until which a task that is deferred now must not be resumed on a worker, in ISO 8601.

    Airflow 3.3.2's scheduler takes the report of the worker that deferred the task, when the task is queued again
    already, for the death of the resumed one and spends a retry. A worker's supervisor may notice the end of its
    process `min_heartbeat_interval` late. `dag.test()` has no executor that could report: None.
    """
    if type(getattr(task_runner, "SUPERVISOR_COMMS", None)).__name__ == "InProcessSupervisorComms":
        return None
    handover_seconds = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + REPORT_SECONDS
    return (datetime.now(UTC) + timedelta(seconds=handover_seconds)).isoformat()


def seconds_until(moment: str | None) -> float | None:
    """Seconds until a moment in ISO 8601, none less than 0; None without one."""
    if moment is None:
        return None
    return max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())


def wait_here(trigger: BaseTrigger) -> Mapping[str, Any]:
    """Wait on the worker with the trigger that would wait in the triggerer; what its event says."""
    return asyncio.run(_first_payload(trigger))


async def _first_payload(trigger: BaseTrigger) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = (await anext(trigger.run())).payload
    return payload
