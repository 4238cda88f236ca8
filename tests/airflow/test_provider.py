"""What Airflow sees of the bridge: provider metadata, templates, serialised forms, the weekly DAG."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import DAG
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime
from airflow.serialization.serialized_objects import DagSerialization

from bridge.contracts import Deployment
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.prefect_api.records import FlowRun
from bridge.submitting import Submitted
from factory import contracts

RUN = FlowRun.parse({"id": "r1", "name": "brave-owl", "created": "2026-01-05T07:00:00+00:00"})

STARTED = datetime(2026, 1, 5, 7, tzinfo=UTC)


def task(**arguments: Any) -> RunPrefectDeployment:
    """A task in a DAG of its own."""
    with DAG("d", schedule=None):
        return RunPrefectDeployment(task_id="t", **arguments)


def trigger_of(operator: RunPrefectDeployment) -> dict[str, Any]:
    """Keyword arguments of the trigger that waits for the run."""
    path, arguments = operator._trigger(RUN, {}).serialize()
    assert path == "bridge.in_airflow.triggers.FlowRunTrigger"
    return arguments


def test_airflow_finds_connection_type_form_and_link() -> None:
    hook = ProvidersManagerTaskRuntime().hooks["prefect"]
    assert hook is not None
    manager = ProvidersManager()
    assert hook.hook_class_name == "bridge.in_airflow.hook.PrefectHook"
    assert "bridge.in_airflow.links.PrefectFlowRunLink" in manager.extra_links_class_names
    fields = {"account_id", "workspace_id", "ui_url", "verify", "proxy", "timeout", "headers"}
    assert {f"extra__prefect__{name}" for name in fields} <= set(manager.connection_form_widgets)
    behaviour = manager.field_behaviours["prefect"]
    assert behaviour["relabeling"]["host"] == "API URL (empty for Prefect Cloud)"


def test_every_class_that_the_metadata_names_can_be_imported() -> None:
    from pkgutil import resolve_name

    from bridge.in_airflow.provider import get_provider_info

    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for entry in info[kind]:
            for module in entry["python-modules"]:
                assert resolve_name(module).__doc__
    for path in [*info["notifications"], *info["extra-links"], info["connection-types"][0]["hook-class-name"]]:
        assert isinstance(resolve_name(":".join(path.rsplit(".", 1))), type)


def test_template_fields_are_attributes_of_the_operator() -> None:
    operator = task(deployment="a/b", parameters={"week": "{{ params.week }}"})
    fields = {"deployment_name", "parameters", "prefect_conn_id", "tags", "job_variables"}
    assert set(operator.template_fields) == fields
    assert {name: getattr(operator, name) for name in operator.template_fields} == {
        "deployment_name": "a/b",
        "parameters": {"week": "{{ params.week }}"},
        "prefect_conn_id": "prefect_default",
        "tags": [],
        "job_variables": {},
    }


def test_a_contracts_params_are_given_as_what_was_said() -> None:
    said = contracts.TrainingParams(week_number=3)
    operator = task(deployment=contracts.training("products"), parameters=said)
    assert operator.deployment_name == "training-pipeline/products"
    assert operator.parameters == {"week_number": 3}


def test_the_triggers_serialised_form_is_exact_plain_and_complete() -> None:
    operator = task(deployment=contracts.training("products"), run_timeout_seconds=60)
    arguments = trigger_of(operator)
    assert datetime.fromisoformat(arguments["resume_not_before"]).tzinfo is not None
    assert {name: value for name, value in arguments.items() if name != "resume_not_before"} == {
        "prefect_conn_id": "prefect_default",
        "flow_run_id": "r1",
        "start_seconds": 600.0,
        "run_seconds": 60.0,
        "counted_from": None,
        "begun_before": 0,
        "errors_before": 0,
        "crash_grace_seconds": 30.0,
        "patience_seconds": 300.0,
        "stream_logs": True,
        "logged_until": None,
        "result_model": "factory.contracts.trainings:TrainingResult",
        "end_from_trigger": True,
        "push_result": True,
    }
    assert json.loads(json.dumps(arguments)) == arguments
    assert FlowRunTrigger(**arguments).serialize()[1] == arguments


def test_a_trigger_holds_no_secret_of_its_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "prefect", "host": "http://h", "password": "a-secret"}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
    assert "a-secret" not in json.dumps(trigger_of(task(deployment="a/b")))


@pytest.mark.parametrize("asked", [{}, {"run_timeout_seconds": 5}, {"execution_timeout": timedelta(minutes=5)}])
def test_a_task_is_deferred_without_the_frameworks_own_timeout_so_that_ours_comes_first(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, Any]
) -> None:
    connection = {"conn_type": "prefect", "host": "http://127.0.0.1:9/api"}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
    monkeypatch.setattr(RunPrefectDeployment, "_start", lambda *_: Submitted(RUN, "started"))
    operator = task(deployment="a/b", **asked)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute({"ti": None, "dag_run": None})
    assert deferred.value.timeout is None
    limited = deferred.value.trigger.run_seconds is not None
    assert limited == bool(asked)


@pytest.mark.parametrize(
    ("asked", "ends"),
    [
        ({}, True),
        ({"end_from_trigger": False}, False),
        ({"deferrable": False}, False),
        ({"multiple_outputs": True}, False),
        ({"post_execute": print}, False),
    ],
)
def test_a_task_is_ended_where_it_was_asked_to_be(asked: dict[str, Any], ends: bool) -> None:
    assert trigger_of(task(deployment="a/b", **asked))["end_from_trigger"] is ends


def test_a_task_with_outlets_or_mapped_dependants_ends_on_a_worker() -> None:
    from airflow.sdk import Asset
    from airflow.sdk import task as python_task

    with DAG("d", schedule=None):
        outgoing = RunPrefectDeployment(task_id="outgoing", deployment="a/b", outlets=[Asset("model")])
        listed = RunPrefectDeployment(task_id="listed", deployment="a/b")

        @python_task
        def each(name: str) -> str:
            return name

        each.expand(name=listed.output)
    assert trigger_of(outgoing)["end_from_trigger"] is False
    assert trigger_of(listed)["end_from_trigger"] is False


def test_a_task_whose_success_a_listener_waits_for_ends_on_a_worker() -> None:
    from airflow.listeners import hookimpl
    from airflow.sdk.listener import get_listener_manager

    class Listener:
        @hookimpl
        def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
            """As OpenLineage's provider has one."""

    listener, manager = Listener(), get_listener_manager()
    manager.add_listener(listener)
    operator = task(deployment="a/b")
    # the name by which Airflow's DagBag refuses a DAG whose listeners would not be called
    assert not getattr(operator, "end_from_trigger", False)
    try:
        assert trigger_of(operator)["end_from_trigger"] is False
    finally:
        manager.pm.unregister(listener)
    assert trigger_of(task(deployment="a/b"))["end_from_trigger"] is True


def test_the_link_survives_serialisation(monkeypatch: pytest.MonkeyPatch) -> None:
    # Airflow switches links off for a whole process when it has read a DAG without them, as `dag.test()` does.
    monkeypatch.setattr(DagSerialization, "_load_operator_extra_links", True)
    dag = task(deployment=Deployment("a/b", contracts.ScoreParams, contracts.ScoreResult)).dag
    stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
    read = DagSerialization.from_dict(stored).get_task("t")
    assert [link.name for link in read.operator_extra_links] == ["Open in Prefect"]
    assert read.operator_extra_links[0].xcom_key == "prefect_flow_run_url"


def test_the_weekly_dag_runs_in_this_order(weekly: Any) -> None:
    assert not weekly.import_errors
    dag = weekly.dags["weekly_ml_pipeline"]
    order = ["prefect_ready", "cut_week", "check_week", "score", "train", "promote", "monitor"]
    assert [task.task_id for task in dag.topological_sort()] == order
    for task_id, next_id in pairwise(order):
        assert next_id in dag.get_task(task_id).downstream_task_ids
    assert dag.max_active_runs == 1
    assert dag.catchup is False


def test_the_weekly_dag_starts_the_deployments_that_the_factory_names(weekly: Any) -> None:
    dag = weekly.dags["weekly_ml_pipeline"]
    started = {task.task_id: task.deployment_name for task in dag.tasks if isinstance(task, RunPrefectDeployment)}
    assert started == {
        "score": "score/products",
        "train": "training-pipeline/products",
        "promote": "promotion/products",
        "monitor": "monitor-and-retrain/products",
    }
    assert sorted(dag.get_task("prefect_ready").deployments) == sorted(started.values())


def test_a_monthly_dag_cuts_months_that_are_named_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    from dags import building
    from factory.use_cases import get
    from factory.use_cases.clock import Month

    monthly = replace(get("churn"), dag_id="monthly_churn", clock=Month(), schedule="")
    monkeypatch.setattr(building, "get", lambda _: monthly)
    dag = building.build("churn")

    order = ["prefect_ready", "cut", "check", "score", "train", "promote", "monitor"]
    assert [task.task_id for task in dag.topological_sort()] == order
    assert dag.schedule == "5 7 1 * *"
    assert "task_ids='check'" in dag.get_task("monitor").parameters["as_of"]
    assert dag.params.get_param("month").resolve("2017-06") == "2017-06"
    with pytest.raises(ParamValidationError, match="2017-13"):
        dag.params.get_param("month").resolve("2017-13")


def test_a_series_is_collected_before_its_day_is_cut(weekly: Any) -> None:
    dag = weekly.dags["daily_market"]
    order = ["prefect_ready", "collect", "cut", "check", "score", "train", "promote", "monitor"]
    assert [task.task_id for task in dag.topological_sort()] == order
    assert dag.get_task("cut").upstream_task_ids == {"prefect_ready", "collect"}


def test_a_monthly_run_cuts_the_month_that_is_over_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dags import building
    from factory import use_cases
    from factory.catalogue.database import open_catalogue
    from factory.catalogue.entities import load_entities
    from factory.use_cases.clock import Month

    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'catalogue.sqlite'}")
    monkeypatch.setenv("SNAPSHOT_URI", (tmp_path / "snapshots").as_uri())
    monthly = replace(use_cases.get("churn"), dag_id="monthly_churn", clock=Month())
    monkeypatch.setattr(use_cases, "ALL", (monthly,))
    ids = [f"c{number:03}" for number in range(60)]
    states = pd.DataFrame({"customer_id": ids, "changed_at": datetime(2017, 4, 1, tzinfo=UTC)})
    outcomes = pd.DataFrame({"customer_id": ids, "known_at": datetime(2017, 5, 1, tzinfo=UTC), "outcome": "no"})
    load_entities(open_catalogue(os.environ["DATABASE_URL"]), monthly.entities, states, outcomes, origin="here")
    cut = building.build("churn").get_task("cut").python_callable
    run = SimpleNamespace(logical_date=datetime(2017, 7, 1, 7, 5, tzinfo=UTC), run_after=None)
    ti = SimpleNamespace(task=None)  # nobody is told of lineage here

    due, named = (
        contracts.DatasetRef.model_validate(cut(params={"month": month}, dag_run=run, ti=ti))
        for month in (None, "2017-05")
    )

    assert (due.period, due.as_of) == ("2017-06", datetime(2017, 7, 1, tzinfo=UTC))
    assert (named.period, named.as_of) == ("2017-05", datetime(2017, 6, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="2017-07 is not over on 2017-07-01 07:05"):
        cut(params={"month": "2017-07"}, dag_run=run, ti=ti)


@pytest.mark.parametrize(("value", "summary"), [(None, "5 7 * * 1"), ("none", None), ("0 6 * * *", "0 6 * * *")])
def test_the_schedule_is_the_environments(monkeypatch: pytest.MonkeyPatch, value: str | None, summary: str) -> None:
    from airflow.dag_processing.dagbag import DagBag

    from tests.live_prefect import CHECKOUT

    monkeypatch.delenv("AIRFLOW_SCHEDULE", raising=False)
    if value is not None:
        monkeypatch.setenv("AIRFLOW_SCHEDULE", value)
    assert DagBag(CHECKOUT / "dags").dags["weekly_ml_pipeline"].schedule == summary
