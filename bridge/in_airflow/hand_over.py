"""When a deferred task may go on, and how a task waits that is not deferred.

Owns what is known of Airflow's handover between worker and triggerer; nothing of Prefect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import BaseOperator, conf
from airflow.triggers.base import BaseTrigger

from bridge.in_airflow.airflow_internals import (
    has_post_execute_hook,
    is_mapped_over,
    is_success_listened_to,
    runs_in_process,
)

REPORT_SECONDS = 3.0
"""How long the scheduler may take to hear the executor's report."""


def resume_not_before() -> str | None:
    """The moment until which a task that is deferred now must not be resumed on a worker, in ISO 8601.

    Airflow 3.3.2's scheduler takes the report of the worker that deferred the task, when the task is queued again
    already, for the death of the resumed one and spends a retry. A worker's supervisor may notice the end of its
    process `min_heartbeat_interval` late. `dag.test()` has no executor that could report: None.
    """
    if runs_in_process():
        return None
    handover_seconds = conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + REPORT_SECONDS
    return (datetime.now(UTC) + timedelta(seconds=handover_seconds)).isoformat()


def seconds_until(moment: str | None) -> float | None:
    """Seconds until a moment in ISO 8601, none less than 0; None without one."""
    if moment is None:
        return None
    return max(0.0, (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds())


def needs_a_worker_to_end(operator: BaseOperator) -> bool:
    """Whether a success has more in its train than the triggerer does.

    Only the worker that ends a task emits asset events, counts what is mapped over, calls listeners (by which
    OpenLineage's provider tells that a run is complete), and does what the operator does afterwards.
    """
    has_more_to_do = (
        operator.multiple_outputs
        or has_post_execute_hook(operator)
        or type(operator).post_execute is not BaseOperator.post_execute
    )
    return has_more_to_do or bool(operator.outlets) or is_mapped_over(operator) or is_success_listened_to()


def wait_here(trigger: BaseTrigger) -> Mapping[str, Any]:
    """Wait on the worker with the trigger that would wait in the triggerer; what its event says."""
    return asyncio.run(_first_payload(trigger))


async def _first_payload(trigger: BaseTrigger) -> Mapping[str, Any]:
    payload: Mapping[str, Any] = (await anext(trigger.run())).payload
    return payload
