"""An order at a real Prefect: placed once, superseded by a clear, withdrawn even before its run is known."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from opentelemetry.sdk.trace import TracerProvider

from bridge.errors import ParametersRejected
from bridge.in_airflow import ownership
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.ownership import Hold
from bridge.in_airflow.run_metadata import labels_of, lineage_of, tags_of
from bridge.in_airflow.submission import Order
from bridge.intention import AirflowIntention
from bridge.prefect_api import exchange, wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Answer, Request
from bridge.prefect_api.records import DeploymentRecord
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import Submission
from bridge.tracing import PREFECT_TRACEPARENT_LABEL
from tests.live_prefect import LivePrefect, wait_until

BEGAN = "2026-01-05T07:00:00+00:00"


@pytest.fixture
def cache(tmp_path: Path) -> DeploymentCache:
    return DeploymentCache(tmp_path / "deployments")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """For a run that holds until it is cancelled."""
    intention = AirflowIntention("hold/t", "d", uuid4().hex, BEGAN, "t", map_index=-1, epoch=0, tries=1)
    return Order(intention, Submission({"path": str(tmp_path / "never")}))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each path was asked for."""
    counted: Counter[str] = Counter()
    send = PrefectClient._send

    def counting(self: PrefectClient, request: Request) -> Any:
        counted[request.path.rsplit("/", 1)[-1]] += 1
        return send(self, request)

    monkeypatch.setattr(PrefectClient, "_send", counting)
    return counted


def placed(order: Order, client: PrefectClient, cache: DeploymentCache) -> str:
    return order.place(client, cache).run.id


def cleared(order: Order, epoch: int, tries: int) -> Order:
    return replace(order, intention=replace(order.intention, epoch=epoch, tries=tries))


def state(client: PrefectClient, flow_run_id: str) -> str:
    return client.run(wire.read_flow_run(flow_run_id)).state_type


def test_a_clear_cancels_the_run_that_lives_and_starts_a_fresh_one(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    first = placed(order, client, cache)
    second = placed(cleared(order, epoch=1, tries=2), client, cache)
    assert second != first
    assert state(client, first) in {"CANCELLING", "CANCELLED"}
    third = placed(cleared(order, epoch=2, tries=3), client, cache)
    assert state(client, second) in {"CANCELLING", "CANCELLED"}
    assert state(client, third) not in {"CANCELLING", "CANCELLED"}
    cleared(order, epoch=2, tries=3).withdraw(client.connection)


def test_a_task_that_is_killed_before_its_run_is_known_cancels_it_when_it_arrives(
    client: PrefectClient, order: Order, cache: DeploymentCache, sent: Counter[str]
) -> None:
    with ThreadPoolExecutor(1) as killer:
        killed = killer.submit(order.withdraw, client.connection)
        wait_until(lambda: sent["filter"] > 1, "it has looked in vain; the creation is still under way")
        flow_run_id = placed(order, client, cache)
        killed.result()
    assert state(client, flow_run_id) in {"CANCELLING", "CANCELLED"}


def test_a_withdrawn_order_leaves_its_siblings_alone(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    sibling = replace(order, intention=replace(order.intention, map_index=1))
    kept, dropped = placed(sibling, client, cache), placed(order, client, cache)
    order.withdraw(client.connection)
    assert state(client, dropped) in {"CANCELLING", "CANCELLED"}
    assert state(client, kept) not in {"CANCELLING", "CANCELLED"}
    sibling.withdraw(client.connection)


PARKED = "parked/t"


@pytest.fixture(scope="module", autouse=True)
def parked(prefect: LivePrefect) -> None:
    """A deployment that no process serves: its runs cost nothing but their records."""
    flow = prefect.request("POST", "/flows/", {"name": "parked"})
    fields = {"text": {"type": "string"}, "number": {"type": "integer"}}
    schema = {"type": "object", "properties": fields}
    deployed = {
        "name": "t",
        "flow_id": flow["id"],
        "parameter_openapi_schema": schema,
        "enforce_parameter_schema": True,
    }
    prefect.request("POST", "/deployments/", deployed)


def member(number: int) -> Order:
    intention = AirflowIntention(PARKED, "d", uuid4().hex, BEGAN, "t", map_index=number, epoch=0, tries=1)
    return Order(intention, Submission({"number": number}))


def test_many_mapped_tasks_take_one_request_each(
    client: PrefectClient, cache: DeploymentCache, sent: Counter[str]
) -> None:
    runs = {placed(member(number), client, cache) for number in range(50)}
    assert len(runs) == 50
    # Prefect's SQLite declines some (503), which are asked for again: one look-up, and creations, but nothing else.
    assert set(sent) == {"t", "create_flow_run"}
    assert sent["create_flow_run"] >= 50
    assert sent["t"] <= RetryPolicy().attempts


def test_what_a_remembered_deployment_refuses_is_decided_by_a_fresh_look(
    client: PrefectClient, cache: DeploymentCache, sent: Counter[str]
) -> None:
    record = client.run(wire.find_deployment(PARKED))
    without_number: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}}
    cache.remember(client.connection.api_url, PARKED, replace(record, parameter_schema=without_number))
    assert placed(member(1), client, cache)
    cache.remember(client.connection.api_url, PARKED, replace(record, id=str(uuid4())))
    assert placed(member(2), client, cache)
    with pytest.raises(ParametersRejected, match="'number'"):
        placed(replace(member(3), submission=Submission({"number": "three"})), client, cache)


def test_a_folder_that_others_may_write_to_is_not_believed(tmp_path: Path) -> None:
    record = DeploymentRecord.parse({"id": "1", "name": "t", "flow_id": "f"})
    cache = DeploymentCache(tmp_path / "shared")
    cache.remember("http://p/api", "echo/t", record)
    assert cache.recall("http://p/api", "echo/t") == record
    (tmp_path / "shared").chmod(0o777)
    assert cache.recall("http://p/api", "echo/t") is None


def test_a_remembered_deployment_is_forgotten_after_a_while(tmp_path: Path) -> None:
    record = DeploymentRecord.parse({"id": "1", "name": "t", "flow_id": "f", "tags": ["a"], "schedules": [{"x": 1}]})
    cache = DeploymentCache(tmp_path / "deployments")
    cache.remember("http://p/api", "echo/t", record)
    assert cache.recall("http://p/api", "echo/t") == record
    [path] = (tmp_path / "deployments").iterdir()
    os.utime(path, (0, 0))
    assert cache.recall("http://p/api", "echo/t") is None
    path.write_text("{")
    assert cache.recall("http://p/api", "echo/t") is None


def test_a_disk_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    cache = DeploymentCache(tmp_path / "a file")
    cache.remember("http://p/api", "echo/t", DeploymentRecord.parse({"id": "1", "name": "t", "flow_id": "f"}))
    assert cache.recall("http://p/api", "echo/t") is None


TASK = SimpleNamespace(
    dag_id="d", run_id="r", task_id="t", map_index=3, try_number=1, max_tries=1, log_url="http://airflow.test/d"
)


def test_the_trace_that_the_task_is_part_of_goes_on_in_prefect(client: PrefectClient, cache: DeploymentCache) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("task") as span:
        lineage = lineage_of(TASK)
    trace_id = f"{span.get_span_context().trace_id:032x}"
    marked = replace(member(1), submission=Submission({}, labels=labels_of(TASK, lineage)))
    flow_run_id = placed(marked, client, cache)
    labels = client.run(read_labels(flow_run_id))
    assert trace_id in labels[PREFECT_TRACEPARENT_LABEL]
    assert labels["airflow.url"] == TASK.log_url


def read_labels(flow_run_id: str) -> exchange.Operation[dict[str, str]]:
    answer: Answer = yield Request("GET", f"/flow_runs/{flow_run_id}")
    return dict(answer.body["labels"])


def test_a_work_pool_gets_the_parentage_as_environment(
    client: PrefectClient, cache: DeploymentCache, prefect: LivePrefect
) -> None:
    pool = f"pool-{uuid4().hex[:8]}"
    prefect.request("POST", "/work_pools/", {"name": pool, "type": "process"})
    flow = prefect.request("POST", "/flows/", {"name": "pooled"})
    deployed = {"name": pool, "flow_id": flow["id"], "work_pool_name": pool, "parameter_openapi_schema": {}}
    prefect.request("POST", "/deployments/", deployed)
    intention = AirflowIntention(f"pooled/{pool}", "d", uuid4().hex, BEGAN, "t", map_index=-1, epoch=0, tries=1)
    chosen = Submission({}, job_variables={"env": {"MINE": "kept", "TRACEPARENT": "mine"}})
    made = Order(intention, chosen, environment={"TRACEPARENT": "theirs", "OPENLINEAGE_PARENT_ID": "a/b/c"})
    document = prefect.request("GET", f"/flow_runs/{placed(made, client, cache)}")
    expected = {"MINE": "kept", "TRACEPARENT": "mine", "OPENLINEAGE_PARENT_ID": "a/b/c"}
    assert document["job_variables"] == {"env": expected}


def test_a_mapped_member_bears_its_index() -> None:
    assert tags_of(TASK, ["mine", "airflow"]) == ["airflow", "dag:d", "run:r", "task:t", "map_index:3", "mine"]


@pytest.fixture
def held(client: PrefectClient, order: Order, cache: DeploymentCache) -> Any:
    """An operator in the middle of its wait, and the run that it holds."""
    operator = RunPrefectDeployment(task_id="t", deployment="hold/t")
    flow_run_id = placed(order, client, cache)
    operator._grip.take(Hold(TASK, client.connection, flow_run_id=flow_run_id))
    yield operator, flow_run_id
    client.run(wire.cancel_flow_run(flow_run_id))


def test_a_task_that_a_person_ends_cancels_its_run(
    client: PrefectClient, held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "state_if_known", lambda _: "failed")
    operator, flow_run_id = held
    with pytest.raises(AirflowFailException):
        operator.on_kill()
    assert state(client, flow_run_id) in {"CANCELLING", "CANCELLED"}


def test_a_worker_that_is_stopped_leaves_the_run_to_the_retry(
    client: PrefectClient, held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "state_if_known", lambda _: "running")
    operator, flow_run_id = held
    with pytest.raises(AirflowException, match="lives on"):
        operator.on_kill()
    assert state(client, flow_run_id) not in {"CANCELLING", "CANCELLED"}


@pytest.mark.parametrize("then", ["failed", "restarting"])
def test_an_end_that_comes_in_the_middle_of_a_word_with_airflow_is_heeded_after_it(
    client: PrefectClient, held: Any, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(ownership, "state_if_known", lambda _: ownership.UNKNOWN)
    monkeypatch.setattr(ownership, "state_or_unknown", lambda _: then)
    operator, flow_run_id = held
    operator.on_kill()
    with pytest.raises(AirflowFailException, match="ended from outside"):
        operator._grip.heed_an_end()
    assert state(client, flow_run_id) in {"CANCELLING", "CANCELLED"}


@pytest.mark.parametrize(
    ("known", "then", "states"),
    [
        ("failed", AirflowFailException, {"CANCELLING", "CANCELLED"}),
        ("running", AirflowException, {"SCHEDULED", "PENDING", "RUNNING"}),
    ],
)
def test_an_end_that_comes_before_the_run_is_looked_for_is_heeded_once_it_is(
    client: PrefectClient,
    order: Order,
    cache: DeploymentCache,
    monkeypatch: pytest.MonkeyPatch,
    known: str,
    then: type[Exception],
    states: set[str],
) -> None:
    monkeypatch.setattr(ownership, "state_or_unknown", lambda _: known)
    left_by_an_earlier_attempt = placed(order, client, cache)
    operator = RunPrefectDeployment(task_id="t", deployment="hold/t")
    operator.on_kill()
    with pytest.raises(then):
        operator._grip.take(Hold(TASK, client.connection, order=order))
    assert state(client, left_by_an_earlier_attempt) in states
    client.run(wire.cancel_flow_run(left_by_an_earlier_attempt))


@pytest.mark.parametrize("known", ["running", "unknown"])
def test_a_task_that_nobody_has_ended_is_handed_to_the_triggerer(
    client: PrefectClient, held: Any, monkeypatch: pytest.MonkeyPatch, known: str
) -> None:
    monkeypatch.setattr(ownership, "state_or_unknown", lambda _: known)
    operator, flow_run_id = held
    operator._grip.heed_an_end()
    assert state(client, flow_run_id) not in {"CANCELLING", "CANCELLED"}


@pytest.mark.parametrize("reason", ["chosen", "no retry is left", "out of time"])
def test_a_worker_that_is_stopped_cancels_where_nobody_would_take_the_run_up(
    client: PrefectClient, held: Any, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    monkeypatch.setattr(ownership, "state_if_known", lambda _: "running")
    operator, flow_run_id = held
    if reason == "chosen":
        operator._grip._on_worker_shutdown = "cancel"
    elif reason == "no retry is left":
        operator._grip._hold.ti = SimpleNamespace(**{**vars(TASK), "try_number": 2})
    else:
        operator._grip.out_of_time = True
    if reason == "out of time":
        operator.on_kill()
    else:
        with pytest.raises(AirflowFailException):
            operator.on_kill()
    assert state(client, flow_run_id) in {"CANCELLING", "CANCELLED"}
