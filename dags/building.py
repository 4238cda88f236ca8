"""A use case's DAG: a period from the cut of the data to the watch over the model.

Wiring only. Airflow owns data and time: it cuts and checks the period's data. Prefect owns the models: the bridge
starts its deployments and waits for them. Where the use case or PROMOTION_APPROVAL asks for it, a person approves a
promotion. A DAG file is one call of `build`.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from urllib.parse import quote

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, Param, task
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule

from bridge.errors import FlowRunFailed
from bridge.in_airflow.notifier import BridgeNotifier
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.run_metadata import lineage_of
from bridge.in_airflow.sensors import PrefectReady
from factory import contracts
from factory.approval import is_asked_for
from factory.errors import CatalogueEmpty, WeekRejected
from factory.settings import Settings, read_settings
from factory.use_cases import get
from factory.use_cases.clock import Clock, Week
from factory.use_cases.use_case import UseCase

TRAINED = "{{ ti.xcom_pull(task_ids='train')['model_version'] }}"
# What a person has to mend is not repeated; what may pass (a crash, a service that is away) is. A flow's own tasks
# have repeated what was worth repeating by the time that it fails.
WORTH_A_RETRY = ExceptionRetryPolicy(
    rules=[RetryRule([FlowRunFailed, WeekRejected, CatalogueEmpty], RetryAction.FAIL, reason="a person has to mend it")]
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
        _wire(use_case, told, approval=is_asked_for(settings, use_case.gate))
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
        },
        links={"MLflow registry": settings.mlflow_ui_url} if settings.mlflow_ui_url else {},
    )


def _wire(use_case: UseCase, told: BridgeNotifier, *, approval: bool) -> None:
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
    score = RunPrefectDeployment(
        task_id="score",
        deployment=contracts.score(use_case.name),
        parameters={"dataset": dataset},
    )
    train = RunPrefectDeployment(
        task_id="train",
        deployment=contracts.training(use_case.name),
        # promotion is its own deployment: training does not decide
        parameters={"dataset": dataset, "auto_promote_threshold": None},
        # week 1 has no champion that could score
        trigger_rule="none_failed",
    )
    promote = RunPrefectDeployment(
        task_id="promote",
        deployment=contracts.promotion(use_case.name),
        parameters={"model_version": TRAINED, **(_answered(use_case) if approval else {})},
        # nobody is asked for what the gate refuses; a refusal is recorded like any other decision
        trigger_rule="none_failed" if approval else "all_success",
    )
    monitor = RunPrefectDeployment(
        task_id="monitor",
        deployment=contracts.monitor(use_case.name),
        parameters={"as_of": "{{ ti.xcom_pull(task_ids='" + use_case.tasks.check + "')['as_of'] }}"},
    )
    prefect_ready >> cut >> dataset >> score >> train
    if approval:
        _ask(use_case, told, train, promote)
    else:
        train >> promote
    promote >> monitor


def _ask(use_case: UseCase, told: BridgeNotifier, train: RunPrefectDeployment, promote: RunPrefectDeployment) -> None:
    """Between training and promotion: the gate's verdict, and a person's answer where it would promote."""
    judge = RunPrefectDeployment(
        task_id="judge",
        deployment=contracts.promotion(use_case.name),
        parameters={"model_version": TRAINED, "rehearsal": True},
    )

    @task.short_circuit(ignore_downstream_trigger_rules=False)
    def question(judged: dict, dag_run) -> str:
        """What a person is asked, empty where the gate refuses; people hear that an answer is awaited."""
        from airflow.configuration import conf

        from bridge.notifications.message import Level, Message
        from factory.approval import compose_question

        result = contracts.PromotionResult.model_validate(judged)
        if asked := compose_question(result):
            page = f"{conf.get('api', 'base_url').rstrip('/')}/dags/{dag_run.dag_id}/runs/{quote(dag_run.run_id)}"
            links = {"Answer in Airflow": f"{page}/tasks/approve/required_actions"} | result.links()
            title = f"{dag_run.dag_id}: version {result.challenger_version} awaits approval"
            message = Message(Level.WARNING, title, (result.reason,), result.facts(), links)
            told.tell(message)
        return asked

    # not the ApprovalOperator: it skips the task behind it on a refusal, which then nobody would record
    approve = HITLOperator(
        task_id="approve",
        subject=f"Promote version {TRAINED} of {use_case.name}?",
        body="{{ ti.xcom_pull(task_ids='question') }}",
        options=["Approve", "Reject"],
        defaults="Reject",
        response_timeout=timedelta(hours=use_case.gate.approval_hours),
    )
    train >> judge >> question(judge.output) >> approve >> promote


def _answered(use_case: UseCase) -> dict[str, str]:
    """Who answered how; nobody, where the gate refused before."""
    answer = "{%- set answer = ti.xcom_pull(task_ids='approve') or {'chosen_options': ['']} -%}"
    person = "(answer['responded_by_user'] or {}).get('name')"
    silence = f"nobody: no answer within {use_case.gate.approval_hours:g} h"
    return {
        "approved_by": f"{answer}{{{{ {person} if 'Approve' in answer['chosen_options'] else '' }}}}",
        "rejected_by": f"{answer}{{{{ {person} or {silence!r} if 'Reject' in answer['chosen_options'] else '' }}}}",
    }
