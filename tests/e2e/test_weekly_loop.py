"""The weekly loop, whole: weeks through Airflow's own scheduler, a champion in MLflow, news in Discord."""

from __future__ import annotations

import asyncio
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.exc import OperationalError

from bridge.errors import PrefectUnauthorised
from bridge.notifications.message import Level
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import check_socket
from stack.airflow_api import DagRun
from stack.clean import is_made
from tests.e2e.live_stack import Stack, live_stack, logs_of

SUCCEEDED = dict.fromkeys(["prefect_ready", "cut_week", "check_week", "train", "promote"], "success")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with live_stack(tmp_path_factory.mktemp("my stack"), "embedded") as running:
        running.load_sample()
        yield running


@pytest.fixture(scope="module")
def first_week(stack: Stack) -> DagRun:
    return stack.ended(stack.trigger_week(1))


@pytest.fixture(scope="module")
def second_week(stack: Stack, first_message: dict) -> tuple[DagRun, dict[str, str], dict]:
    """Week 2, whose training failed at first: the run, its states and message then; mended and cleared since."""
    with stack.broken_training():
        run = stack.ended(stack.trigger_week(2))
        states, told = stack.states(run), stack.message_about(run)
    stack.airflow.clear_failed(run.run_id)
    return stack.ended(run), states, told


@pytest.fixture(scope="module")
def first_message(stack: Stack, first_week: DagRun) -> dict:
    return stack.message_about(first_week)


def test_the_first_week_promotes_a_champion(stack: Stack, first_week: DagRun) -> None:
    assert stack.states(first_week) == {**SUCCEEDED, "score": "skipped", "monitor": "skipped"}
    decision = stack.result(first_week, "promote")
    assert decision["promoted"]
    assert decision["challenger_metrics"]["f1_weighted"] >= decision["threshold"] == 0.75
    assert stack.champion() == decision["champion_version"] == stack.result(first_week, "train")["model_version"]


def test_the_decision_is_recorded_with_the_dag_run_that_took_it(stack: Stack, first_week: DagRun) -> None:
    [(outcome, rule, decided_by)] = stack.rows("SELECT outcome, rule, decided_by FROM decisions")
    assert (outcome, rule) == ("promoted", "floor")
    assert decided_by == f"Airflow, weekly_ml_pipeline {first_week.run_id}"
    decision = stack.result(first_week, "promote")
    assert {check["rule"] for check in decision["checks"]} == {"test set", "floor", "size", "latency", "memory"}
    assert decision["costs"]["memory_bytes"] > decision["costs"]["size_bytes"] > 0


def test_a_week_without_champion_says_why_it_skipped(stack: Stack, first_week: DagRun) -> None:
    assert "no champion" in stack.result(first_week, "score")["reason"]
    assert stack.result(first_week, "monitor")["status"] == "skipped"


def test_the_week_stands_in_the_ledger(stack: Stack, first_week: DagRun) -> None:
    [(status, rows)] = stack.rows("SELECT status, total_rows FROM data_loads WHERE week = 1")
    assert status == "accepted"
    assert rows == stack.result(first_week, "cut_week")["rows"] > 2000


def test_every_flow_run_names_its_airflow_run(stack: Stack, first_week: DagRun) -> None:
    [train] = stack.flow_runs(first_week, "train")
    assert train["labels"]["airflow.run_id"] == first_week.run_id
    assert train["labels"]["airflow.url"].startswith(stack.airflow_url)
    assert train["idempotency_key"].startswith("bridge-")


def test_success_is_told_once_with_links_to_all_three(stack: Stack, first_week: DagRun, first_message: dict) -> None:
    assert first_message["color"] == Level.SUCCESS.value  # that scoring was skipped is news
    facts = {fact["name"]: fact["value"] for fact in first_message["fields"]}
    assert facts["Week"] == "1"
    assert facts["Champion"] == f"v{stack.result(first_week, 'promote')['champion_version']}"
    assert {"Rows", "Weighted F1", "Drift"} <= facts.keys()
    for name in ("Airflow", "Prefect", "MLflow", "Model card"):
        assert f"[{name}](" in first_message["description"]


def test_a_failing_flow_fails_its_task_with_prefects_words_and_is_told_in_red(
    stack: Stack, second_week: tuple[DagRun, dict[str, str], dict]
) -> None:
    run, states, message = second_week
    assert states["train"] == "failed"
    assert states["promote"] == "upstream_failed"
    failed = stack.flow_runs(run, "train")[0]
    assert message["color"] == Level.FAILURE.value
    assert "train failed" in message["title"]
    assert failed["state"]["message"][:60] in message["description"]
    assert failed["id"] in message["description"]


def test_after_mending_a_clear_starts_a_fresh_run_that_succeeds(
    stack: Stack, second_week: tuple[DagRun, dict[str, str], dict]
) -> None:
    run, *_ = second_week
    assert run.state == "success"
    assert stack.states(run) == {**SUCCEEDED, "score": "success", "monitor": "success"}
    assert [each["state_type"] for each in stack.flow_runs(run, "train")] == ["FAILED", "COMPLETED"]
    assert len(stack.flow_runs(run, "score")) == 1


def test_rows_grow_and_the_verdict_follows_from_its_numbers(
    stack: Stack, first_week: DagRun, second_week: tuple[DagRun, dict[str, str], dict]
) -> None:
    run, *_ = second_week
    assert stack.result(run, "cut_week")["rows"] > stack.result(first_week, "cut_week")["rows"]
    decision = stack.result(run, "promote")
    mine = decision["challenger_metrics"]["f1_weighted"]
    theirs = decision["previous_champion_metrics"]["f1_weighted"]
    assert theirs == stack.result(first_week, "promote")["challenger_metrics"]["f1_weighted"]
    assert decision["gain"] == pytest.approx(mine - theirs)
    passed = {check["rule"]: check["passed"] for check in decision["checks"]}
    assert passed["floor"] == (mine >= decision["threshold"])
    assert passed["gain"] == (decision["gain_at_least"] > 0)
    assert decision["promoted"] == all(passed.values())
    assert stack.champion() == decision["champion_version"]


def test_the_champion_scored_this_weeks_arrivals_before_it_was_challenged(
    stack: Stack, first_week: DagRun, second_week: tuple[DagRun, dict[str, str], dict]
) -> None:
    run, *_ = second_week
    scored = stack.result(run, "score")
    assert scored["model_version"] == stack.result(first_week, "promote")["champion_version"]
    assert scored["rows"] == stack.result(run, "cut_week")["arrivals"]
    [(logged,)] = stack.rows("SELECT count(*) FROM inference_log")
    assert logged == scored["rows"]
    watched = stack.result(run, "monitor")
    assert watched["samples"] == logged
    assert watched["report_url"]


def test_the_command_line_runs_a_deployment_to_its_result(stack: Stack, second_week: object) -> None:
    done = stack.command("bridge", "run", "monitor-and-retrain/products", "--wait", "--json")
    document = json.loads(done.stdout)
    assert document["state"] == "COMPLETED"
    assert document["result"]["use_case"] == "products"
    assert "bridge" in document["tags"]


def test_the_doctor_finds_everything_in_order(stack: Stack, first_week: DagRun) -> None:
    findings = json.loads(stack.command("bridge", "doctor", "training-pipeline/products", "--json").stdout)
    assert {"API", "deployment training-pipeline/products"} <= {finding["what"] for finding in findings}
    assert all(finding["in order"] for finding in findings)


FOREIGN = {"Origin": "http://elsewhere.example"}
"""The page of a stranger, opened in a browser of this machine."""


def test_a_strangers_page_starts_nothing_in_prefect(stack: Stack) -> None:
    """The server reads what any page posts; a command in it would be run by the worker."""
    deployment = stack.prefect.get("/deployments/name/training-pipeline/products").raise_for_status().json()
    path = f"/deployments/{deployment['id']}/create_flow_run"
    before = stack.prefect.post("/flow_runs/count", json={}).json()
    stolen = {"job_variables": {"command": f"touch {stack.home.path / 'stolen'}"}}
    with httpx.Client(base_url=stack.prefect_api.url, trust_env=False) as page:
        wish = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        asked = page.options(path, headers={**FOREIGN, **wish})
        posted = page.post(path, json=stolen, headers=FOREIGN)
        under_our_address = page.post(path, json=stolen, headers={"Host": "elsewhere.example"})
        own = page.options(path, headers={"Origin": stack.prefect_api.web_url, **wish})
    assert (asked.status_code, posted.status_code, under_our_address.status_code) == (400, 401, 401)
    assert not [answer for answer in (asked, posted) if "access-control-allow-origin" in answer.headers]
    assert own.headers["access-control-allow-origin"] == stack.prefect_api.web_url
    assert stack.prefect.post("/flow_runs/count", json={}).json() == before
    assert not (stack.home.path / "stolen").exists()


def test_a_strangers_page_changes_nothing_in_mlflow_with_the_login_that_the_browser_remembers(stack: Stack) -> None:
    made = stack.mlflow.post("/api/2.0/mlflow/experiments/create", json={"name": "theirs"}, headers=FOREIGN)
    rebound = stack.mlflow.get(
        "/api/2.0/mlflow/experiments/search?max_results=1", headers={"Host": "elsewhere.example"}
    )
    assert (made.status_code, rebound.status_code) == (403, 403)


def test_another_user_of_the_machine_is_let_in_nowhere(stack: Stack) -> None:
    """He has no secret, and everything else that can be known."""
    mlflow, prefect = str(stack.mlflow.base_url), stack.prefect_api.url
    reads = [
        f"{prefect}/admin/settings",
        f"{prefect}/deployments/name/training-pipeline/products",
        f"{mlflow}/api/2.0/mlflow/experiments/search?max_results=1",
        f"{mlflow}/api/2.0/mlflow-artifacts/artifacts",
        f"{mlflow}/api/2.0/mlflow/registered-models/alias?name=products&alias=champion",
        f"{mlflow}/",
        f"{stack.airflow_url}/api/v2/dags",
        f"{stack.airflow_url}/control-page/",
    ]
    assert {url: httpx.get(url, trust_env=False).status_code for url in reads} == dict.fromkeys(reads, 401)
    with pytest.raises(PrefectUnauthorised):
        asyncio.run(check_socket(PrefectConnection(prefect)))
    url = make_url(stack.environment["DATABASE_URL"])
    with pytest.raises(OperationalError, match="password"):
        create_engine(URL.create(url.drivername, url.username, database=url.database, query=url.query)).connect()
    assert stat.S_IMODE(Path(str(url.query["host"])).stat().st_mode) == 0o700


def test_what_a_stack_writes_is_its_owners_alone(stack: Stack, second_week: object) -> None:
    open_to_others = [
        path for path in [stack.home.path, *stack.home.path.rglob("*")] if stat.S_IMODE(path.lstat().st_mode) & 0o077
    ]
    assert [path for path in open_to_others if not path.is_symlink()] == []


def test_the_discord_address_stands_in_no_log(stack: Stack, second_week: object) -> None:
    written = logs_of(stack.home)
    assert "weekly_ml_pipeline" in written
    assert "a-secret-token" not in written


def test_make_clean_knows_everything_that_a_stack_makes(stack: Stack, second_week: object) -> None:
    assert [path.name for path in stack.home.path.iterdir() if not is_made(path.name)] == []
