"""What an operator's argument may be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from bridge.in_airflow import arguments
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.sensors import PrefectReady, WaitForFlowRuns
from bridge.in_airflow.watching import PrefectEventTrigger


@pytest.mark.parametrize(
    "given",
    [
        {"start_timeout_seconds": "120"},
        {"start_timeout_seconds": timedelta(minutes=2)},
        {"start_timeout_seconds": 0},
        {"run_timeout_seconds": float("nan")},
        {"run_timeout_seconds": -1},
        {"patience_seconds": None},
        {"patience_seconds": True},
        {"crash_grace_seconds": "30"},
        {"tags": "nightly"},
        {"tags": [1]},
        {"tags": 7},
        {"parameters": "week 3"},
        {"parameters": [("week", 3)]},
        {"job_variables": "image"},
        {"wait": "False"},
        {"deferrable": "no"},
        {"on_retry": "again"},
        {"on_lost": None},
        {"deployment": ""},
        {"deployment": None},
        {"prefect_conn_id": 7},
    ],
    ids=str,
)
def test_what_an_argument_cannot_be_is_said_when_the_dag_is_parsed(given: dict[str, Any]) -> None:
    [name] = given
    with pytest.raises(ValueError, match=name):
        RunPrefectDeployment(**{"task_id": "t", "deployment": "a/b", **given})


def test_a_task_that_is_mapped_over_what_cannot_be_is_not_retried() -> None:
    assert issubclass(arguments.ArgumentRefused, AirflowFailException)


@pytest.mark.parametrize(
    ("check", "rendered", "told"),
    [
        (arguments.rendered_mapping, "{'week': 3}", "tojson"),
        (arguments.rendered_mapping, "None", "no JSON object"),
        (arguments.rendered_mapping, None, "must be a mapping"),
        (arguments.rendered_mapping, [1], "must be a mapping"),
        (arguments.rendered_mapping, "[1]", "must be a mapping"),
        (arguments.rendered_mapping, {1: 2}, "must be a mapping"),
        (arguments.rendered_texts, None, "list of texts"),
        (arguments.rendered_texts, "nightly", "one text"),
        (arguments.rendered_texts, [None], "list of texts"),
    ],
)
def test_what_a_template_gave_is_checked_before_anything_is_created(check: Any, rendered: Any, told: str) -> None:
    with pytest.raises(AirflowFailException, match=told) as refused:
        check(rendered, "parameters")
    assert "parameters" in str(refused.value)


def test_a_template_may_give_the_text_of_a_json_object() -> None:
    RunPrefectDeployment(task_id="t", deployment="a/b", parameters="{{ dag_run.conf | tojson }}")
    assert arguments.rendered_mapping('{"week": 3}', "parameters") == {"week": 3}


@pytest.mark.parametrize(
    ("made", "given"),
    [
        (PrefectReady, {"deployments": "a/b"}),
        (PrefectReady, {"deployments": None}),
        (PrefectReady, {"deployments": ["a/b"], "prefect_conn_id": None}),
        (WaitForFlowRuns, {"flow_run_ids": [], "patience_seconds": "5"}),
        (WaitForFlowRuns, {"flow_run_ids": [], "crash_grace_seconds": timedelta(seconds=5)}),
        (WaitForFlowRuns, {"flow_run_ids": [], "deferrable": 1}),
        (PrefectEventTrigger, {"deployment": "a/b", "tags": "nightly"}),
        (PrefectEventTrigger, {"deployment": "a/b", "states": "COMPLETED"}),
        (PrefectEventTrigger, {"deployment": "a/b", "reconcile_seconds": "15"}),
    ],
    ids=str,
)
def test_what_sensors_and_watchers_cannot_take_is_said_when_the_dag_is_parsed(made: Any, given: dict[str, Any]) -> None:
    task = {} if made is PrefectEventTrigger else {"task_id": "t"}
    with pytest.raises(ValueError, match=list(given)[-1]):
        made(**task, **given)
