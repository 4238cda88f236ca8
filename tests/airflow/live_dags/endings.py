"""Tasks that hold a flow run until they, or it, are ended."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from bridge.in_airflow.operators import RunPrefectDeployment

for mode in ("deferred", "blocking"):
    with DAG(dag_id=f"hold_{mode}", schedule=None):
        RunPrefectDeployment(
            task_id="run",
            deployment="hold/t",
            parameters={"path": "{{ dag_run.conf['path'] }}"},
            tags=["{{ dag_run.conf['tag'] }}"],
            deferrable=mode == "deferred",
            retries=1,
            retry_delay=timedelta(0),
        )
