"""An order at a real Prefect: placed once, superseded by a clear, withdrawn even before its run is known."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from opentelemetry.sdk.trace import TracerProvider

from bridge import submitting
from bridge.attempts import Attempt
from bridge.errors import DeploymentNotFound, FlowRunCancelled, FlowRunLost, ParametersRejected, PrefectUnreachable
from bridge.in_airflow import ownership, submission, task_states
from bridge.in_airflow.attempt_journal import AttemptJournal
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.in_airflow.ownership import OwnedRun
from bridge.in_airflow.run_metadata import labels_of, lineage_of, tags_of
from bridge.in_airflow.submission import Order
from bridge.in_airflow.task_states import Fate
from bridge.prefect_api import exchange, wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Request
from bridge.prefect_api.records import DeploymentRecord
from bridge.prefect_api.retrying import Fault, RetryPolicy
from bridge.prefect_api.wire import Submission
from bridge.submitting import URL_LABEL, Claim
from bridge.tracing import PREFECT_TRACEPARENT_LABEL
from tests.contract.fronts import forwarding
from tests.live_prefect import LivePrefect, free_port, wait_until

TASK = SimpleNamespace(
    dag_id="d",
    run_id="r",
    task_id="t",
    map_index=3,
    try_number=1,
    max_tries=1,
    log_url="http://airflow.test/dags/d/runs/r/tasks/t",
)
GOING = {"CANCELLING", "CANCELLED"}


class Store:
    """Airflow's state store of one task instance, which knows one try."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.is_of_the_current_try = True

    def get(self, key: str) -> Any:
        return self.values.get(key) if self.is_of_the_current_try else None

    def set(self, key: str, value: Any) -> None:
        if not self.is_of_the_current_try:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        self.values[key] = value


def order_of(
    deployment: str, submission: Submission, run_id: str | None = None, map_index: int = -1, **more: Any
) -> Order:
    """The order of a task's first try."""
    names = ["dag:d", f"run:{run_id or uuid4().hex}", "task:t", f"map_index:{map_index}"]
    attempt = Attempt(uuid4().hex, try_number=1, max_tries=1, clear_number=0, retries=1)
    claim = Claim(tuple(names), TASK.log_url)
    marked = replace(submission, tags=[*names, *submission.tags], labels={URL_LABEL: TASK.log_url, **submission.labels})
    return Order(deployment, attempt, claim, AttemptJournal(Store()), lambda: marked, **more)


@pytest.fixture
def cache(tmp_path: Path) -> DeploymentCache:
    return DeploymentCache(tmp_path / "deployments")


@pytest.fixture
def order(tmp_path: Path) -> Order:
    """For a run that holds until it is cancelled."""
    return order_of("hold/t", Submission({"path": str(tmp_path / "never")}))


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


def tried_again(order: Order, **changes: Any) -> Order:
    """The order of the task's next try, a retry where nothing else is said."""
    now = order.attempt
    after = {"ti_id": uuid4().hex, "try_number": now.try_number + 1, "max_tries": now.max_tries, **changes}
    again = {name: after.pop(name) for name in ("deployment", "submission", "journal") if name in after}
    return replace(order, attempt=replace(now, **after), claim=replace(order.claim, intention=None), **again)


def cleared(order: Order) -> Order:
    now = order.attempt
    return tried_again(order, max_tries=now.try_number + now.retries, clear_number=now.clear_number + 1)


def state(client: PrefectClient, flow_run_id: str) -> str:
    return client.run(wire.read_flow_run(flow_run_id)).state_type


def take_back(client: PrefectClient, order: Order) -> None:
    client.run(submitting.take_back(order.claim))


def test_a_clear_cancels_the_run_that_lives_and_starts_a_fresh_one(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    first = placed(order, client, cache)
    again = cleared(order)
    second = placed(again, client, cache)
    assert second != first
    assert state(client, first) in GOING
    last = cleared(again)
    third = placed(last, client, cache)
    assert state(client, second) in GOING
    assert state(client, third) not in GOING
    take_back(client, last)


def test_a_retry_attaches_to_the_run_that_lives(client: PrefectClient, order: Order, cache: DeploymentCache) -> None:
    first = order.place(client, cache)
    again = tried_again(order).place(client, cache)
    assert (again.run.id, again.how) == (first.run.id, "attached")
    take_back(client, order)


def test_a_retry_finds_the_run_although_what_starting_takes_is_gone(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    def refused() -> Submission:
        raise ParametersRejected("the parameters do not fit any more")

    first = order.place(client, cache)
    again = tried_again(order, submission=refused).place(client, cache)
    assert again.run.id == first.run.id
    take_back(client, order)


def test_a_dag_that_names_another_deployment_by_now_ends_the_run_of_the_former(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    first = placed(order, client, cache)
    again = tried_again(order, deployment=PARKED, submission=lambda: Submission({}, tags=order.claim.tags))
    second = placed(again, client, cache)
    assert second != first
    assert state(client, first) in GOING
    take_back(client, again)


def test_another_airflow_of_the_same_names_keeps_its_run(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    first = placed(order, client, cache)
    theirs = cleared(
        replace(
            order, journal=AttemptJournal(Store()), claim=replace(order.claim, airflow_url="http://o", identity=None)
        )
    )
    second = placed(theirs, client, cache)
    assert second != first
    assert state(client, first) not in GOING
    take_back(client, order)
    take_back(client, theirs)


def test_an_airflow_that_remembers_nothing_goes_by_what_the_runs_bear(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    first = placed(order, client, cache)
    forgotten = replace(order, journal=AttemptJournal(None))
    assert placed(tried_again(forgotten), client, cache) == first
    fresh = cleared(forgotten)
    assert placed(fresh, client, cache) != first
    assert state(client, first) in GOING
    take_back(client, fresh)


def as_operation(request: Request) -> exchange.Operation[Any]:
    answer: Answer = yield request
    return answer.body


def test_a_creation_that_arrives_after_a_clear_starts_nothing(
    client: PrefectClient, order: Order, cache: DeploymentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_up: list[Request] = []
    send = PrefectClient._send

    def hold_up(self: PrefectClient, request: Request) -> Any:
        if request.path.endswith("/create_flow_run"):
            held_up.append(request)
            return Fault("no answer")
        return send(self, request)

    monkeypatch.setattr(PrefectClient, "_send", hold_up)
    with pytest.raises(PrefectUnreachable), PrefectClient(client.connection, RetryPolicy(attempts=1)) as hurried:
        order.place(hurried, cache)
    monkeypatch.setattr(PrefectClient, "_send", send)
    again = cleared(order)
    fresh = placed(again, client, cache)
    late = client.run(as_operation(held_up[0]))  # asked again while Prefect's SQLite is locked
    assert late["state"]["type"] == "CANCELLED"
    assert state(client, fresh) not in GOING
    take_back(client, again)


def test_a_creation_that_arrives_after_its_task_was_ended_starts_nothing(
    client: PrefectClient, order: Order, cache: DeploymentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, late = PrefectClient._send, []

    def end_first(self: PrefectClient, request: Request) -> Any:
        if request.path.endswith("/create_flow_run") and not late:
            late.append(request)
            OwnedRun(TASK, order.journal, client.connection, 60.0, order=order).let_go()
        return send(self, request)

    monkeypatch.setattr(PrefectClient, "_send", end_first)
    with pytest.raises(FlowRunCancelled, match="taken back") as taken_back:
        placed(order, client, cache)
    assert state(client, taken_back.value.flow_run_id) == "CANCELLED"
    again = tried_again(order)
    assert state(client, placed(again, client, cache)) not in GOING
    take_back(client, again)


def test_a_prefect_that_is_not_the_right_one_yet_is_asked_again(
    client: PrefectClient, order: Order, cache: DeploymentCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = placed(order, client, cache)
    asked, run = Counter[str](), PrefectClient.run

    def empty_at_first(self: PrefectClient, operation: Any) -> Any:
        asked[operation.__name__] += 1
        if operation.__name__ == "find_runs" and asked["find_runs"] <= 2:
            return []
        if operation.__name__ == "find_deployment":
            raise DeploymentNotFound("there is nothing here")
        return run(self, operation)

    monkeypatch.setattr(PrefectClient, "run", empty_at_first)
    monkeypatch.setattr(submission, "LOOK_SECONDS", 0.0)
    nothing_cached = DeploymentCache(cache._folder / "another")
    assert placed(replace(tried_again(order), patience_seconds=60.0), client, nothing_cached) == first
    asked.clear()
    with pytest.raises(FlowRunLost, match="is not known at"):
        placed(tried_again(order), client, nothing_cached)
    monkeypatch.setattr(PrefectClient, "run", run)
    take_back(client, order)


def test_a_withdrawn_order_leaves_its_siblings_alone(
    client: PrefectClient, order: Order, cache: DeploymentCache
) -> None:
    submission = order.submission()
    sibling = order_of("hold/t", submission, order.claim.tags[1].removeprefix("run:"), map_index=1)
    kept, dropped = placed(sibling, client, cache), placed(order, client, cache)
    take_back(client, order)
    assert state(client, dropped) in {"CANCELLING", "CANCELLED"}
    assert state(client, kept) not in {"CANCELLING", "CANCELLED"}
    take_back(client, sibling)


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
    return order_of(PARKED, Submission({"number": number}), map_index=number)


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
        placed(order_of(PARKED, Submission({"number": "three"})), client, cache)


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


def test_the_trace_that_the_task_is_part_of_goes_on_in_prefect(client: PrefectClient, cache: DeploymentCache) -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("task") as span:
        lineage = lineage_of(TASK)
    trace_id = f"{span.get_span_context().trace_id:032x}"
    marked = order_of(PARKED, Submission({}, labels=labels_of(TASK, lineage)))
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
    chosen = Submission({}, job_variables={"env": {"MINE": "kept", "TRACEPARENT": "mine"}})
    theirs = {"TRACEPARENT": "theirs", "OPENLINEAGE_PARENT_ID": "a/b/c"}
    made = order_of(f"pooled/{pool}", chosen, environment=theirs)
    document = prefect.request("GET", f"/flow_runs/{placed(made, client, cache)}")
    expected = {"MINE": "kept", "TRACEPARENT": "mine", "OPENLINEAGE_PARENT_ID": "a/b/c"}
    assert document["job_variables"] == {"env": expected}


def test_a_mapped_member_bears_its_index() -> None:
    assert tags_of(TASK, ["mine", "airflow"]) == ["airflow", "dag:d", "run:r", "task:t", "map_index:3", "mine"]


@pytest.fixture
def owned(client: PrefectClient, order: Order, cache: DeploymentCache) -> Any:
    """An operator in the middle of its wait, and the run that it owns."""
    operator = RunPrefectDeployment(task_id="t", deployment="hold/t")
    flow_run_id = placed(order, client, cache)
    operator._ownership.take(OwnedRun(TASK, order.journal, client.connection, 60.0, flow_run_id=flow_run_id))
    yield operator, flow_run_id
    client.run(wire.cancel_flow_run(flow_run_id))


@pytest.fixture
def airflow_says(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """What Airflow answers to the question for the task's state."""

    def say(state: str | None) -> None:
        monkeypatch.setattr(task_states, "state_of", lambda _: state)

    return say


@pytest.mark.parametrize("by_now", ["failed", "success", "skipped", "restarting", "deleted"])
def test_a_task_that_a_person_ends_cancels_its_run(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None], by_now: str
) -> None:
    airflow_says(by_now)
    operator, flow_run_id = owned
    with pytest.raises(AirflowFailException):
        operator.on_kill()
    assert state(client, flow_run_id) in GOING


@pytest.mark.parametrize(("told", "known"), [({}, "deleted"), ({"t_3": None}, None), ({"t_3": "queued"}, "queued")])
def test_a_task_that_is_not_in_airflows_database_any_more_is_known_as_deleted(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, str | None], known: str | None
) -> None:
    monkeypatch.setattr(task_states, "read_task_states", lambda **_: told)
    assert task_states.state_of(TASK) == known


def test_a_signal_that_comes_while_a_run_is_let_go_does_not_interrupt_that(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow_says("failed")
    operator, flow_run_id = owned
    let_go = OwnedRun.let_go

    def interrupted(run: OwnedRun) -> None:
        operator.on_kill()
        let_go(run)

    monkeypatch.setattr(OwnedRun, "let_go", interrupted)
    with pytest.raises(AirflowFailException):
        operator._ownership.check_not_ended()
    assert state(client, flow_run_id) in GOING


def test_a_worker_that_is_stopped_leaves_the_run_to_the_retry(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None]
) -> None:
    airflow_says("running")
    operator, flow_run_id = owned
    with pytest.raises(AirflowException, match="lives on"):
        operator.on_kill()
    assert state(client, flow_run_id) not in GOING


@pytest.mark.parametrize("by_now", ["up_for_retry", "queued", "running", "deferred", "failed", "success", None])
@pytest.mark.parametrize("when", ["killed", "out of time", "at a deadline"])
def test_a_worker_that_wakes_up_after_its_try_was_passed_on_touches_nothing(
    client: PrefectClient,
    owned: Any,
    order: Order,
    airflow_says: Callable[[str | None], None],
    by_now: str | None,
    when: str,
) -> None:
    airflow_says(by_now)
    order.journal._store.is_of_the_current_try = False
    operator, flow_run_id = owned
    operator._ownership.out_of_time = when == "out of time"
    overdue = {"because": "run_timeout", "flow_run_id": flow_run_id}
    wake_up = operator.on_kill if when != "at a deadline" else lambda: operator._look_again(client, overdue)
    with pytest.raises(AirflowException, match="Another try"):
        wake_up()
    assert state(client, flow_run_id) not in GOING


def test_a_worker_that_wakes_up_before_it_has_started_anything_starts_nothing(
    client: PrefectClient, order: Order, cache: DeploymentCache, sent: Counter[str]
) -> None:
    order.journal._store.is_of_the_current_try = False
    with pytest.raises(AirflowRuntimeError):
        placed(order, client, cache)
    assert not sent["create_flow_run"]


@pytest.mark.parametrize("then", ["failed", "restarting"])
def test_an_end_that_comes_in_the_middle_of_a_word_with_airflow_is_heeded_after_it(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    monkeypatch.setattr(ownership, "fate_if_told_soon", lambda *_: Fate.UNKNOWN)
    airflow_says(then)
    operator, flow_run_id = owned
    operator.on_kill()
    with pytest.raises(AirflowFailException, match="ended from outside"):
        operator._ownership.check_not_ended()
    assert state(client, flow_run_id) in GOING


@pytest.mark.parametrize(
    ("by_now", "then", "goes"), [("failed", AirflowFailException, True), ("running", AirflowException, False)]
)
def test_an_end_that_comes_before_the_run_is_looked_for_is_heeded_once_it_is(
    client: PrefectClient,
    order: Order,
    cache: DeploymentCache,
    airflow_says: Callable[[str], None],
    by_now: str,
    then: type[Exception],
    goes: bool,
) -> None:
    airflow_says(by_now)
    left_by_an_earlier_attempt = placed(order, client, cache)
    operator = RunPrefectDeployment(task_id="t", deployment="hold/t")
    operator.on_kill()
    again = tried_again(order)
    with pytest.raises(then):
        operator._ownership.take(OwnedRun(TASK, order.journal, client.connection, 60.0, order=again))
    assert (state(client, left_by_an_earlier_attempt) in GOING) == goes
    client.run(wire.cancel_flow_run(left_by_an_earlier_attempt))


def test_a_task_that_nobody_has_ended_is_handed_to_the_triggerer(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None]
) -> None:
    airflow_says("running")
    operator, flow_run_id = owned
    operator._ownership.check_not_ended()
    assert state(client, flow_run_id) not in GOING


@pytest.mark.parametrize("reason", ["chosen", "no retry is left", "out of time"])
def test_a_worker_that_is_stopped_cancels_where_nobody_would_take_the_run_up(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None], reason: str
) -> None:
    airflow_says("running")
    operator, flow_run_id = owned
    if reason == "chosen":
        operator._ownership._on_worker_shutdown = "cancel"
    elif reason == "no retry is left":
        on_its_last = SimpleNamespace(**{**vars(TASK), "try_number": 2})
        operator._ownership._owned = replace(operator._ownership._owned, ti=on_its_last)
    else:
        operator._ownership.out_of_time = True
    if reason == "out of time":
        operator.on_kill()
    else:
        with pytest.raises(AirflowFailException):
            operator.on_kill()
    assert state(client, flow_run_id) in GOING


@pytest.mark.parametrize("on_the_last_try", [True, False])
def test_an_error_after_the_creation_lets_go_of_the_run_where_no_retry_takes_it_up(
    client: PrefectClient, owned: Any, on_the_last_try: bool
) -> None:
    operator, flow_run_id = owned
    ti = SimpleNamespace(**{**vars(TASK), "try_number": 2 if on_the_last_try else 1})
    operator._ownership._owned = replace(operator._ownership._owned, ti=ti)
    with pytest.raises(TypeError), operator._errors_for_airflow({"ti": ti}):
        raise TypeError("a value that nobody expected")
    assert (state(client, flow_run_id) in GOING) == on_the_last_try


def test_the_wish_to_cancel_outlives_the_worker_and_prefects_absence(
    client: PrefectClient, owned: Any, airflow_says: Callable[[str], None], prefect: LivePrefect
) -> None:
    airflow_says("failed")
    operator, flow_run_id = owned
    port = free_port()
    later = PrefectConnection(f"http://127.0.0.1:{port}/api")
    operator._ownership._owned = replace(operator._ownership._owned, connection=later)
    with pytest.raises(AirflowFailException):
        operator.on_kill()
    assert state(client, flow_run_id) not in GOING
    with forwarding(port, urlsplit(prefect.api_url).port or 80):
        wait_until(lambda: state(client, flow_run_id) in GOING, "the run is cancelled once Prefect answers", 60)
