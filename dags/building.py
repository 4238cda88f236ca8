"""A use case's DAG: a period from the cut of the data to the watch over the model.

Wiring only. Airflow owns data and time: it cuts and checks the period's data. Prefect owns the models: the bridge
starts its deployments and waits for them (`dags.model_tasks`). A DAG file is one call of `build`.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG, Param, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from bridge.errors import FlowRunFailed
from bridge.in_airflow.notifier import BridgeNotifier
from bridge.in_airflow.run_metadata import lineage_of
from bridge.in_airflow.sensors import PrefectReady
from dags.model_tasks import wire_models
from factory import contracts
from factory.errors import CatalogueEmpty, SourceUnreadable, WeekRejected
from factory.settings import Settings, read_settings
from factory.use_cases import get
from factory.use_cases.clock import Clock, Week
from factory.use_cases.sources import Series
from factory.use_cases.use_case import UseCase

# What a person has to mend is not repeated; what may pass (a crash, a service that is away) is. A flow's own tasks
# have repeated what was worth repeating by the time that it fails.
WORTH_A_RETRY = ExceptionRetryPolicy(
    rules=[
        RetryRule(
            [FlowRunFailed, WeekRejected, CatalogueEmpty, SourceUnreadable],
            RetryAction.FAIL,
            reason="a person has to mend it",
        )
    ]
)


def build(use_case_name: str) -> DAG:
    """The DAG of the use case; raises KeyError when there is none of that name, and SettingsError."""
    use_case, settings = get(use_case_name), read_settings()
    clock = use_case.clock.since(settings.weeks.epoch)
    schedule = os.environ.get("AIRFLOW_SCHEDULE") or use_case.schedule
    told = _notifier(settings, use_case)
    with DAG(
        dag_id=use_case.dag_id,
        description=use_case.title,
        doc_md=__doc__,
        schedule=None if schedule.lower() == "none" else schedule,
        start_date=clock.start(1),
        catchup=False,
        max_active_runs=1,
        params={clock.noun: _period_param(clock)},
        default_args={
            "retries": 2,
            "retry_delay": timedelta(seconds=30),
            "retry_policy": WORTH_A_RETRY,
            "on_failure_callback": told,
        },
        on_success_callback=told,
        tags=["factory", use_case.name],
    ) as dag:
        _wire(use_case, told, settings)
    return dag


def _period_param(clock: Clock) -> Param:
    """The period that a person names in place of the one that is due."""
    said = f"Cut this {clock.noun}, whatever the date."
    if isinstance(clock, Week):
        return Param(None, type=["integer", "null"], minimum=1, description=said)
    written = f"^({clock.pattern})$"
    return Param(None, type=["string", "null"], pattern=written, examples=[clock.example], description=said)


def _notifier(settings: Settings, use_case: UseCase) -> BridgeNotifier:
    return BridgeNotifier(
        results={
            use_case.tasks.cut: contracts.DatasetRef,
            "score": contracts.ScoreResult,
            "train": contracts.TrainingResult,
            "promote": contracts.PromotionResult,
            "monitor": contracts.MonitorResult,
            "outcome": contracts.ModelsResult,
        },
        links={"MLflow registry": settings.mlflow_ui_url} if settings.mlflow_ui_url else {},
    )


def _wire(use_case: UseCase, told: BridgeNotifier, settings: Settings) -> None:
    """The tasks and their order."""
    prefect_ready = PrefectReady(
        task_id="prefect_ready",
        deployments=[
            made(use_case.name).name
            for made in (contracts.score, contracts.training, contracts.promotion, contracts.monitor)
        ],
    )

    @task(task_id=use_case.tasks.cut)
    def cut_period(params: dict, dag_run, ti) -> dict:
        """The period's rows as an immutable snapshot, recorded in data_loads."""
        from factory.lineage.steps import part_of
        from factory.snapshots.cutting import clock_for, cut_week

        settings, named = read_settings(), params[use_case.clock.noun]
        as_of: datetime = dag_run.logical_date or dag_run.run_after
        number = None if named is None else clock_for(settings, use_case.name).parse(named)
        with part_of(lineage_of(ti)):
            dataset = cut_week(settings, use_case.name, as_of=as_of, week=number)
        return dataset.model_dump(mode="json")

    @task(task_id=use_case.tasks.check)
    def check_period(dataset: dict, ti) -> dict:
        """The same snapshot, accepted; a bad period stops here."""
        from factory.lineage.steps import part_of
        from factory.quality.checking import check_week

        with part_of(lineage_of(ti)):
            checked = check_week(read_settings(), contracts.DatasetRef.model_validate(dataset))
        return checked.model_dump(mode="json")

    cut = cut_period()
    dataset = check_period(cut)
    if isinstance(use_case.source, Series):
        prefect_ready >> _collect(use_case) >> cut
    prefect_ready >> cut >> dataset >> wire_models(use_case, told, dataset, settings)


def _collect(use_case: UseCase):
    """The task that fetches what is new of the markets that were collected before; nothing where bars are of files."""

    @task(task_id="collect")
    def collect_bars() -> dict:
        """How many bars are new, by exchange and symbol."""
        from factory.catalogue.database import open_catalogue
        from factory.series.collecting import collect_further

        engine = open_catalogue(read_settings().database_url)
        return collect_further(engine, use_case.series, now=datetime.now(UTC), tell=print)

    return collect_bars()
