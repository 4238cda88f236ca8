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
TAKEOVER_SECONDS = 10.0
"""A trigger that begins so long after a hand-over is complete has probably been begun before."""


def resume_not_before() -> str | None:
    """The moment until which a task that is deferred now must not be resumed on a worker, in ISO 8601.

    Airflow 3.3.2's scheduler takes the report of the worker that deferred the task, when the task is queued again
    already, for the death of the resumed one and spends a retry. A worker's supervisor may notice the end of its
    process `min_heartbeat_interval` late. `dag.test()` has no executor that could report: None.
    """
    if runs_in_process():
        return None
    return (datetime.now(UTC) + timedelta(seconds=_hand_over_seconds())).isoformat()


def seconds_to_resumption(moment: str | None) -> float:
    """How long a task is still held back; never longer than a hand-over takes, whatever this machine's clock says."""
    return min(seconds_until(moment) or 0.0, _hand_over_seconds())


def may_be_a_takeover(moment: str | None) -> bool:
    """Whether another triggerer may have waited before this one, by what `resume_not_before` gave.

    A clock before the deferral says nothing: that is taken for one as well.
    """
    if moment is None:
        return False
    since_deferral = (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds() + _hand_over_seconds()
    return not 0 <= since_deferral < _hand_over_seconds() + TAKEOVER_SECONDS


def _hand_over_seconds() -> float:
    return conf.getfloat("workers", "min_heartbeat_interval", fallback=5.0) + REPORT_SECONDS


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
