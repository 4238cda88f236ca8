"""The task of the fault runs through Airflow. What its run is to do stands in the DAG run's configuration."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from bridge.in_airflow.operators import RunPrefectDeployment

for mode in ("deferred", "blocking", "unwaited"):
    with DAG(dag_id=f"faults_{mode}", schedule=None, render_template_as_native_obj=True):
        RunPrefectDeployment(
            task_id="run",
            deployment="{{ dag_run.conf['deployment'] }}",
            parameters="{{ dag_run.conf['parameters'] }}",
            tags=["{{ dag_run.conf['tag'] }}"],
            deferrable=mode == "deferred",
            wait=mode != "unwaited",
            # a run whose process was lost says PENDING or RUNNING for ever
            start_timeout_seconds=90.0,
            run_timeout_seconds=150.0,
            crash_grace_seconds=4.0,
            retries=2,
            retry_delay=timedelta(seconds=1),
        )
