"""Waiting for many runs on a real Prefect: when it ends, with what, and that it cancels nothing."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk import DAG, XComArg
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred

from bridge.errors import PrefectUnreachable, UnexpectedAnswer
from bridge.in_airflow import many_runs, sensors
from bridge.in_airflow.many_runs import FlowRunsTrigger
from bridge.in_airflow.sensors import ERRORS_BORNE, PrefectReady, WaitForFlowRuns
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.quorum import Quorum, check_needs, quorum_of
from tests.airflow.conftest import Played
from tests.live_prefect import LivePrefect

MODES = pytest.mark.parametrize("mode", ["deferred", "blocking"])
Play = Callable[..., Played]


def publish(prefect: LivePrefect, flow_run_id: str, result: dict[str, Any]) -> None:
    artifact = {"key": "bridge-result", "type": "result", "data": json.dumps(result), "flow_run_id": flow_run_id}
    prefect.request("POST", "/artifacts/", artifact)


def state_of(prefect: LivePrefect, flow_run_id: str) -> str:
    return str(prefect.request("GET", f"/flow_runs/{flow_run_id}")["state_type"])


def later(act: Callable[..., Any], *arguments: Any) -> None:
    """Do it while the task waits."""
    Timer(1.5, act, arguments).start()


@MODES
def test_all_that_completed_are_handed_back_with_their_results(
    client: PrefectClient, prefect: LivePrefect, play: Play, mode: str
) -> None:
    done, running = prefect.run_by_hand("COMPLETED"), prefect.run_by_hand("RUNNING")
    publish(prefect, done, {"rows": 3})
    later(prefect.put_state, running, "COMPLETED")
    played = play(f"wait_for_all_{mode}", ids=[running, done, done])
    ended = played.xcom("wait")
    assert [(each["flow_run_id"], each["state"], each["result"]) for each in ended] == [
        (running, "COMPLETED", None),
        (done, "COMPLETED", {"rows": 3}),
    ]
    assert ended[0]["url"].endswith(f"/runs/flow-run/{running}")


@MODES
def test_all_fails_at_the_first_failure_and_leaves_the_others_running(
    client: PrefectClient, prefect: LivePrefect, play: Play, mode: str
) -> None:
    running, failing = prefect.run_by_hand("RUNNING"), prefect.run_by_hand("RUNNING")
    name = prefect.request("GET", f"/flow_runs/{failing}")["name"]
    later(prefect.put_state, failing, "FAILED")
    played = play(f"wait_for_all_{mode}", ids=[running, failing])
    assert played.state("wait") == "failed"
    [raised] = played.raised
    assert "0 of 2 flow runs completed, 2 must" in str(raised)
    assert name in str(raised)
    assert state_of(prefect, running) == "RUNNING"


@MODES
def test_any_succeeds_with_the_first_and_leaves_the_others_running(
    client: PrefectClient, prefect: LivePrefect, play: Play, mode: str
) -> None:
    running, failed, ending = prefect.run_by_hand("RUNNING"), prefect.run_by_hand("FAILED"), prefect.run_by_hand()
    later(prefect.put_state, ending, "COMPLETED")
    played = play(f"wait_for_any_{mode}", ids=[running, failed, ending])
    assert [(each["flow_run_id"], each["state"]) for each in played.xcom("wait")] == [
        (failed, "FAILED"),
        (ending, "COMPLETED"),
    ]
    assert state_of(prefect, running) == "RUNNING"


def test_any_fails_when_none_can_complete_any_more(client: PrefectClient, prefect: LivePrefect, play: Play) -> None:
    failed, crashed, gone = prefect.run_by_hand("FAILED"), prefect.run_by_hand("CRASHED"), str(uuid4())
    played = play("wait_for_any_deferred", ids=[failed, crashed, gone])
    assert played.state("wait") == "failed"
    assert "crashed" in str(played.raised[0])
    assert f"{gone} is gone" in str(played.raised[0])


def test_enough_is_enough(client: PrefectClient, prefect: LivePrefect, play: Play) -> None:
    ids = [prefect.run_by_hand(state) for state in ("COMPLETED", "CANCELLED", "COMPLETED")]
    assert len(play("wait_for_2_deferred", ids=ids).xcom("wait")) == 3
    assert play("wait_for_2_deferred", ids=ids[:2]).state("wait") == "failed"


@MODES
def test_the_deadline_names_what_is_under_way_and_cancels_nothing(
    client: PrefectClient, prefect: LivePrefect, play: Play, mode: str
) -> None:
    running = prefect.run_by_hand("RUNNING")
    played = play(f"wait_for_all_briefly_{mode}", ids=[running])
    assert played.state("wait") == "failed"
    assert "did not end within 1 s" in str(played.raised[0])
    assert state_of(prefect, running) == "RUNNING"


async def test_a_run_that_crashed_and_comes_back_is_waited_for(client: PrefectClient, prefect: LivePrefect) -> None:
    flow_run_id = prefect.run_by_hand("CRASHED")
    trigger = FlowRunsTrigger("prefect_default", [flow_run_id], 1, crash_grace_seconds=30)
    event = asyncio.ensure_future(anext(aiter(trigger.run())))
    await asyncio.sleep(1.5)
    assert not event.done()
    await asyncio.to_thread(prefect.put_state, flow_run_id, "RUNNING")
    await asyncio.to_thread(prefect.put_state, flow_run_id, "COMPLETED")
    assert (await asyncio.wait_for(event, 60)).payload["because"] == "settled"


async def test_a_passed_deadline_fires_after_a_restart_too(client: PrefectClient, prefect: LivePrefect) -> None:
    past = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    trigger = FlowRunsTrigger("prefect_default", [prefect.run_by_hand("RUNNING")], 1, deadline=past)
    event = await asyncio.wait_for(anext(aiter(trigger.run())), 60)
    assert event.payload["because"] == "deadline"


@pytest.mark.parametrize(("prefects_clock", "is_over"), [(-1.0, False), (3601.0, True)])
async def test_the_deadline_is_a_moment_by_prefects_clock(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch, prefects_clock: float, is_over: bool
) -> None:
    """It was an hour off when Prefect's clock read 0; what this machine's clock says by now is no matter."""
    zero = datetime(2020, 1, 1, tzinfo=UTC)
    told = replace(reading("a", "RUNNING"), read_at=zero + timedelta(seconds=prefects_clock))
    monkeypatch.setattr(many_runs, "shared_waiting", lambda _: ScriptedWaiting(told))
    monkeypatch.setattr(many_runs, "DATE_STEP_SECONDS", 0.0)
    trigger = FlowRunsTrigger("prefect_default", ["a"], 1, deadline=(zero + timedelta(hours=1)).isoformat())
    event = asyncio.ensure_future(anext(aiter(trigger.run())))
    await asyncio.wait({event}, timeout=60 if is_over else 0.5)
    assert event.done() == is_over
    event.cancel()


def test_a_workers_clock_ends_no_wait(client: PrefectClient, prefect: LivePrefect) -> None:
    """The trigger says that the deadline has passed; Prefect's clock is asked once more."""
    running = prefect.run_by_hand("RUNNING")
    operator = WaitForFlowRuns(task_id="wait", flow_run_ids="x", timeout=5.0)
    told = {"because": "deadline", "detail": "", "flow_run_ids": [running], "needed": 1, "errors_so_far": 0}
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute_complete({}, {**told, "deadline": soon})
    assert deferred.value.trigger.serialize()[1]["deadline"] == soon
    with pytest.raises(AirflowFailException, match="did not end within 5 s"):
        operator.execute_complete({}, {**told, "deadline": "2020-01-01T00:00:00+00:00"})


def test_the_trigger_is_plain_json_without_a_credential() -> None:
    trigger = FlowRunsTrigger("prefect_default", ["a", "b"], 2, "2026-01-01T00:00:00+00:00", 30.0, 300.0, None)
    path, kwargs = trigger.serialize()
    assert path == "bridge.in_airflow.many_runs.FlowRunsTrigger"
    assert FlowRunsTrigger(**json.loads(json.dumps(kwargs))).serialize() == (path, kwargs)


def test_what_is_no_id_is_refused(client: PrefectClient, play: Play) -> None:
    played = play("wait_for_all_deferred", ids=["not an id"])
    assert "'not an id' is not the id of a flow run" in str(played.raised[0])


@pytest.mark.parametrize("needs", [0, -1, True, "most", 1.5])
def test_a_rule_that_is_none_is_refused_when_the_dag_is_read(needs: Any) -> None:
    with pytest.raises(ValueError, match="needs="):
        WaitForFlowRuns(task_id="wait", flow_run_ids="x", needs=needs)


@pytest.mark.parametrize(
    ("needs", "completed", "failed", "standing"),
    [
        ("all", 2, 0, "open"),
        ("all", 3, 0, "met"),
        ("all", 2, 1, "failed"),
        ("any", 0, 2, "open"),
        ("any", 1, 2, "met"),
        ("any", 0, 3, "failed"),
        (2, 1, 1, "open"),
        (2, 2, 0, "met"),
        (2, 1, 2, "failed"),
        (4, 0, 0, "failed"),
    ],
)
def test_a_rule_is_met_failed_or_open(needs: Any, completed: int, failed: int, standing: str) -> None:
    assert quorum_of(check_needs(needs), 3).standing(completed, failed) == standing


def test_all_of_none_is_met() -> None:
    assert Quorum(0, 0).standing(0, 0) == "met"


def test_the_pages_example_starts_many_and_waits_for_enough(
    client: PrefectClient, prefect: LivePrefect, play: Play
) -> None:
    played = play("score_every_region")
    assert played.state("report") == "success"
    reported = [result["text"] for result in played.xcom("report").values()]
    assert len(reported) >= 3
    assert set(reported) <= {"north", "south", "east", "west"}


def reading(flow_run_id: str, state_type: str, seconds_ago: float = 60.0) -> FlowRun:
    when = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()
    return FlowRun.parse({"id": flow_run_id, "name": "scripted", "state": {"type": state_type, "timestamp": when}})


class ScriptedWaiting:
    """What is told of runs, at moments that no server can be made to meet."""

    def __init__(self, *told: FlowRun, confirmed: tuple[FlowRun, ...] = ()) -> None:
        self.told: asyncio.Queue[FlowRun | Exception] = asyncio.Queue()
        for each in told:
            self.told.put_nowait(each)
        self._confirmed = list(confirmed)

    async def follow(self, _flow_run_id: str, **_: Any) -> AsyncIterator[FlowRun]:
        while True:
            told = await self.told.get()
            if isinstance(told, Exception):
                raise told
            yield told

    async def confirm(self, _flow_run_id: str) -> FlowRun:
        return self._confirmed.pop(0)


@pytest.mark.parametrize("passes", range(6))
async def test_a_wait_that_is_cancelled_as_news_comes_ends(passes: int) -> None:
    waiting = ScriptedWaiting(reading("a", "CRASHED"))
    trigger = FlowRunsTrigger("prefect_default", ["a"], 1, crash_grace_seconds=3600)
    wait = asyncio.create_task(trigger._completes(waiting, "a"))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    waiting.told.put_nowait(reading("a", "RUNNING"))
    for _ in range(passes):
        await asyncio.sleep(0)
    wait.cancel()
    await asyncio.wait({wait}, timeout=5)
    assert wait.cancelled()


async def test_a_crashed_run_is_read_again_when_its_grace_is_over() -> None:
    crashed, running, completed = (reading("a", state) for state in ("CRASHED", "RUNNING", "COMPLETED"))
    waiting = ScriptedWaiting(crashed, confirmed=(running, completed))
    wait = asyncio.create_task(FlowRunsTrigger("prefect_default", ["a"], 1)._completes(waiting, "a"))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    assert not wait.done()
    waiting.told.put_nowait(completed)
    assert await asyncio.wait_for(wait, 5)


async def test_every_waits_error_is_heeded(client: PrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    unheeded: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheeded.append(context))
    waiting = ScriptedWaiting()
    monkeypatch.setattr(many_runs, "shared_waiting", lambda _: waiting)
    for _ in range(20):
        waiting.told.put_nowait(UnexpectedAnswer("not to be read"))  # type: ignore[arg-type]
    event = await anext(aiter(FlowRunsTrigger("prefect_default", [str(uuid4()) for _ in range(20)], 20).run()))
    assert (event.payload["because"], event.payload["detail"]) == ("error", "not to be read")
    gc.collect()
    assert not unheeded


async def test_a_connection_that_airflow_does_not_give_resumes_the_task_and_is_counted() -> None:
    trigger = FlowRunsTrigger("not_there", [str(uuid4())], 1, errors_so_far=2)
    payload = (await anext(aiter(trigger.run()))).payload
    assert payload["because"] == "error"
    assert "not_there" in payload["detail"]
    assert payload["errors_so_far"] == 3


async def test_errors_are_counted_anew_once_every_run_was_heard_of(
    client: PrefectClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = ScriptedWaiting(reading("a", "RUNNING"))
    waiting.told.put_nowait(UnexpectedAnswer("not to be read"))
    monkeypatch.setattr(many_runs, "shared_waiting", lambda _: waiting)
    trigger = FlowRunsTrigger("prefect_default", ["a"], 1, errors_so_far=4)
    assert (await anext(aiter(trigger.run()))).payload["errors_so_far"] == 1


def failed_wait(flow_run_id: str, errors_so_far: int) -> dict[str, Any]:
    """What a trigger tells that could not wait."""
    deadline = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    told = {"because": "error", "detail": "no such CA file", "deadline": deadline, "errors_so_far": errors_so_far}
    return {**told, "flow_run_ids": [flow_run_id], "needed": 1}


def test_what_fails_in_the_triggerer_alone_is_waited_for_on_the_worker(
    client: PrefectClient, prefect: LivePrefect
) -> None:
    operator = WaitForFlowRuns(task_id="wait", flow_run_ids="x")
    running = prefect.run_by_hand("RUNNING")
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute_complete({}, failed_wait(running, ERRORS_BORNE - 1))
    assert deferred.value.trigger.serialize()[1]["errors_so_far"] == ERRORS_BORNE - 1
    later(prefect.put_state, running, "COMPLETED")
    [ended] = operator.execute_complete({}, failed_wait(running, ERRORS_BORNE))
    assert ended["state"] == "COMPLETED"


@pytest.mark.parametrize("deferrable", [True, False])
def test_what_fails_on_the_worker_too_fails_the_task(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    running = prefect.run_by_hand("RUNNING")
    waits: list[int] = []

    def fail(trigger: FlowRunsTrigger) -> dict[str, Any]:
        waits.append(trigger.errors_so_far)
        return failed_wait(running, trigger.errors_so_far + 1)

    monkeypatch.setattr(sensors, "wait_here", fail)
    operator = WaitForFlowRuns(task_id="wait", flow_run_ids="x", deferrable=deferrable)
    with pytest.raises(PrefectUnreachable, match="failed 6 times in a row, last: no such CA file"):
        operator.execute_complete({}, failed_wait(running, ERRORS_BORNE))
    assert waits == [ERRORS_BORNE]


def test_one_string_is_no_list_of_deployments() -> None:
    with pytest.raises(ValueError, match=r"give a list, such as \['train/products'\]"):
        PrefectReady(task_id="ready", deployments="train/products")
    ready = PrefectReady(task_id="ready", deployments=["train/products"])
    for rendered in ("train/products", None, [3]):
        ready.deployments = rendered
        with pytest.raises(AirflowFailException, match="list"):
            ready.poke({})


def test_deployments_may_be_another_tasks_output() -> None:
    with DAG("ready_for_what_is_told", schedule=None):
        told = BaseOperator(task_id="told")
        ready = PrefectReady(task_id="ready", deployments=XComArg(told))
    assert ready.upstream_task_ids == {"told"}


@pytest.mark.parametrize("given", [None, 3])
def test_what_is_no_list_of_runs_is_refused(given: Any) -> None:
    with pytest.raises(AirflowFailException, match="flow_run_ids"):
        WaitForFlowRuns(task_id="wait", flow_run_ids=given).execute({})
