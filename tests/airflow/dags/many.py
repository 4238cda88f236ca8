"""DAGs that wait for flow runs which they did not start."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from bridge.in_airflow.sensors import WaitForFlowRuns

for mode in ("deferred", "blocking"):
    for needs in ("all", "any", 2):
        with DAG(dag_id=f"wait_for_{needs}_{mode}", schedule=None):
            WaitForFlowRuns(
                task_id="wait",
                flow_run_ids="{{ dag_run.conf['ids'] | tojson }}",
                needs=needs,
                deferrable=mode == "deferred",
                timeout=8,
                crash_grace_seconds=0.5,
                retries=1,
                retry_delay=timedelta(0),
            )
