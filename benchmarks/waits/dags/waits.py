"""The task in whose name the measured triggers wait."""

from __future__ import annotations

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

with DAG("waits", schedule=None):
    EmptyOperator(task_id="wait")
