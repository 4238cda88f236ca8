"""The end of a flow run as an asset event, on a real Prefect: told once, whatever is lost in between.

Airflow's state store is a dictionary here; `tests/airflow/test_watching_in_airflow.py` has a real one.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from airflow.sdk.execution_time.comms import _new_encoder
from airflow.sdk.execution_time.context import AssetStateStoreAccessors
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import TriggerEvent

from bridge.errors import PrefectUnreachable, UnexpectedAnswer
from bridge.in_airflow import polling, watching
from bridge.in_airflow.watching import PrefectEventTrigger
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.end_cursor import Cursor, Watch
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.retrying import Fault
from tests.live_prefect import LivePrefect

PATIENCE_SECONDS = 60


class Store:
    """An asset's state store, kept in this process as JSON."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def aget(self, key: str, default: Any = None) -> Any:
        return json.loads(self.values[key]) if key in self.values else default

    async def aset(self, key: str, value: Any) -> None:
        self.values[key] = json.dumps(value)

    def cursor(self) -> Cursor:
        [text] = self.values.values()
        return Cursor.decode(json.loads(text))


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def tag() -> str:
    return f"tag-{uuid4().hex[:8]}"


def watcher(store: Store, tag: str, **more: Any) -> PrefectEventTrigger:
    trigger = PrefectEventTrigger(tags=[tag], **{"reconcile_seconds": 1.0, **more})
    trigger.asset_state_store = AssetStateStoreAccessors(inlets=[])
    trigger.asset_state_store._by_name["asset"] = store  # type: ignore[assignment]
    return trigger


def run_with(prefect: LivePrefect, tag: str, *state_types: str) -> str:
    """The id of a run with this tag, put into these states."""
    flow = prefect.request("POST", "/flows/", {"name": "by-hand"})
    flow_run_id = str(prefect.request("POST", "/flow_runs/", {"flow_id": flow["id"], "tags": [tag, "other"]})["id"])
    for state_type in state_types:
        prefect.put_state(flow_run_id, state_type)
    return flow_run_id


class Record:
    """What a running watcher has told."""

    def __init__(self, store: Store) -> None:
        self.events: list[dict[str, Any]] = []
        self._store = store

    async def keep(self, events: AsyncIterator[TriggerEvent]) -> None:
        async for event in events:
            self.events.append(event.payload)

    @property
    def ids(self) -> list[str]:
        return [event["flow_run_id"] for event in self.events]

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not holds():  # noqa: ASYNC110 — it looks at other tasks' and servers' state
                await asyncio.sleep(0.02)

    async def has_polled(self) -> None:
        await self.until(lambda: bool(self._store.values))

    async def has_told(self, count: int) -> list[str]:
        """The ids of so many runs, all of them saved as told."""
        await self.until(lambda: len(self.events) >= count and not self._store.cursor().pending)
        return self.ids


@asynccontextmanager
async def running(trigger: PrefectEventTrigger, store: Store) -> AsyncIterator[Record]:
    record = Record(store)
    task = asyncio.create_task(record.keep(trigger.run()))
    try:
        yield record
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_end_is_told_once_and_the_past_is_not(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    run_with(prefect, tag, "COMPLETED")
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        first = await asyncio.to_thread(run_with, prefect, tag, "RUNNING", "COMPLETED")
        await record.has_told(1)
        second = await asyncio.to_thread(run_with, prefect, tag, "RUNNING", "COMPLETED")
        assert await record.has_told(2) == [first, second]
    told = record.events[0]
    assert told["state"] == "COMPLETED"
    assert told["tags"] == [tag, "other"]
    assert told["url"].endswith(f"/runs/flow-run/{first}")
    assert told["event_id"].startswith(first)
    assert told["maybe_repeated"] is False
    json.dumps(told)


async def test_other_states_tags_and_flows_are_not_told(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    async with running(watcher(store, tag, flow="by-hand", states=["FAILED", "CRASHED"]), store) as record:
        await record.has_polled()
        await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await asyncio.to_thread(run_with, prefect, "another tag", "FAILED")
        failed = await asyncio.to_thread(run_with, prefect, tag, "FAILED")
        crashed = await asyncio.to_thread(run_with, prefect, tag, "CRASHED")
        assert await record.has_told(2) == [failed, crashed]


async def test_ends_of_other_runs_are_not_polled_for(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event tells whose end it is: however many others end, this watcher asks Prefect nothing."""
    asked: list[bool] = []
    concerns = polling.Poll.concerns

    def recorded(poll: polling.Poll, watch: Watch) -> bool:
        asked.append(concerns(poll, watch))
        return asked[-1]

    monkeypatch.setattr(polling.Poll, "concerns", recorded)
    async with running(watcher(store, tag, reconcile_seconds=600.0), store) as record:
        await record.has_polled()
        await record.until(lambda: True in asked)  # the socket is open
        await asyncio.to_thread(run_with, prefect, "another tag", "COMPLETED")
        await record.until(lambda: asked[-1] is False)
        own = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        assert await record.has_told(1) == [own]


async def test_what_ended_while_nobody_watched_is_told_at_the_next_start(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await record.has_told(1)
    missed = [await asyncio.to_thread(run_with, prefect, tag, "COMPLETED") for _ in range(3)]
    async with running(watcher(store, tag), store) as again:
        assert await again.has_told(3) == missed
        assert not any(event["maybe_repeated"] for event in again.events)


async def test_an_end_whose_telling_was_cut_short_is_told_again_and_says_so(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
    flow_run_id = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
    told = watcher(store, tag).run()
    event = await anext(told)  # the triggerer dies before it asks for the next one
    await told.aclose()
    assert event.payload["maybe_repeated"] is False
    async with running(watcher(store, tag), store) as again:
        assert await again.has_told(1) == [flow_run_id]
        assert again.events[0]["maybe_repeated"] is True
        assert again.events[0]["event_id"] == event.payload["event_id"]


async def test_events_lost_and_doubled_change_nothing(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = polling.state_changes

    async def faulty(*arguments: Any) -> AsyncIterator[Any]:
        count = 0
        async for change in changes(*arguments):
            count += 1
            if count % 3 == 0:
                continue
            yield change
            yield change
            if count % 7 == 0:
                raise PrefectUnreachable("cut off")

    monkeypatch.setattr(polling, "state_changes", faulty)
    monkeypatch.setattr(polling, "RECONNECT_SECONDS", 0.1)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        ended = [await asyncio.to_thread(run_with, prefect, tag, "RUNNING", "COMPLETED") for _ in range(12)]
        assert await record.has_told(12) == ended


async def test_without_a_socket_ends_are_found_at_intervals(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> AsyncIterator[Any]:
        raise PrefectUnreachable("no websockets here")
        yield

    monkeypatch.setattr(polling, "state_changes", refused)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        flow_run_id = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        assert await record.has_told(1) == [flow_run_id]


async def test_a_run_that_is_retried_in_place_ends_twice(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        flow_run_id = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await record.has_told(1)
        for state_type in ("SCHEDULED", "RUNNING", "COMPLETED"):
            await asyncio.to_thread(prefect.put_state, flow_run_id, state_type)
        assert await record.has_told(2) == [flow_run_id] * 2
        assert len({event["event_id"] for event in record.events}) == 2


async def test_a_backlog_is_told_whole_and_in_order(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.in_airflow.watching.EVENTS_A_POLL", 2)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
    missed = [await asyncio.to_thread(run_with, prefect, tag, "COMPLETED") for _ in range(5)]
    async with running(watcher(store, tag), store) as again:
        assert await again.has_told(5) == missed


async def test_a_deployment_is_watched_by_name_and_its_result_is_told(
    client: PrefectClient, prefect: LivePrefect, store: Store
) -> None:
    name = uuid4().hex
    flow = await asyncio.to_thread(prefect.request, "POST", "/flows/", {"name": "watched"})
    body = {"name": name, "flow_id": flow["id"]}
    deployment = await asyncio.to_thread(prefect.request, "POST", "/deployments/", body)
    trigger = PrefectEventTrigger(f"watched/{name}", reconcile_seconds=600.0)
    trigger.asset_state_store = AssetStateStoreAccessors(inlets=[])
    trigger.asset_state_store._by_name["asset"] = store  # type: ignore[assignment]

    def complete() -> str:
        path = f"/deployments/{deployment['id']}/create_flow_run"
        flow_run_id = str(prefect.request("POST", path, {"state": {"type": "SCHEDULED"}})["id"])
        result = json.dumps({"text": "hello", "number": 3})
        artifact = {"key": "bridge-result", "type": "result", "data": result, "flow_run_id": flow_run_id}
        prefect.request("POST", "/artifacts/", artifact)
        prefect.put_state(flow_run_id, "COMPLETED")
        return flow_run_id

    async with running(trigger, store) as record:
        await record.has_polled()
        first = await asyncio.to_thread(complete)
        await record.has_told(1)  # the socket is open now: by its opening, or by an event
        second = await asyncio.to_thread(complete)
        assert await record.has_told(2) == [first, second]
    assert record.events[0]["deployment"] == f"watched/{name}"
    assert record.events[0]["result"] == {"text": "hello", "number": 3}


async def test_prefect_may_die_and_come_back(
    store: Store, tag: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = LivePrefect(tmp_path_factory.mktemp("mortal"))
    await asyncio.to_thread(server.start)
    address = urlsplit(server.api_url)
    connection = {"conn_type": "prefect", "host": f"http://{address.hostname}", "port": address.port}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
    try:
        async with running(watcher(store, tag), store) as record:
            await record.has_polled()
            before = await asyncio.to_thread(run_with, server, tag, "COMPLETED")
            await record.has_told(1)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(2)
            await asyncio.to_thread(server.start)
            after = await asyncio.to_thread(run_with, server, tag, "COMPLETED")
            assert await record.has_told(2) == [before, after]
    finally:
        await asyncio.to_thread(server.stop)


async def test_a_connection_that_is_missing_is_waited_for(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "LEAST_SECONDS_BETWEEN_POLLS", 0.05)
    trigger = watcher(store, tag, prefect_conn_id="prefect_later")
    async with running(trigger, store) as record:
        await record.until(lambda: trigger._away)
        address = urlsplit(prefect.api_url)
        later = {"conn_type": "prefect", "host": f"http://{address.hostname}", "port": address.port}
        monkeypatch.setenv("AIRFLOW_CONN_PREFECT_LATER", json.dumps(later))
        await record.has_polled()


async def test_all_polls_use_one_client_until_the_connection_changes(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[AsyncPrefectClient] = []

    class Counted(AsyncPrefectClient):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(self)

    monkeypatch.setattr(polling, "AsyncPrefectClient", Counted)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        for count in (1, 2):
            await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
            await record.has_told(count)
        assert len(opened) == 1
        document = json.loads(os.environ["AIRFLOW_CONN_PREFECT_DEFAULT"])
        changed = {**document, "extra": {"headers": {"X-Changed": "yes"}}}
        monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(changed))
        await record.until(lambda: len(opened) == 2)
        await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await record.has_told(3)
    assert all(each._http.is_closed for each in opened)


def test_one_meaning_has_one_serialised_form() -> None:
    one = PrefectEventTrigger(tags=["b", "a"], states=["FAILED", "COMPLETED"])
    other = PrefectEventTrigger(tags=("a", "b"), states=("COMPLETED", "FAILED"))
    assert one.serialize() == other.serialize()
    path, kwargs = one.serialize()
    assert path == "bridge.in_airflow.watching.PrefectEventTrigger"
    assert json.loads(json.dumps(kwargs)) == kwargs
    assert PrefectEventTrigger.hash(path, kwargs) == PrefectEventTrigger.hash(*other.serialize())
    assert encode_trigger(PrefectEventTrigger(**kwargs)) == encode_trigger(one)


def test_watchers_of_one_connection_share_one_socket() -> None:
    assert PrefectEventTrigger("a/b").shared_stream_key() == PrefectEventTrigger(flow="c").shared_stream_key()
    assert (
        PrefectEventTrigger("a/b").shared_stream_key()
        != PrefectEventTrigger("a/b", prefect_conn_id="x").shared_stream_key()
    )


@pytest.mark.parametrize(
    "wrong",
    [{"states": ("RUNNING",)}, {"states": ()}, {"deployment": "echo"}, {"deployment": "echo/t", "flow": "echo"}],
)
def test_what_cannot_be_watched_is_refused_when_the_dag_is_read(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"state|deployment"):
        Watch(**wrong)


POISON = [
    ["a", "list"],
    "a text",
    '{"score": NaN}',
    '{"score": Infinity}',
    '{"text": "a\\u0000b"}',
    '{"text": "\\ud800"}',
    '{"count": 99999999999999999999999}',
    '{"in":' * 200 + "1" + "}" * 200,
    '{"digits": ' + "9" * 10_000 + "}",
]


def publish(prefect: LivePrefect, flow_run_id: str, data: Any) -> None:
    artifact = {"key": "bridge-result", "type": "result", "data": data, "flow_run_id": flow_run_id}
    prefect.request("POST", "/artifacts/", artifact)


async def test_a_poisoned_result_is_set_aside_and_told_once_among_healthy_ones(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    def ended_with(data: Any) -> str:
        flow_run_id = run_with(prefect, tag, "RUNNING")
        publish(prefect, flow_run_id, data)
        prefect.put_state(flow_run_id, "COMPLETED")
        return flow_run_id

    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        healthy = await asyncio.to_thread(ended_with, {"f1": 0.5})
        poisoned = [await asyncio.to_thread(ended_with, data) for data in POISON]
        last = await asyncio.to_thread(ended_with, {"f1": 0.6})
        assert await record.has_told(len(POISON) + 2) == [healthy, *poisoned, last]
        for event in record.events[1:-1]:
            assert (event["result"], event["omitted"]) == (None, ["result"]), event
            assert event["omitted_because"]
        assert [record.events[0]["result"], record.events[-1]["result"]] == [{"f1": 0.5}, {"f1": 0.6}]
        json.dumps(record.events, allow_nan=False).encode()
        for event in record.events:  # as the triggerer's process sends it
            assert _new_encoder().encode(TriggerEvent(event))


@pytest.mark.parametrize("fault", [UnexpectedAnswer, PrefectUnreachable])
async def test_a_result_that_spoils_the_whole_answer_is_set_aside_alone(
    client: PrefectClient,
    prefect: LivePrefect,
    store: Store,
    tag: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: type[Exception],
) -> None:
    """An answer of many results that is no JSON: each is asked for alone, and the one at fault a few times."""
    spoilt: list[str] = []
    read_results = watching.read_results

    def read(flow_run_ids: Sequence[str]) -> Operation[Any]:
        if set(spoilt) & set(flow_run_ids):
            yield Request("GET", "/health")
            raise fault("no JSON")
        return (yield from read_results(flow_run_ids))

    monkeypatch.setattr(watching, "read_results", read)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        spoilt.append(await asyncio.to_thread(run_with, prefect, tag, "RUNNING"))
        healthy = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await asyncio.to_thread(prefect.put_state, spoilt[0], "COMPLETED")
        assert sorted(await record.has_told(2)) == sorted([*spoilt, healthy])
        later = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await record.has_told(3)
    assert record.ids[-1] == later
    assert {event["flow_run_id"]: event["omitted"] for event in record.events} == {
        spoilt[0]: ["result"],
        healthy: [],
        later: [],
    }


async def test_a_row_that_cannot_be_read_is_told_once_and_stops_nothing(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoilt: list[str] = []
    send = AsyncPrefectClient._send

    async def spoiling(self: AsyncPrefectClient, request: Request) -> Answer | Fault:
        answer = await send(self, request)
        if isinstance(answer, Answer) and request.path == "/flow_runs/filter":
            for row in answer.body:
                row["end_time"] = "yesterday" if row["id"] in spoilt else row["end_time"]
        return answer

    monkeypatch.setattr(AsyncPrefectClient, "_send", spoiling)
    async with running(watcher(store, tag), store) as record:
        await record.has_polled()
        spoilt.append(await asyncio.to_thread(run_with, prefect, tag, "RUNNING"))
        await asyncio.to_thread(prefect.put_state, spoilt[0], "COMPLETED")
        healthy = [await asyncio.to_thread(run_with, prefect, tag, "COMPLETED") for _ in range(3)]
        assert await record.has_told(4) == [*spoilt, *healthy]
        last = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        assert (await record.has_told(5))[-1] == last
    assert [event["omitted"] for event in record.events] == [["name", "tags", "result"], [], [], [], []]


async def test_an_event_that_names_no_flow_run_is_passed_over(
    client: PrefectClient, prefect: LivePrefect, store: Store, tag: str
) -> None:
    """Anybody may send Prefect events."""
    async with running(watcher(store, tag, reconcile_seconds=600.0), store) as record:
        await record.has_polled()
        await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        await record.has_told(1)
        related = [{"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"}]
        odd = {
            "event": "prefect.flow-run.Completed",
            "resource": {"prefect.resource.id": "prefect.flow-run.nobody", "prefect.state-type": "COMPLETED"},
            "related": related,
            "occurred": "2026-11-02T12:00:00Z",
            "id": str(uuid4()),
        }
        await asyncio.to_thread(prefect.request, "POST", "/events", [odd])
        last = await asyncio.to_thread(run_with, prefect, tag, "COMPLETED")
        assert (await record.has_told(2))[-1] == last
