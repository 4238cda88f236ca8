"""DAGs that wait for flow runs which they did not start."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from bridge.in_airflow.sensors import WaitForFlowRuns

for mode in ("deferred", "blocking"):
    for name, needs, seconds in (("all", "all", 600), ("any", "any", 600), ("2", 2, 600), ("all_briefly", "all", 1)):
        with DAG(dag_id=f"wait_for_{name}_{mode}", schedule=None):
            WaitForFlowRuns(
                task_id="wait",
                flow_run_ids="{{ dag_run.conf['ids'] | tojson }}",
                needs=needs,
                deferrable=mode == "deferred",
                timeout=seconds,
                crash_grace_seconds=0.5,
                retries=1,
                retry_delay=timedelta(0),
            )
