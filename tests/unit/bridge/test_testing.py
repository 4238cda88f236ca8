"""The fake Prefect does what a test tells it, and goes wrong in the way it is told to."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from threading import Event
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from bridge import errors
from bridge.contracts import Deployment
from bridge.ending import conclude
from bridge.intention import Intention
from bridge.prefect_api import run_queries, wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, state_changes
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from bridge.testing import Course, FakePrefect

pytest_plugins = ["bridge.testing.fixtures"]

QUICK = RetryPolicy(attempts=4, first_pause_seconds=0.001, longest_pause_seconds=0.001)
PATIENCE_SECONDS = 30
NAME = "training-pipeline/products"


class Params(BaseModel):
    rows: int = 10


class Score(BaseModel):
    f1: float


TRAINING = Deployment(NAME, Params, Score)


@pytest.fixture
def prefect(fake_prefect: FakePrefect) -> FakePrefect:
    fake_prefect.deployment(TRAINING)
    return fake_prefect


@pytest.fixture
def client(prefect: FakePrefect) -> Iterator[PrefectClient]:
    with PrefectClient(prefect.connection, QUICK) as opened:
        yield opened


def start(client: PrefectClient, who: str = "a test", **parameters: Any) -> FlowRun:
    record = client.run(wire.find_deployment(NAME))
    return client.run(submit(record, Intention(NAME, (who,)), Submission(parameters))).run


def outcome(client: PrefectClient, run: FlowRun) -> Any:
    return client.run(conclude(client.run(wire.read_flow_run(run.id)), "", Score)).result


def test_a_run_ends_at_once_with_the_result_that_was_told(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(TRAINING, result=Score(f1=0.9), logs=["begun", (logging.WARNING, "slow")])
    run = start(client, rows=3)
    assert outcome(client, run) == {"f1": 0.9}
    lines = [(line.level, line.message) for line in client.run(wire.read_logs(run.id))]
    assert lines == [(20, "begun"), (30, "slow"), (20, "Finished in state Completed()")]
    [known] = prefect.runs(NAME)
    assert (known.parameters, known.state_type) == ({"rows": 3}, "COMPLETED")


def test_a_function_may_stand_for_the_flow(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, lambda parameters: {"f1": 1 / parameters["rows"]})
    assert outcome(client, start(client, "one", rows=4)) == {"f1": 0.25}
    with pytest.raises(errors.FlowRunFailed, match="encountered an exception: ZeroDivisionError: division by zero"):
        outcome(client, start(client, "another", rows=0))


def test_runs_take_the_plans_in_turn_and_the_last_one_holds(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, Course("CRASHED"), Course(state_name="Skipped", message="nothing to do"))
    states = [client.run(wire.read_flow_run(start(client, who).id)).state_name for who in ("one", "two", "three")]
    assert states == ["Crashed", "Skipped", "Skipped"]


def test_a_retry_in_place_takes_the_next_plan(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, Course("FAILED"), Course(result={"f1": 0.5}))
    run = start(client)
    client.run(wire.retry_flow_run(run.id))
    assert outcome(client, run) == {"f1": 0.5}
    assert prefect.read(run).run_count == 2


def test_a_run_is_moved_on_by_hand(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, state="SCHEDULED")
    run = start(client)
    assert prefect.read(run).start_time is None
    prefect.set_state(run, "RUNNING")
    prefect.finish(run, state="FAILED", message="no space left")
    with pytest.raises(errors.FlowRunFailed, match="no space left"):
        outcome(client, run)


def test_a_run_ends_after_its_time(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, result={"f1": 0.5}, after_seconds=0.05)
    run = start(client)
    prefect.wait_for(lambda: prefect.read(run).state_type == "COMPLETED")
    assert outcome(client, run) == {"f1": 0.5}


def test_a_cancelled_run_is_not_ended_a_second_time(prefect: FakePrefect, client: PrefectClient) -> None:
    go = Event()

    def flow(_: dict[str, Any]) -> Score:
        [run] = prefect.runs()
        assert client.run(wire.cancel_flow_run(run.id)).state_type == "CANCELLED"
        go.set()
        return Score(f1=1.0)

    prefect.on_run(NAME, flow)
    run = start(client)
    assert go.is_set()
    assert prefect.read(run).state_type == "CANCELLED"
    assert client.run(wire.read_result(run.id)) is None


def test_a_run_may_ignore_its_cancellation(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.on_run(NAME, state="RUNNING", obeys_cancel=False)
    assert client.run(wire.cancel_flow_run(start(client).id)).state_type == "CANCELLING"


def test_a_contract_a_model_and_a_function_describe_the_parameters(prefect: FakePrefect, client: PrefectClient) -> None:
    def flow(rows: int, text: str = "") -> None: ...

    prefect.deployment("by/model", parameters=Params)
    prefect.deployment("by/function", parameters=flow)
    schemas = {name: record.parameter_schema for name, record in client.run(wire.list_deployments())}
    assert schemas["by/model"] == schemas[NAME]
    assert schemas["by/function"]["required"] == ["rows"]
    with pytest.raises(errors.ParametersRejected, match="'many' is not of type 'integer'"):
        start(client, rows="many")
    assert prefect.runs() == []


def test_a_run_may_be_started_from_elsewhere_and_be_deleted(prefect: FakePrefect, client: PrefectClient) -> None:
    run = prefect.run(NAME, {"rows": 1}, tags=["by hand"])
    assert client.run(wire.read_flow_run(run.id)).tags == ("by hand",)
    prefect.delete(run)
    with pytest.raises(errors.FlowRunNotFound):
        client.run(wire.read_flow_run(run.id))


def test_a_worker_is_known_to_its_pool(prefect: FakePrefect, client: PrefectClient) -> None:
    prefect.deployment("slow/flow", work_pool="gpus")
    prefect.worker("gpus", status="OFFLINE", ago_seconds=60)
    [worker] = client.run(wire.list_workers("gpus"))
    assert (worker.name, worker.status) == ("worker", "OFFLINE")


def test_what_the_fake_does_not_know_is_said_and_never_taken_for_something_else(
    prefect: FakePrefect, client: PrefectClient
) -> None:
    with pytest.raises(LookupError, match="no deployment 'nobody/knows'"):
        prefect.on_run("nobody/knows")
    with pytest.raises(ValueError, match="'DONE' is no state type"):
        prefect.on_run(NAME, state="DONE")
    with pytest.raises(TypeError, match="not both"):
        prefect.on_run(NAME, Course(), state="FAILED")
    prefect.run(NAME)
    asked = run_queries.filter_flow_runs({"flow_runs": {"flow_version": {"any_": ["1"]}}}, sort="ID_DESC", limit=1)
    with pytest.raises(errors.PrefectApiError, match="does not know the filter 'flow_version'"):
        client.run(asked)
    with pytest.raises(TimeoutError, match="not within 0 s"):
        prefect.wait_for(lambda: False, seconds=0)


def test_credentials_are_asked_for_and_handed_to_airflow() -> None:
    with FakePrefect(api_key="a key") as prefect:
        assert '"password": "a key"' in prefect.airflow_connection()
        with PrefectClient(prefect.connection) as known, PrefectClient(PrefectConnection(prefect.api_url)) as stranger:
            assert known.run(wire.read_server_version())
            with pytest.raises(errors.PrefectUnauthorised):
                stranger.run(wire.read_server_version())


def test_it_must_be_started_first() -> None:
    with pytest.raises(RuntimeError, match="with statement"):
        _ = FakePrefect().api_url


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "bridge.testing.serving", raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(ModuleNotFoundError, match=r"FakePrefect needs uvicorn.*'airflow-provider-prefect\[testing\]'"):
        FakePrefect().start()


def sent(prefect: FakePrefect, path: str) -> int:
    return sum(path in request.path for request in prefect.requests)


@pytest.mark.parametrize("fault", ["lose_answer", "cut", "garbage"])
def test_a_creation_whose_answer_does_not_come_leads_to_one_run(
    prefect: FakePrefect, client: PrefectClient, fault: str
) -> None:
    getattr(prefect.faults, fault)(times=2, path="create_flow_run")
    start(client)
    assert len(prefect.runs()) == 1
    assert sent(prefect, "create_flow_run") == 3


def test_a_lost_answer_was_carried_out_and_a_cut_request_was_not(prefect: FakePrefect) -> None:
    record = PrefectClient(prefect.connection).run(wire.find_deployment(NAME))
    with PrefectClient(prefect.connection, QUICK) as client:
        prefect.faults.cut(path="create_flow_run")
        with pytest.raises(errors.PrefectUnreachable, match="may have been carried out"):
            client.run(wire.create_flow_run(record, Submission({}), NAME))
        assert prefect.runs() == []
        prefect.faults.lose_answer(path="create_flow_run")
        with pytest.raises(errors.PrefectUnreachable, match="may have been carried out"):
            client.run(wire.create_flow_run(record, Submission({}), NAME))
        assert len(prefect.runs()) == 1


def test_an_answer_on_demand_comes_as_often_as_asked_for_and_for_its_path_alone(
    prefect: FakePrefect, client: PrefectClient
) -> None:
    prefect.faults.answer(429, times=2, path="/admin", headers={"Retry-After": "0.01"})
    assert client.run(wire.list_deployments())
    assert client.run(wire.read_server_version())
    assert sent(prefect, "/admin") == 3
    prefect.faults.answer(503, times=None)
    with pytest.raises(errors.PrefectUnreachable, match="HTTP 503"):
        client.run(wire.read_server_version())
    prefect.faults.clear()
    assert client.run(wire.read_server_version())


def test_a_delayed_answer_comes_late_and_meets_the_next_fault_as_well(prefect: FakePrefect) -> None:
    prefect.faults.delay(PATIENCE_SECONDS, path="/admin")
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{prefect.api_url}/admin/version", timeout=httpx.Timeout(30, read=0.1), trust_env=False)
    prefect.faults.delay(0.01)
    prefect.faults.answer(502)
    assert httpx.get(f"{prefect.api_url}/admin/version", trust_env=False).status_code == 502


async def changes(prefect: FakePrefect, flow_run_id: str, states: list[str], wanted: int) -> list[str]:
    """The states that the socket tells while the run goes through these."""
    opened = asyncio.Event()
    told: list[str] = []

    async def listen() -> None:
        async for change in state_changes(prefect.connection, None, opened.set):
            assert isinstance(change, StateChange)
            if change.flow_run_id == flow_run_id:
                told.append(change.state_type)
            if len(told) == wanted:
                return

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(listen())
        await opened.wait()
        await asyncio.to_thread(prefect.wait_for, lambda: prefect.faults.closers)
        for state in states:
            prefect.set_state(flow_run_id, state)
    return told


@pytest.fixture
def scheduled(prefect: FakePrefect) -> FlowRun:
    prefect.on_run(NAME, state="SCHEDULED")
    return prefect.run(NAME)


async def test_events_are_dropped(prefect: FakePrefect, scheduled: FlowRun) -> None:
    prefect.faults.drop_events(times=2)
    assert await changes(prefect, scheduled.id, ["PENDING", "RUNNING", "FAILED"], 1) == ["FAILED"]


async def test_events_come_twice(prefect: FakePrefect, scheduled: FlowRun) -> None:
    prefect.faults.duplicate_events()
    assert await changes(prefect, scheduled.id, ["RUNNING", "FAILED"], 4) == ["RUNNING"] * 2 + ["FAILED"] * 2


async def test_events_come_in_another_order_and_none_is_lost(prefect: FakePrefect, scheduled: FlowRun) -> None:
    prefect.faults.reorder_events()
    told = await changes(prefect, scheduled.id, ["PENDING", "RUNNING", "FAILED"], 3)
    assert told == ["RUNNING", "PENDING", "FAILED"]


async def test_a_socket_is_refused(prefect: FakePrefect) -> None:
    prefect.faults.refuse_socket()
    with pytest.raises(errors.PrefectUnreachable, match="403"):
        await anext(state_changes(prefect.connection, None, lambda: None))


async def test_a_socket_is_closed_and_a_backfill_tells_what_was_missed(
    prefect: FakePrefect, scheduled: FlowRun
) -> None:
    opened = asyncio.Event()
    listening = asyncio.ensure_future(anext(state_changes(prefect.connection, None, opened.set)))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await opened.wait()
        await asyncio.to_thread(prefect.wait_for, lambda: prefect.faults.closers)
        prefect.faults.close_socket()
        with pytest.raises(errors.PrefectUnreachable, match="1011"):
            await listening
        prefect.set_state(scheduled, "RUNNING")
        assert scheduled.created is not None
        missed = state_changes(prefect.connection, scheduled.created, lambda: None)
        assert [(await anext(missed)).state_type for _ in range(2)] == ["SCHEDULED", "RUNNING"]
        await missed.aclose()
