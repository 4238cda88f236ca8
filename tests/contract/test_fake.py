"""The fake Prefect answers as the real server does: every exchange is played with both and compared, word by word."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any, Protocol
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from bridge import errors, prefect_api
from bridge.prefect_api import batches, run_queries, wire, work_pools
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import PAGE, Answer, Operation, Request
from bridge.prefect_api.records import DeploymentRecord, FlowRun, Limit, LogLine, TaskRun, Worker
from bridge.prefect_api.retrying import Fault
from bridge.prefect_api.wire import Submission
from bridge.testing import FakePrefect
from tests.live_prefect import LivePrefect, wait_until

SCHEMA = {
    "title": "Parameters",
    "type": "object",
    "properties": {
        "number": {"type": "integer"},
        "text": {"type": "string", "default": "hello"},
        "rows": {"type": "integer"},
    },
    "required": ["number"],
}
NOBODY = "00000000-0000-4000-8000-000000000000"
RECEIVE_SECONDS = 5
NO_REST = {"/events/out", "/api"}
"""Paths in the source that no operation asks for."""


class Side(Protocol):
    """A Prefect, real or fake, and what a test does behind the bridge's back."""

    connection: PrefectConnection

    def deployment(self, name: str, work_pool: str | None = None) -> None: ...
    def put_state(self, flow_run_id: str, state: str, message: str = "") -> None: ...
    def log(self, flow_run_id: str, message: str, level: int) -> None: ...
    def publish(self, flow_run_id: str, result: Mapping[str, Any]) -> None: ...
    def worker(self, work_pool: str, name: str) -> None: ...
    def restrict(self, work_pool: str, queue: str = "", *, paused: bool = False, limit: int | None = None) -> None: ...
    def task(self, flow_run_id: str, name: str, child_id: str) -> None: ...


class Real:
    def __init__(self, prefect: LivePrefect) -> None:
        self._prefect = prefect
        self.connection = PrefectConnection(prefect.api_url)

    def deployment(self, name: str, work_pool: str | None = None) -> None:
        flow, _, short = name.partition("/")
        if work_pool:
            self._prefect.request("POST", "/work_pools/", {"name": work_pool, "type": "process"})
        document = {
            "name": short,
            "flow_id": self._prefect.request("POST", "/flows/", {"name": flow})["id"],
            "parameter_openapi_schema": SCHEMA,
            "parameters": {"number": 1},
            "tags": ["of the deployment"],
            "work_pool_name": work_pool,
        }
        self._prefect.request("POST", "/deployments/", document)

    def put_state(self, flow_run_id: str, state: str, message: str = "") -> None:
        proposed = {"type": state, "message": message or None}
        self._prefect.request("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": proposed, "force": True})

    def log(self, flow_run_id: str, message: str, level: int) -> None:
        line = {"name": "prefect.flow_runs", "level": level, "message": message, "flow_run_id": flow_run_id}
        self._prefect.request("POST", "/logs/", [{**line, "timestamp": datetime.now(UTC).isoformat()}])

    def publish(self, flow_run_id: str, result: Mapping[str, Any]) -> None:
        document = {"key": "bridge-result", "type": "result", "data": dict(result), "flow_run_id": flow_run_id}
        self._prefect.request("POST", "/artifacts/", document)

    def worker(self, work_pool: str, name: str) -> None:
        self._prefect.request("POST", f"/work_pools/{work_pool}/workers/heartbeat", {"name": name})

    def restrict(self, work_pool: str, queue: str = "", *, paused: bool = False, limit: int | None = None) -> None:
        path = f"/work_pools/{work_pool}/queues/{queue}" if queue else f"/work_pools/{work_pool}"
        self._prefect.request("PATCH", path, {"is_paused": paused, "concurrency_limit": limit})

    def task(self, flow_run_id: str, name: str, child_id: str) -> None:
        """The only way to a sub-run is to create it under its place: the child is made anew with its parent's flow."""
        asked = {"flow_run_id": flow_run_id, "task_key": "t", "dynamic_key": name, "name": name}
        place = self._prefect.request("POST", "/task_runs/", {**asked, "state": {"type": "PENDING"}})
        child = self._prefect.request("GET", f"/flow_runs/{child_id}")
        below = {"flow_id": child["flow_id"], "name": "below", "parent_task_run_id": place["id"]}
        self._prefect.request("POST", "/flow_runs/", below)


class Fake:
    def __init__(self, prefect: FakePrefect) -> None:
        self._prefect = prefect
        self.connection = prefect.connection

    def deployment(self, name: str, work_pool: str | None = None) -> None:
        self._prefect.deployment(
            name,
            parameters=SCHEMA,
            defaults={"number": 1},
            tags=["of the deployment"],
            work_pool=work_pool,
            ready=False,
        )
        self._prefect.on_run(name, state="SCHEDULED", obeys_cancel=False)

    def put_state(self, flow_run_id: str, state: str, message: str = "") -> None:
        self._prefect.set_state(flow_run_id, state, message=message)

    def log(self, flow_run_id: str, message: str, level: int) -> None:
        self._prefect.log(flow_run_id, message, level)

    def publish(self, flow_run_id: str, result: Mapping[str, Any]) -> None:
        self._prefect.publish(flow_run_id, result)

    def worker(self, work_pool: str, name: str) -> None:
        self._prefect.worker(work_pool, name)

    def restrict(self, work_pool: str, queue: str = "", *, paused: bool = False, limit: int | None = None) -> None:
        self._prefect.work_pool(work_pool, paused=paused, limit=limit, queue=queue)

    def task(self, flow_run_id: str, name: str, child_id: str) -> None:
        self._prefect.task(flow_run_id, name, "PENDING", child=child_id)


@dataclass
class Talk:
    """One exchange on one side: a client whose every answer is kept."""

    side: Side
    client: PrefectClient
    token: str
    """Stands in the names of what the exchange makes: the real server has other things too."""
    heard: list[tuple[Request, Answer]] = field(default_factory=list)
    operations: set[str] = field(default_factory=set)

    def ask(self, operation: Operation[Any]) -> Any:
        """What the operation returns, or the error that it raised."""
        self.operations.add(operation.__name__)
        try:
            return self.client.run(operation)
        except errors.BridgeError as error:
            return error

    def send(self, method: str, path: str, body: Mapping[str, Any]) -> Answer:
        """A request that no operation makes in this form."""
        answer = self.client._send(Request(method, path, body))
        assert isinstance(answer, Answer)
        return answer

    @property
    def name(self) -> str:
        return f"flow-{self.token}/d-{self.token}"

    def record(self) -> DeploymentRecord:
        """A deployment that nobody serves."""
        self.side.deployment(self.name)
        found: DeploymentRecord = self.ask(wire.find_deployment(self.name))
        return found

    def start(self, record: DeploymentRecord, key: str = "", **parameters: object) -> FlowRun:
        submission = Submission(
            parameters, key or str(uuid4()), name="named", tags=["b", "a"], labels={"x": 1, "y": "z"}
        )
        created: wire.Created = self.ask(wire.create_flow_run(record, submission, self.name))
        return created.run


Exchange = Callable[[Talk], None]
EXCHANGES: dict[str, Exchange] = {}


def exchange(function: Exchange) -> Exchange:
    """A conversation with assertions, which must hold on both sides."""
    EXCHANGES[function.__name__] = function
    return function


@exchange
def the_version(talk: Talk) -> None:
    assert re.fullmatch(r"3\.\d+\.\d+", talk.ask(wire.read_server_version()))
    assert isinstance(talk.client._send(Request("GET", "/nonsense")), Fault)


@exchange
def deployments(talk: Talk) -> None:
    record = talk.record()
    assert record.parameter_schema == SCHEMA
    assert isinstance(talk.ask(wire.find_deployment(f"{talk.name}-not")), errors.DeploymentNotFound)
    assert talk.name in dict(talk.ask(wire.list_deployments()))
    talk.ask(wire.check_deployments_are_known())
    talk.heard.pop()  # one deployment, whichever: on the real server that of somebody else
    assert talk.send("POST", "/deployments/filter", {"limit": PAGE + 1}).status == 422


@exchange
def a_start(talk: Talk) -> None:
    record = talk.record()
    run = talk.start(record, text="hi", number=3)
    assert (run.state_type, run.parameters["number"], run.name) == ("SCHEDULED", 3, "named")
    assert set(run.tags) == {"a", "b", "of the deployment"}
    assert talk.ask(wire.read_flow_run(run.id)) == run


@exchange
def one_key_is_one_run(talk: Talk) -> None:
    record, key = talk.record(), str(uuid4())
    submission = Submission({"number": 1}, key, name="named")
    first, second = (talk.ask(wire.create_flow_run(record, submission, talk.name)) for _ in range(2))
    assert (first.new, second.new, first.run.id == second.run.id) == (True, False, True)
    talk.side.put_state(first.run.id, "FAILED", "bang")
    third = talk.ask(wire.create_flow_run(record, submission, talk.name))
    assert (third.new, third.run.state_type, third.run.state_message) == (False, "FAILED", "bang")


@exchange
def a_key_that_is_spent_before_its_run_is_created(talk: Talk) -> None:
    record, key = talk.record(), str(uuid4())
    spent = Submission({}, key, name="named", tags=["mine"], labels={"whose": "mine", "number": 1})
    first = talk.ask(wire.create_flow_run(record, spent, talk.name, cancelled=True))
    assert (first.new, first.run.state_type, first.run.labels["whose"]) == (True, "CANCELLED", "mine")
    late = talk.ask(wire.create_flow_run(record, Submission({"number": 1}, key, name="named"), talk.name))
    assert (late.new, late.run.state_type, late.run.id == first.run.id) == (False, "CANCELLED", True)


@exchange
def parameters_that_do_not_fit(talk: Talk) -> None:
    record = talk.record()
    unknown_variable = {"__prefect_kind": "workspace_variable", "variable_name": "absent"}
    refused = ({"number": "three"}, {"number": None}, {"text": None}, {"text": unknown_variable})
    for parameters in refused:
        assert isinstance(
            talk.ask(wire.create_flow_run(record, Submission(parameters, str(uuid4())), talk.name)),
            errors.ParametersRejected,
        )
    for parameters in ({"rows": None}, {"unknown": 1}):  # the server lets these pass
        created = talk.ask(wire.create_flow_run(record, Submission(parameters, str(uuid4()), name="n"), talk.name))
        assert created.new
    gone = DeploymentRecord.parse({"id": NOBODY, "name": "n", "flow_id": NOBODY})
    asked = wire.create_flow_run(gone, Submission({}, "k"), "gone/n")
    assert isinstance(talk.ask(asked), errors.DeploymentNotFound)


@exchange
def what_is_not_there(talk: Talk) -> None:
    for operation in (wire.read_flow_run(NOBODY), wire.read_flow_run("no-uuid"), wire.cancel_flow_run(NOBODY)):
        assert isinstance(talk.ask(operation), errors.FlowRunNotFound)
    assert isinstance(talk.ask(wire.reread_flow_run(NOBODY, "u")), errors.FlowRunLost)
    assert isinstance(talk.ask(wire.retry_flow_run(NOBODY)), errors.FlowRunNotFound)
    assert talk.ask(wire.list_workers(f"pool-{talk.token}")) == []


@exchange
def many_runs(talk: Talk) -> None:
    record = talk.record()
    runs = [talk.start(record, number=1) for _ in range(3)]
    assert set(talk.ask(wire.read_flow_runs([NOBODY, *(run.id for run in runs)]))) == {run.id for run in runs}
    strangers = [f"00000000-0000-4000-8000-{number:012d}" for number in range(PAGE + 1)]
    asked = {"flow_runs": {"id": {"any_": strangers}}, "limit": PAGE}
    assert talk.send("POST", "/flow_runs/filter", asked).status in {200, 422}
    for asked in ({"limit": PAGE + 1}, {"limit": -1}, {"sort": "BY_CHANCE"}):
        assert talk.send("POST", "/flow_runs/filter", asked).status == 422


@exchange
def runs_by_what_they_are(talk: Talk) -> None:
    record = talk.record()
    runs = [talk.start(record, number=number) for number in range(4)]
    mine = {"flows": {"name": {"any_": [record.name.replace("d-", "flow-")]}}}
    for run, state in zip(runs, ("RUNNING", "COMPLETED", "FAILED"), strict=False):
        talk.side.put_state(run.id, state)
    for wanted, count in (
        ({"state": {"type": {"any_": ["RUNNING", "FAILED"]}}}, 2),
        ({"state": {"name": {"any_": ["Completed"]}}}, 1),
        ({"state": {"type": {"not_any_": ["COMPLETED"]}}}, 3),
        ({"tags": {"all_": ["a", "b"]}}, 4),
        ({"tags": {"all_": ["a", "c"]}}, 0),
        ({"name": {"like_": "NAME"}}, 4),
        ({"name": {"any_": ["other"]}}, 0),
        ({"deployment_id": {"any_": [record.id]}}, 4),
        ({"start_time": {"is_null_": True}}, 1),
        ({"expected_start_time": {"before_": "2020-01-01T00:00:00+00:00"}}, 0),
        ({"expected_start_time": {"after_": "2020-01-01T00:00:00+00:00"}}, 4),
        ({"end_time": {"is_null_": False}}, 2),
    ):
        assert talk.send("POST", "/flow_runs/count", {**mine, "flow_runs": wanted}).body == count, wanted
    for sort in ("EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC"):
        asked = {**mine, "sort": sort, "limit": 2, "offset": 1}
        numbers = [row["parameters"]["number"] for row in talk.send("POST", "/flow_runs/filter", asked).body]
        assert numbers == ([1, 2] if sort.endswith("ASC") else [2, 1])
        found = talk.ask(run_queries.filter_flow_runs(mine, sort=sort, limit=3))
        assert [run.parameters["number"] for run in found] == ([0, 1, 2] if sort.endswith("ASC") else [3, 2, 1])


@exchange
def runs_that_ended(talk: Talk) -> None:
    record = talk.record()
    runs = [talk.start(record, number=number) for number in range(3)]
    began = datetime.now(UTC) - timedelta(minutes=1)
    talk.side.put_state(runs[0].id, "COMPLETED")
    talk.side.put_state(runs[1].id, "COMPLETED")
    talk.side.put_state(runs[2].id, "FAILED")
    flow, _, deployment = talk.name.partition("/")
    wanted = {"since": began, "flow": flow, "deployment": deployment, "tags": ["a"]}
    found = talk.ask(run_queries.find_ended_flow_runs(["COMPLETED"], **wanted))
    assert [run.id for run in found.runs] == [runs[1].id, runs[0].id]
    assert len(talk.ask(run_queries.find_ended_flow_runs(["COMPLETED"], flow=flow, limit=1)).runs) == 1
    assert talk.ask(run_queries.find_ended_flow_runs(["COMPLETED"], flow="no such flow")).runs == []
    by_id = run_queries.find_ended_flow_runs(["COMPLETED"], ids=[runs[0].id, runs[2].id])
    assert [run.id for run in talk.ask(by_id).runs] == [runs[0].id]


@exchange
def runs_as_people_look_for_them(talk: Talk) -> None:
    record = talk.record()
    runs = [talk.start(record, number=number) for number in range(3)]
    talk.side.put_state(runs[0].id, "RUNNING")
    talk.side.put_state(runs[1].id, "COMPLETED")
    a_day_ago = datetime.now(UTC) - timedelta(days=1)
    for states, numbers in (((), [2, 1, 0]), (("RUNNING", "Completed"), [1, 0]), (("Late",), [])):
        query = run_queries.RunQuery(deployment_id=record.id, states=states, since=a_day_ago, tags=("a",))
        assert [run.parameters["number"] for run in talk.ask(run_queries.list_flow_runs(query))] == numbers


@exchange
def what_many_waits_ask(talk: Talk) -> None:
    record = talk.record()
    runs = [talk.start(record, number=1) for _ in range(2)]
    ids = [run.id for run in runs]
    talk.side.put_state(ids[0], "RUNNING")
    assert set(talk.ask(batches.read_page([*ids, NOBODY])).runs) == set(ids)
    assert set(talk.ask(batches.read_page(ids, "RUNNING")).runs) == {ids[1]}
    talk.side.publish(ids[0], {"f1": 0.5})
    talk.side.publish(ids[0], {"f1": 0.9})
    assert talk.ask(batches.read_results([*ids, NOBODY])) == {ids[0]: {"f1": 0.9}}
    talk.side.log(ids[0], "first", 20)
    talk.side.log(ids[1], "second", 20)
    told = talk.ask(batches.read_log_page([*ids, NOBODY], after=datetime.now(UTC) - timedelta(hours=1)))
    assert [(flow_run_id, line.message) for flow_run_id, line in told] == [(ids[0], "first"), (ids[1], "second")]


@exchange
def cancelling_what_is_scheduled(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    assert talk.ask(wire.cancel_flow_run(run.id)).state_type == "CANCELLED"
    assert talk.ask(wire.cancel_flow_run(run.id)).state_type == "CANCELLED"


@exchange
def cancelling_what_runs(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    talk.side.put_state(run.id, "PENDING")
    talk.side.put_state(run.id, "RUNNING")
    assert talk.ask(wire.cancel_flow_run(run.id)).state_type == "CANCELLING"
    assert talk.ask(wire.cancel_flow_run(run.id)).state_type == "CANCELLING"
    talk.side.put_state(run.id, "CANCELLED")
    assert talk.ask(wire.read_flow_run(run.id)).state_name == "Cancelled"


@exchange
def cancelling_what_is_pending(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    talk.side.put_state(run.id, "PENDING")
    assert talk.ask(wire.cancel_flow_run(run.id)).state_type == "CANCELLING"


@exchange
def labelling_a_run(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    talk.ask(wire.label_flow_run(run.id, {"one": "1", "two": "2"}))
    talk.ask(wire.label_flow_run(run.id, {"two": "3"}))
    labels = talk.ask(wire.read_flow_run(run.id)).labels
    assert (labels["one"], labels["two"]) == ("1", "3")


@exchange
def cancelling_what_has_ended(talk: Talk) -> None:
    for state in ("COMPLETED", "FAILED", "CRASHED"):
        run = talk.start(talk.record(), number=1)
        talk.side.put_state(run.id, state, "said")
        assert talk.ask(wire.cancel_flow_run(run.id)).state_type == state


@exchange
def a_retry_in_place(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    talk.side.put_state(run.id, "RUNNING")
    assert talk.ask(wire.retry_flow_run(run.id)).state_type == "RUNNING"
    talk.side.put_state(run.id, "FAILED", "bang")
    again = talk.ask(wire.retry_flow_run(run.id))
    assert (again.state_type, again.state_name, again.end_time) == ("SCHEDULED", "AwaitingRetry", None)
    assert again.start_time is not None
    talk.side.put_state(run.id, "RUNNING")
    assert talk.ask(wire.read_flow_run(run.id)).run_count == 2
    assert talk.send("POST", f"/flow_runs/{run.id}/set_state", {"state": {"type": "ODD"}}).status == 422


@exchange
def a_result(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    assert talk.ask(wire.read_result(run.id)) is None
    talk.side.publish(run.id, {"f1": 0.5})
    talk.side.publish(run.id, {"f1": 0.9, "classes": ["a"]})
    assert talk.ask(wire.read_result(run.id)) == {"f1": 0.9, "classes": ["a"]}
    many = {"artifacts": {"flow_run_id": {"any_": [run.id, NOBODY]}, "key": {"any_": ["bridge-result"]}}}
    assert len(talk.send("POST", "/artifacts/filter", {**many, "limit": PAGE}).body) == 2
    assert talk.send("POST", "/artifacts/filter", {"limit": PAGE + 1}).status == 422


@exchange
def a_log(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    for number in range(3):
        talk.side.log(run.id, f"line {number}", 20 + 10 * number)
    lines = talk.ask(wire.read_logs(run.id))
    assert [(line.message, line.level) for line in lines] == [("line 0", 20), ("line 1", 30), ("line 2", 40)]
    assert talk.ask(wire.read_logs(run.id, after=lines[1].timestamp)) == lines[1:]
    assert talk.ask(wire.read_logs(run.id, offset=2)) == lines[2:]
    many = {"logs": {"flow_run_id": {"any_": [run.id, NOBODY]}, "level": {"ge_": 30}}, "limit": PAGE}
    assert len(talk.send("POST", "/logs/filter", many).body) == 2
    assert talk.send("POST", "/logs/filter", {"limit": PAGE + 1}).status == 422


@exchange
def a_page_of_runs(talk: Talk) -> None:
    record = talk.record()
    for number in range(3):
        talk.start(record, number=number)
    query = run_queries.RunQuery(deployment_ids=(record.id, NOBODY), limit=2)
    first, second = (talk.ask(run_queries.read_run_page(query, page)) for page in (1, 2))
    assert [run.parameters["number"] for run in (*first.runs, *second.runs)] == [2, 1, 0]
    assert (first.count, second.count) == (3, 3)
    assert first.runs[0].labels["x"] == 1
    assert not first.runs[0].auto_scheduled
    assert talk.ask(run_queries.read_run_page(run_queries.RunQuery(deployment_ids=()))).count == 0


@exchange
def the_inside_of_a_run(talk: Talk) -> None:
    record = talk.record()
    run, child = talk.start(record, number=1), talk.start(record, number=2)
    talk.side.task(run.id, f"place-{talk.token}", child.id)
    [place] = talk.ask(run_queries.read_task_runs(run.id))
    assert (place.name, place.state_type, place.end_time) == (f"place-{talk.token}", "PENDING", None)
    [below] = talk.ask(run_queries.read_sub_runs(run.id))
    assert below.parent_task_run_id == place.id
    talk.heard.pop()  # the real server's sub-run is another run than the fake's
    for number in range(2):
        talk.side.log(run.id, f"line {number}", 20)
    assert [line.message for line in talk.ask(run_queries.read_last_logs(run.id))] == ["line 0", "line 1"]


@exchange
def a_pause_of_schedules(talk: Talk) -> None:
    record = talk.record()
    assert not record.paused
    assert talk.ask(run_queries.pause_deployment(record.id)) is None
    assert talk.ask(wire.find_deployment(talk.name)).paused
    assert talk.ask(run_queries.resume_deployment(record.id)) is None
    assert not talk.ask(wire.find_deployment(talk.name)).paused
    assert isinstance(talk.ask(run_queries.pause_deployment(NOBODY)), errors.PrefectApiError)


@exchange
def workers(talk: Talk) -> None:
    pool = f"pool-{talk.token}"
    talk.side.deployment(talk.name, work_pool=pool)
    assert talk.ask(wire.list_workers(pool)) == []
    talk.side.worker(pool, "one")
    [worker] = talk.ask(wire.list_workers(pool))
    assert (worker.name, worker.status) == ("one", "ONLINE")
    run = talk.start(talk.ask(wire.find_deployment(talk.name)), number=1)
    assert (run.work_pool_name, run.work_queue_name) == (pool, "default")


@exchange
def places_that_are_restricted(talk: Talk) -> None:
    pool = f"pool-{talk.token}"
    assert talk.ask(work_pools.read_work_pool(pool)) is None
    assert talk.ask(work_pools.list_work_queues(pool)) == []
    assert talk.ask(work_pools.read_deployment(NOBODY)) is None
    talk.side.deployment(talk.name, work_pool=pool)
    record = talk.ask(work_pools.read_deployment(talk.ask(wire.find_deployment(talk.name)).id))
    assert (record.work_pool_name, record.limit, record.collision_strategy) == (pool, Limit(), "ENQUEUE")
    assert record.work_queue_id is not None
    found = talk.ask(work_pools.read_work_pool(pool))
    assert (found.kind, found.paused, found.limit) == ("process", False, Limit())
    talk.side.restrict(pool, paused=True)
    talk.side.restrict(pool, "default", limit=0)
    assert talk.ask(work_pools.read_work_pool(pool)).paused
    [queue] = talk.ask(work_pools.list_work_queues(pool))
    assert (queue.name, queue.paused, queue.polled, queue.limit) == ("default", False, False, Limit(0, 0))


@exchange
def a_run_that_is_deleted(talk: Talk) -> None:
    run = talk.start(talk.record(), number=1)
    assert talk.send("DELETE", f"/flow_runs/{run.id}", {}).status == 204
    assert isinstance(talk.ask(wire.reread_flow_run(run.id, "u")), errors.FlowRunLost)
    assert talk.send("DELETE", f"/flow_runs/{run.id}", {}).status == 404


@pytest.fixture(scope="module")
def fake() -> Iterator[FakePrefect]:
    with FakePrefect() as prefect:
        yield prefect


@pytest.fixture(params=["real", "fake"])
def side(request: pytest.FixtureRequest, prefect: LivePrefect, fake: FakePrefect) -> Side:
    return Real(prefect) if request.param == "real" else Fake(fake)


def play(name: str, side: Side) -> Talk:
    """The exchange, played on one side; its assertions are made there."""
    with PrefectClient(side.connection) as client:
        talk = Talk(side, client, uuid4().hex[:12])
        send = client._send

        def keep(request: Request) -> Answer | Fault:
            answer = send(request)
            while isinstance(answer, Answer) and answer.status == 503:  # SQLite is locked now and then
                answer = send(request)
            if isinstance(answer, Answer):
                talk.heard.append((request, answer))
            return answer

        client._send = keep  # type: ignore[method-assign]
        EXCHANGES[name](talk)
    return talk


@pytest.mark.parametrize("name", EXCHANGES)
def test_both_answer_alike(name: str, prefect: LivePrefect, fake: FakePrefect) -> None:
    real, ours = play(name, Real(prefect)), play(name, Fake(fake))
    assert [asked(*each, real.token) for each in real.heard] == [asked(*each, ours.token) for each in ours.heard]
    for (request, theirs), (_, mine) in zip(real.heard, ours.heard, strict=True):
        if theirs.status < 400:
            bodies = plain(theirs.body, real.token), plain(mine.body, ours.token)
            if isinstance(mine.body, list) and "sort" not in (request.json or {}):
                bodies = in_some_order(*bodies)
            compare(*bodies, f"{request.method} {request.path}")


def in_some_order(theirs: list[Any], mine: list[Any]) -> tuple[list[Any], list[Any]]:
    """Both in one order, by what both say: without a sort the server gives rows as they come."""
    said = sorted(mine[0]) if mine else []

    def words(row: dict[str, Any]) -> str:
        return json.dumps([row.get(key) for key in said])

    return sorted(theirs, key=words), sorted(mine, key=words)


UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
RELEASE = re.compile(r"^3\.\d+\.\d+$")
"""The server's; the fake's is that of one of them."""
UNORDERED = {"tags"}
CHANCE = {"total_run_time", "estimated_run_time"}


def asked(request: Request, answer: Answer, token: str) -> tuple[str, str, int]:
    return request.method, plain(request.path, token), answer.status


def plain(value: Any, token: str) -> Any:
    """What was answered without what differs by nature: ids, times, names; of many things those of this exchange."""
    if isinstance(value, dict):
        return {
            key: "<chance>" if key in CHANCE else sorted(inner) if key in UNORDERED else plain(inner, token)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        named = [each for each in value if isinstance(each, dict) and token in str(each.get("name"))]
        return [plain(each, token) for each in (named or value)]
    if isinstance(value, str):
        return RELEASE.sub("<release>", TIME.sub("<time>", UUID.sub("<id>", value.replace(token, "<token>"))))
    return value


def compare(theirs: Any, mine: Any, where: str) -> None:
    """Everything that the fake says, the server says too, in the same words."""
    if isinstance(mine, dict):
        assert isinstance(theirs, dict), where
        assert mine.keys() <= theirs.keys(), f"{where}: the server knows no {mine.keys() - theirs.keys()}"
        for key, inner in mine.items():
            compare(theirs[key], inner, f"{where} .{key}")
    elif isinstance(mine, list):
        assert isinstance(theirs, list), where
        assert len(theirs) == len(mine), where
        for number, (left, right) in enumerate(zip(theirs, mine, strict=True)):
            compare(left, right, f"{where} [{number}]")
    else:
        assert theirs == mine, where


class Watched(dict[str, Any]):
    """A document that notes which of its keys are read."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        super().__init__(document)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize(
    ("record", "exchange_name", "path"),
    [
        (FlowRun, "a_start", r"/flow_runs/[0-9a-f-]+"),
        (DeploymentRecord, "deployments", "/deployments/name/.*"),
        (LogLine, "a_log", "/logs/filter"),
        (Worker, "workers", "/work_pools/.*"),
        (TaskRun, "the_inside_of_a_run", "/task_runs/filter"),
    ],
)
def test_the_fake_says_all_that_the_bridge_reads(record: Any, exchange_name: str, path: str, fake: FakePrefect) -> None:
    bodies = [
        answer.body for request, answer in play(exchange_name, Fake(fake)).heard if re.fullmatch(path, request.path)
    ]
    body = next(body for body in bodies if body)
    document = Watched(body[0] if isinstance(body, list) else body)
    record.parse(document)
    assert document.read <= document.keys()


def test_every_operation_and_every_path_of_the_protocol_is_exchanged(fake: FakePrefect) -> None:
    modules = [
        importlib.import_module(f"{prefect_api.__name__}.{each.name}")
        for each in pkgutil.iter_modules(prefect_api.__path__)
    ]
    operations = {name for module in modules for name in operations_in(module)}
    talks = [play(name, Fake(fake)) for name in EXCHANGES]
    assert operations - {name for talk in talks for name in talk.operations} == set()
    paths = {request.path for talk in talks for request, _ in talk.heard}
    written = {path for module in modules for path in paths_in(module)} - NO_REST
    assert [path for path in written if not any(re.fullmatch(path, each) for each in paths)] == []


def operations_in(module: ModuleType) -> set[str]:
    """Those that send something of their own; others are made of them."""
    return {
        name
        for name, each in vars(module).items()
        if inspect.isgeneratorfunction(each)
        and each.__module__ == module.__name__
        and not name.startswith("_")
        and re.search(r"\bRequest\(|\bpages\(", inspect.getsource(each))
        and "path" not in inspect.signature(each).parameters  # sends what it is told to
    }


def paths_in(module: ModuleType) -> list[str]:
    """Regular expressions of the paths that stand in a module's source."""
    nodes = list(ast.walk(ast.parse(inspect.getsource(module))))
    composed = {part for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    found = []
    for node in nodes:
        parts = node.values if isinstance(node, ast.JoinedStr) else [] if node in composed else [node]
        texts = [part.value if isinstance(part, ast.Constant) else None for part in parts]
        if texts and isinstance(texts[0], str) and re.match(r"/[a-z]", texts[0]):
            found.append("".join("[^/]+" if text is None else re.escape(text) for text in texts))
    return found


def opened(side: Side) -> ClientConnection:
    return connect(side.connection.socket_url, subprotocols=["prefect"], proxy=None, close_timeout=1)


def subscribed(socket: ClientConnection, wanted: Mapping[str, Any], *, backfill: bool) -> None:
    now = datetime.now(UTC)
    occurred = {
        "since": (now - timedelta(hours=1)).isoformat(),
        "until": (now + timedelta(hours=1)).isoformat(),
    }
    socket.send(json.dumps({"type": "auth", "token": None}))
    assert json.loads(socket.recv(RECEIVE_SECONDS)) == {"type": "auth_success"}
    socket.send(json.dumps({"type": "filter", "backfill": backfill, "filter": {**wanted, "occurred": occurred}}))


def received(side: Side, wanted: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
    """The past events that pass the filter, once there are so many: the real server writes them now and then."""
    events: list[dict[str, Any]] = []

    def there() -> bool:
        events.clear()
        with opened(side) as socket:
            subscribed(socket, wanted, backfill=True)
            try:
                while len(events) < count:
                    events.append(json.loads(socket.recv(1)))
            except TimeoutError:
                return False
        return True

    wait_until(there, f"{count} events are told")
    return events


def journey(side: Side) -> tuple[list[dict[str, Any]], str]:
    """What the socket tells of a run that is started, runs and fails, and the token in its names."""
    with PrefectClient(side.connection) as client:
        talk = Talk(side, client, uuid4().hex[:12])
        run = talk.start(talk.record(), number=1)
    for state in ("PENDING", "RUNNING", "FAILED"):
        side.put_state(run.id, state, f"is {state}")
    return received(side, {"resource": {"id": [f"prefect.flow-run.{run.id}"]}}, 4), talk.token


def test_the_event_socket_tells_a_runs_journey_alike(prefect: LivePrefect, fake: FakePrefect) -> None:
    (theirs, their_token), (mine, my_token) = journey(Real(prefect)), journey(Fake(fake))
    states = [message["event"]["resource"]["prefect.state-type"] for message in mine]
    assert states == ["SCHEDULED", "PENDING", "RUNNING", "FAILED"]
    compare(plain(theirs, their_token), plain(mine, my_token), "events")


@pytest.mark.parametrize("by", ["resource", "any_resource", "prefix", "name"])
def test_the_event_socket_filters_what_it_tells_as_it_happens(side: Side, by: str) -> None:
    with PrefectClient(side.connection) as client:
        talk = Talk(side, client, uuid4().hex[:12])
        record = talk.record()
        run, other = talk.start(record, number=1), talk.start(record, number=2)
    wanted = {
        "resource": {"resource": {"id": [f"prefect.flow-run.{run.id}"]}},
        "any_resource": {"any_resource": {"id": [f"prefect.deployment.{record.id}"]}},
        "prefix": {"event": {"prefix": ["prefect.flow-run."]}},
        "name": {"event": {"name": ["prefect.flow-run.Completed"]}},
    }[by]
    with opened(side) as socket:
        subscribed(socket, wanted, backfill=False)
        heard: set[tuple[str, str]] = set()

        def hears(flow_run_id: str, state: str) -> bool:
            """A subscription begins a moment after it was asked for."""
            side.put_state(flow_run_id, state)
            try:
                while (flow_run_id, state) not in heard:
                    resource = json.loads(socket.recv(1))["event"]["resource"]
                    told = resource["prefect.resource.id"].removeprefix("prefect.flow-run.")
                    if told in {run.id, other.id}:  # others' runs stand on this server too
                        heard.add((told, resource["prefect.state-type"]))
            except TimeoutError:
                return False
            return True

        side.put_state(other.id, "RUNNING")
        wait_until(lambda: hears(run.id, "COMPLETED"), "the event comes")
        wait_until(lambda: hears(run.id, "COMPLETED"), "and the next")
    told = {state for flow_run_id, state in heard if flow_run_id == other.id}
    assert told == set() if by in {"resource", "name"} else told <= {"RUNNING"}


@pytest.mark.parametrize(
    ("messages", "code"),
    [([{"type": "filter"}], 1008), ([{"type": "auth", "token": None}, {"type": "auth"}], 1002)],
)
def test_the_event_socket_closes_on_who_does_not_keep_to_the_protocol(
    side: Side, messages: list[dict[str, Any]], code: int
) -> None:
    with opened(side) as socket:
        for message in messages:
            socket.send(json.dumps(message))
        with pytest.raises(ConnectionClosed) as closed:
            list(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


@pytest.fixture
def both_guarded(guarded: LivePrefect) -> Iterator[list[PrefectConnection]]:
    """Both behind basic auth."""
    with FakePrefect(basic_auth=guarded.basic_auth) as ours:
        yield [PrefectConnection(guarded.api_url, basic_auth=guarded.basic_auth), ours.connection]


def test_both_let_in_whom_they_know_alone(both_guarded: list[PrefectConnection]) -> None:
    for known in both_guarded:
        with PrefectClient(known) as client:
            assert client.run(wire.read_server_version())
        for stranger in (PrefectConnection(known.api_url), PrefectConnection(known.api_url, basic_auth="user:no")):
            with PrefectClient(stranger) as client, pytest.raises(errors.PrefectUnauthorised):
                client.run(wire.read_server_version())
            with connect(stranger.socket_url, subprotocols=["prefect"], proxy=None, close_timeout=1) as socket:
                socket.send(json.dumps({"type": "auth", "token": stranger.socket_token}))
                with pytest.raises(ConnectionClosed) as closed:
                    socket.recv(RECEIVE_SECONDS)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1008
