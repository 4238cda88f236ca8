"""`RunPrefectDeployment` in a real Airflow on a real Prefect, waiting in a trigger and waiting on the worker."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bridge.errors import FlowRunFailed, ParametersRejected, PrefectUnreachable
from bridge.in_airflow import operators
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.in_airflow.links import FLOW_RUN_ID_KEY, FLOW_RUN_URL_KEY
from bridge.in_airflow.run_log import RunLog
from bridge.in_airflow.submission import begun_before
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.retrying import Fault, RetryPolicy
from bridge.prefect_api.wire import Submission
from bridge.submitting import Submitted
from bridge.verdict import judge
from tests.airflow.test_submission import order_of
from tests.live_prefect import LivePrefect, free_port, wait_until


def tagged(prefect: LivePrefect, tag: str) -> list[dict[str, Any]]:
    """The flow runs with that tag, oldest first."""
    wanted = {"flow_runs": {"tags": {"all_": [tag]}}, "sort": "EXPECTED_START_TIME_ASC"}
    return list(prefect.request("POST", "/flow_runs/filter", wanted))


both_ways = pytest.mark.parametrize("mode", ["deferred", "blocking"])


@both_ways
def test_the_typed_result_reaches_the_next_task_and_the_run_is_known(
    play: Callable, client: PrefectClient, prefect: LivePrefect, mode: str
) -> None:
    played = play(f"typed_{mode}", text="hi", number=3)
    assert played.xcom("run") == {"text": "hi", "number": 3}
    assert played.xcom("told") == "hi x 3"
    flow_run_id = played.xcom("run", FLOW_RUN_ID_KEY)
    assert played.xcom("run", FLOW_RUN_URL_KEY).endswith(f"/runs/flow-run/{flow_run_id}")
    document = prefect.request("GET", f"/flow_runs/{flow_run_id}")
    run_id = played.dag_run.run_id
    assert set(document["tags"]) == {"airflow", f"dag:typed_{mode}", f"run:{run_id}", "task:run"}
    labels = document["labels"]
    assert (labels["airflow.dag_id"], labels["airflow.run_id"]) == (f"typed_{mode}", run_id)
    assert labels["airflow.try_number"] == 1


@both_ways
def test_a_failing_flow_fails_the_task_in_prefects_words_and_every_retry_is_a_fresh_run(
    play: Callable, client: PrefectClient, prefect: LivePrefect, mode: str
) -> None:
    tag = uuid4().hex
    played = play(f"any_{mode}", deployment="fail/t", parameters={"message": "the disk is full"}, tag=tag)
    assert played.state("run") == "failed"
    assert len(played.raised) == 2
    runs = tagged(prefect, tag)
    assert {run["state_type"] for run in runs} == {"FAILED"}
    assert len(runs) == 2
    for error, run in zip(played.raised, runs, strict=True):
        assert isinstance(error, FlowRunFailed)
        assert error.flow_run_id == run["id"]
        assert "ValueError: the disk is full" in str(error)
        assert error.url in str(error)


@both_ways
def test_a_retry_after_a_failure_takes_the_fresh_runs_result(
    play: Callable, client: PrefectClient, tmp_path: Path, mode: str
) -> None:
    path = str(tmp_path / "failed once")
    played = play(f"any_{mode}", deployment="fail-once/t", parameters={"path": path}, tag=uuid4().hex)
    assert played.state("run") == "success"
    assert played.ti("run").try_number == 2
    assert played.xcom("run") == {"text": "second", "number": 2}


@both_ways
def test_a_retry_in_place_runs_the_same_flow_run_again(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, mode: str
) -> None:
    tag = uuid4().hex
    played = play(f"in_place_{mode}", path=str(tmp_path / "failed once"), tag=tag)
    assert played.state("run") == "success"
    assert played.ti("run").try_number == 2
    assert played.xcom("run") == {"text": "second", "number": 2}
    [run] = tagged(prefect, tag)
    assert run["run_count"] == 2


@both_ways
def test_a_run_that_somebody_cancelled_skips_the_task_where_that_was_chosen(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, mode: str
) -> None:
    tag = uuid4().hex

    def cancel_it() -> None:
        wait_until(lambda: [run for run in tagged(prefect, tag) if run["state_type"] == "RUNNING"], "it runs")
        prefect.put_state(tagged(prefect, tag)[0]["id"], "CANCELLED")

    with ThreadPoolExecutor(1) as person:
        cancelled = person.submit(cancel_it)
        played = play(f"skips_cancelled_{mode}", path=str(tmp_path / "never"), tag=tag)
        cancelled.result()
    assert (played.state("run"), played.raised) == ("skipped", [])


@both_ways
def test_the_flows_log_is_in_the_tasks_log_each_line_once(
    play: Callable, client: PrefectClient, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    text = uuid4().hex
    play(f"any_{mode}", deployment="fail/t", parameters={"message": text}, tag=text)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [line for line in printed.splitlines() if "[Prefect " in line]
    finished = [line for line in lines if "Finished in state Failed" in line]
    assert len(finished) == 2, lines  # one run a try
    encountered = [line for line in lines if "Encountered exception during execution" in line]
    assert len(encountered) == 2
    assert all("[error" in line for line in encountered), encountered


@both_ways
def test_the_log_of_a_short_success_is_complete(
    play: Callable, client: PrefectClient, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    text = uuid4().hex
    play(f"typed_{mode}", text=text, number=3)
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    lines = [line for line in printed.splitlines() if "[Prefect " in line]
    assert len([line for line in lines if f"echoing {text}" in line]) == 1
    assert len([line for line in lines if "Finished in state Completed" in line]) == 1


def test_a_run_retried_in_place_must_start_again_in_time(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("RUNNING", "FAILED")
    retried = client.run(wire.retry_flow_run(flow_run_id))
    again = Submitted(retried, "retried")
    assert begun_before(again) == retried.run_count > 0
    assert begun_before(Submitted(retried, "attached")) == retried.run_count  # by a worker that came after
    assert not judge(retried, begun_before=begun_before(again)).started
    prefect.put_state(flow_run_id, "RUNNING")
    running = client.run(wire.read_flow_run(flow_run_id))
    assert judge(running, begun_before=begun_before(again)).started
    assert judge(running, begun_before=begun_before(Submitted(running, "retried"))).started  # somebody was quicker


def test_a_run_that_is_not_waited_for_is_handed_on(play: Callable, client: PrefectClient) -> None:
    handed = play("not_waited_for").xcom("run")
    run = client.run(wire.read_flow_run(handed["flow_run_id"]))
    assert (run.name, handed["url"].endswith(run.id)) == (handed["name"], True)


def test_an_asset_event_bears_the_result(play: Callable, client: PrefectClient) -> None:
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session

    played = play("announced")
    with create_session() as session:
        [event] = session.query(AssetEvent).filter_by(source_run_id=played.dag_run.run_id).all()
        assert event.extra["result"] == {"text": "hello", "number": 1}
        assert event.extra["flow_run_id"] == played.xcom("run", FLOW_RUN_ID_KEY)


@both_ways
def test_a_skipped_flow_skips_the_task_and_keeps_its_result(play: Callable, client: PrefectClient, mode: str) -> None:
    played = play(f"skipping_{mode}")
    assert played.state("run") == "skipped"
    assert played.xcom("run") == {"text": "nothing", "number": 0}


def test_a_retry_reattaches_to_the_running_flow(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag, marker = uuid4().hex, tmp_path / "go"
    wait = operators.wait_here

    def die_once(trigger: FlowRunTrigger) -> Mapping[str, Any]:
        if not marker.exists():
            marker.touch()
            raise ConnectionError("the worker's machine is gone")
        return wait(trigger)

    monkeypatch.setattr(operators, "wait_here", die_once)
    played = play("any_blocking", deployment="hold/t", parameters={"path": str(marker)}, tag=tag)
    assert [type(error) for error in played.raised] == [ConnectionError]
    assert played.state("run") == "success"
    assert len(tagged(prefect, tag)) == 1


def test_a_run_that_is_deleted_while_it_is_waited_for_is_lost_and_the_retry_starts_afresh(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "go"
    wait = operators.wait_here

    def delete_once(trigger: FlowRunTrigger) -> Mapping[str, Any]:
        if not marker.exists():
            marker.touch()
            prefect.request("DELETE", f"/flow_runs/{trigger.flow_run_id}")
        return wait(trigger)

    monkeypatch.setattr(operators, "wait_here", delete_once)
    played = play("any_blocking", deployment="hold/t", parameters={"path": str(marker)}, tag=uuid4().hex)
    assert [type(error).__name__ for error in played.raised] == ["FlowRunLost"]
    assert played.state("run") == "success"


def test_an_api_that_stays_away_is_given_up_with_the_runs_name(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "go"
    wait = operators.wait_here
    exchange = PrefectClient._send

    def cut_off_once(trigger: FlowRunTrigger) -> Mapping[str, Any]:
        if marker.exists():
            return wait(trigger)
        marker.touch()
        monkeypatch.setattr(PrefectClient, "_send", lambda *_: Fault("ConnectError", sent=False))
        monkeypatch.setattr("bridge.prefect_api.client.time.sleep", lambda _: None)
        return trigger._resumption(
            "error", RunLog(logging.getLogger(__name__), None, None), "no answer for 300 s"
        ).payload

    def come_back(context: Mapping[str, Any]) -> None:
        monkeypatch.setattr(PrefectClient, "_send", exchange)

    monkeypatch.setattr(operators, "wait_here", cut_off_once)
    monkeypatch.setattr(operators.RunPrefectDeployment, "pre_execute", lambda _, context: come_back(context))
    tag = uuid4().hex
    played = play("any_blocking", deployment="hold/t", parameters={"path": str(marker)}, tag=tag)
    [lost] = played.raised
    [run] = tagged(prefect, tag)
    assert type(lost).__name__ == "FlowRunLost"
    assert all(part in str(lost) for part in (run["id"], "may still run", "cannot be reached"))
    assert played.state("run") == "success"  # the retry has re-attached


@both_ways
def test_wrong_parameters_fail_at_once_and_start_nothing(
    play: Callable, client: PrefectClient, prefect: LivePrefect, mode: str
) -> None:
    tag = uuid4().hex
    played = play(f"any_{mode}", deployment="echo/t", parameters={"number": "three"}, tag=tag)
    assert played.state("run") == "failed"
    [error] = played.raised
    assert "Parameter 'number' of deployment 'echo/t'" in str(error)
    assert tagged(prefect, tag) == []


def test_a_template_object_from_the_configuration_is_refused(
    play: Callable, client: PrefectClient, prefect: LivePrefect
) -> None:
    secret = {"__prefect_kind": "workspace_variable", "variable_name": "secret"}
    tag = uuid4().hex
    played = play("any_deferred", deployment="echo/t", parameters={"text": secret}, tag=tag)
    assert "template object" in str(played.raised[0])
    assert tagged(prefect, tag) == []


def test_an_unknown_deployment_is_not_retried(play: Callable, client: PrefectClient) -> None:
    played = play("any_deferred", deployment="nope/t", parameters={}, tag="x")
    [error] = played.raised
    assert "has no deployment 'nope/t'" in str(error)


def test_every_mapped_task_has_a_run_of_its_own(play: Callable, client: PrefectClient) -> None:
    played = play("mapped")
    results = [played.xcom("run", map_index=index) for index in (0, 1)]
    assert [result["number"] for result in results] == [1, 2]
    assert len({played.xcom("run", FLOW_RUN_ID_KEY, index) for index in (0, 1)}) == 2


def test_parameters_may_be_another_tasks_output(play: Callable, client: PrefectClient) -> None:
    assert play("from_a_task").xcom("run") == {"text": "from upstream", "number": 5}


@pytest.mark.parametrize("limit", ["late", "late_by_airflows_own_limit"])
def test_a_run_that_takes_too_long_is_cancelled_and_says_so(
    play: Callable, client: PrefectClient, old: Callable[[float], None], tmp_path: Path, limit: str
) -> None:
    old(3600)
    played = play(limit, path=str(tmp_path / "never"))
    [error] = played.raised
    assert type(error).__name__ == "FlowRunTimedOut"
    after = client.run(wire.read_flow_run(error.flow_run_id))
    assert after.state_type in {"CANCELLING", "CANCELLED"}
    assert "is cancelled" in str(error) or "still CANCELLING" in str(error)
    assert "RUNNING for ever has often lost its process" in str(error)


@both_ways
def test_a_run_that_nobody_starts_is_cancelled_and_the_error_names_pool_queue_and_worker(
    play: Callable, client: PrefectClient, prefect: LivePrefect, mode: str
) -> None:
    pool = f"pool-{uuid4().hex[:8]}"
    prefect.request("POST", "/work_pools/", {"name": pool, "type": "process"})
    flow = prefect.request("POST", "/flows/", {"name": "pooled"})
    deployed = {"name": pool, "flow_id": flow["id"], "work_pool_name": pool}
    prefect.request("POST", "/deployments/", deployed)
    played = play(f"never_starts_{mode}", deployment=f"pooled/{pool}")
    error = played.raised[0]
    assert type(error).__name__ == "FlowRunNeverStarted"
    assert f"work pool {pool!r}, queue 'default': no worker has ever polled it" in str(error)
    assert client.run(wire.read_flow_run(error.flow_run_id)).state_type == "CANCELLED"


def test_a_run_out_of_sight_is_cancelled_where_that_was_chosen(client: PrefectClient, prefect: LivePrefect) -> None:
    operator = operators.RunPrefectDeployment(task_id="run", deployment="a/b", on_lost="cancel")
    flow_run_id = prefect.run_by_hand("SCHEDULED")
    lost = operator._limits.lost(client, flow_run_id, PrefectUnreachable("no answer"))
    assert "As configured: flow run" in str(lost)
    assert "is cancelled" in str(lost)
    assert client.run(wire.read_flow_run(flow_run_id)).state_type == "CANCELLED"
    away = PrefectClient(PrefectConnection(f"http://127.0.0.1:{free_port()}/api"), RetryPolicy(attempts=1))
    assert "could not be cancelled either" in str(operator._limits.lost(away, flow_run_id, PrefectUnreachable("no")))


@pytest.mark.parametrize(
    ("value", "refusal"),
    [
        (object(), "job_variables.env is of the type object, which is not plain JSON"),
        ("{{ prefect.blocks.secret.key }}", "which Prefect's worker would render"),
    ],
)
def test_job_variables_that_cannot_be_taken_as_they_stand_start_nothing(
    client: PrefectClient, prefect: LivePrefect, value: object, refusal: str
) -> None:
    tag = uuid4().hex
    order = order_of("echo/t", Submission({}, tags=[tag], job_variables={"env": value}))
    with pytest.raises(ParametersRejected, match=refusal):
        order.place(client, DeploymentCache())
    assert tagged(prefect, tag) == []


def test_a_worker_that_dies_before_it_defers_leaves_its_run_to_the_retry(
    play: Callable, client: PrefectClient, prefect: LivePrefect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag, marker = uuid4().hex, tmp_path / "go"
    defer = operators.RunPrefectDeployment.defer

    def die_once(self: Any, **how: Any) -> None:
        if not marker.exists():
            marker.touch()
            raise ConnectionError("the worker's machine is gone")
        defer(self, **how)

    monkeypatch.setattr(operators.RunPrefectDeployment, "defer", die_once)
    played = play("any_deferred", deployment="hold/t", parameters={"path": str(marker)}, tag=tag)
    assert [type(error) for error in played.raised] == [ConnectionError]
    assert played.state("run") == "success"
    assert len(tagged(prefect, tag)) == 1


def test_a_choice_that_there_is_not_is_refused_when_the_dag_is_read() -> None:
    with pytest.raises(ValueError, match="on_retry='again' is none of: start_afresh, retry_in_place"):
        operators.RunPrefectDeployment(task_id="run", deployment="a/b", on_retry="again")
