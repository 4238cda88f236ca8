"""Mapped tasks that wait for a flow run each, in three ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG

from benchmarks.waits.triggers import PollingTrigger
from bridge.in_airflow.operators import RunPrefectDeployment

TASKS = 20


class RunAndPoll(RunPrefectDeployment):
    """Started as the bridge does, waited for by a poll every five seconds, ended on a worker: as the providers do."""

    def execute(self, context: Mapping[str, Any]) -> Any:
        handed = super().execute(context)
        polling = PollingTrigger(handed["flow_run_id"], self._hook.connection().api_url)
        self.defer(trigger=polling, method_name="execute_complete")

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> str:  # noqa: ARG002
        return str(event["flow_run_id"])


WAYS: dict[str, tuple[type[RunPrefectDeployment], dict[str, Any]]] = {
    "bridge": (RunPrefectDeployment, {}),
    "bridge_without_log": (RunPrefectDeployment, {"stream_logs": False}),
    "bridge_on_a_worker": (RunPrefectDeployment, {"end_from_trigger": False}),
    "polling": (RunAndPoll, {"wait": False}),
}

for way, (operator, options) in WAYS.items():
    with DAG(dag_id=way, schedule=None):
        operator.partial(task_id="run", deployment="measured/t", start_timeout_seconds=None, **options).expand(
            parameters=[{} for _ in range(TASKS)]
        )
