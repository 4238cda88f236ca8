"""`weekly_ml_pipeline`: a week of the products use case, from the cut of the data to the watch over the model.

Wiring only. Airflow owns data and time: it cuts and checks the week. Prefect owns the models: the bridge starts its
deployments and waits for them.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from bridge.errors import FlowRunFailed
from bridge.in_airflow.notifier import BridgeNotifier
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.sensors import PrefectReady
from factory import contracts
from factory.errors import CatalogueEmpty, WeekRejected
from factory.settings import read_settings
from factory.use_cases import get

USE_CASE = get("products")
SETTINGS = read_settings()
SCHEDULE = os.environ.get("AIRFLOW_SCHEDULE", "5 7 * * 1")

told = BridgeNotifier(
    results={
        "cut_week": contracts.DatasetRef,
        "score": contracts.ScoreResult,
        "train": contracts.TrainingResult,
        "promote": contracts.PromotionResult,
        "monitor": contracts.MonitorResult,
    },
    links={"MLflow registry": SETTINGS.mlflow_ui_url} if SETTINGS.mlflow_ui_url else {},
)
# What a person has to mend is not repeated; what may pass (a crash, a service that is away) is. A flow's own tasks
# have repeated what was worth repeating by the time that it fails.
worth_a_retry = ExceptionRetryPolicy(
    rules=[RetryRule([FlowRunFailed, WeekRejected, CatalogueEmpty], RetryAction.FAIL, reason="a person has to mend it")]
)

with DAG(
    dag_id="weekly_ml_pipeline",
    description=USE_CASE.title,
    doc_md=__doc__,
    schedule=None if SCHEDULE.lower() == "none" else SCHEDULE,
    start_date=SETTINGS.weeks.epoch,
    catchup=False,
    max_active_runs=1,
    params={"week": Param(None, type=["integer", "null"], minimum=1, description="Cut this week, whatever the date.")},
    default_args={
        "retries": 2,
        "retry_delay": timedelta(seconds=30),
        "retry_policy": worth_a_retry,
        "on_failure_callback": told,
    },
    on_success_callback=told,
    tags=["factory", USE_CASE.name],
) as dag:
    prefect_ready = PrefectReady(
        task_id="prefect_ready",
        deployments=[
            build(USE_CASE.name).name
            for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor)
        ],
    )

    @task
    def cut_week(params: dict, dag_run) -> dict:
        """The week's rows as an immutable snapshot, recorded in data_loads."""
        from factory.cutting import cut_week

        as_of: datetime = dag_run.logical_date or dag_run.run_after
        dataset = cut_week(read_settings(), USE_CASE.name, as_of=as_of, week=params["week"])
        return dataset.model_dump(mode="json")

    @task
    def check_week(dataset: dict) -> dict:
        """The same snapshot, accepted; a bad week stops here."""
        from factory.checking import check_week

        return check_week(read_settings(), contracts.DatasetRef.model_validate(dataset)).model_dump(mode="json")

    cut = cut_week()
    dataset = check_week(cut)
    score = RunPrefectDeployment(
        task_id="score",
        deployment=contracts.score(USE_CASE.name),
        parameters={"dataset": dataset},
    )
    train = RunPrefectDeployment(
        task_id="train",
        deployment=contracts.training(USE_CASE.name),
        # promotion is its own deployment: training does not decide
        parameters={"dataset": dataset, "auto_promote_threshold": None},
        # week 1 has no champion that could score
        trigger_rule="none_failed",
    )
    promote = RunPrefectDeployment(
        task_id="promote",
        deployment=contracts.promotion(USE_CASE.name),
        parameters={"model_version": "{{ ti.xcom_pull(task_ids='train')['model_version'] }}"},
    )
    monitor = RunPrefectDeployment(
        task_id="monitor",
        deployment=contracts.monitor(USE_CASE.name),
        parameters={"as_of": "{{ ti.xcom_pull(task_ids='check_week')['as_of'] }}"},
    )

    prefect_ready >> cut >> dataset >> score >> train >> promote >> monitor
