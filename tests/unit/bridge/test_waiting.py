"""What waits share must not be a way to forget one of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge import errors
from bridge.prefect_api import waiting
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, parse
from bridge.prefect_api.waiting import SharedWaiting, WaitingPolicy
from bridge.prefect_api.wire import Answer, Request

CONNECTION = PrefectConnection("http://prefect/api")
POLICY = WaitingPolicy(
    reconcile_seconds=0.2, reconcile_without_socket_seconds=0.2, gather_seconds=0.001, failures_allowed=2
)
PATIENCE_SECONDS = 20


class Server:
    """Prefect's answers to batched reads, by hand."""

    def __init__(self) -> None:
        self.states: dict[str, str] = {}
        self.status = 200
        self.reads = 0

    def answer(self, request: Request) -> Answer:
        self.reads += 1
        asked = (request.json or {})["flow_runs"]["id"]["any_"]
        rows = [
            {"id": each, "name": each, "state": {"type": self.states[each], "name": self.states[each]}}
            for each in asked
            if each in self.states
        ]
        return Answer(self.status, rows)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server()

    async def send(_: AsyncPrefectClient, request: Request) -> Answer:
        return made.answer(request)

    monkeypatch.setattr(AsyncPrefectClient, "_send", send)
    monkeypatch.setattr(waiting, "state_changes", silence)
    return made


async def silence(_: PrefectConnection, __: datetime | None, on_open: Callable[[], None]) -> AsyncIterator[StateChange]:
    on_open()
    await asyncio.Event().wait()
    yield StateChange("", "", "", datetime.now(UTC))


async def noise(_: PrefectConnection, __: datetime | None, on_open: Callable[[], None]) -> AsyncIterator[StateChange]:
    """Events of one run without end."""
    on_open()
    while True:
        await asyncio.sleep(0.005)
        yield StateChange("busy", "RUNNING", "Running", datetime.now(UTC))


async def until(shared: SharedWaiting, flow_run_id: str, state_type: str) -> str:
    readings = shared.follow(flow_run_id)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for run in readings:
                if run.state_type == state_type:
                    return run.state_type
    finally:
        await readings.aclose()
    raise AssertionError("follow ends by an error or not at all")


async def test_a_run_whose_event_was_lost_is_found_however_busy_the_others_are(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "state_changes", noise)
    server.states = {"busy": "RUNNING", "quiet": "RUNNING"}
    shared = SharedWaiting(CONNECTION, POLICY)
    others = asyncio.create_task(until(shared, "busy", "COMPLETED"))
    readings = shared.follow("quiet")
    assert (await anext(readings)).state_type == "RUNNING"
    server.states["quiet"] = "COMPLETED"  # and no event says so
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await anext(readings)).state_type == "COMPLETED"
    await readings.aclose()
    server.states["busy"] = "COMPLETED"
    assert await others == "COMPLETED"


async def test_who_comes_after_the_waits_were_given_up_is_served_again(server: Server) -> None:
    server.states = {"one": "RUNNING", "two": "COMPLETED"}
    shared = SharedWaiting(CONNECTION, POLICY)
    lingering = shared.follow("one")
    await anext(lingering)
    server.status = 401
    with pytest.raises(errors.PrefectUnauthorised):
        await until(shared, "one", "COMPLETED")
    server.status = 200
    assert await until(shared, "two", "COMPLETED") == "COMPLETED"  # while `lingering` has not looked yet
    with pytest.raises(errors.PrefectUnauthorised):
        await anext(lingering)


async def test_faults_in_a_row_are_counted_and_a_good_read_forgives_them(server: Server) -> None:
    server.states = {"one": "RUNNING"}
    shared = SharedWaiting(CONNECTION, POLICY)
    readings = shared.follow("one")
    await anext(readings)
    answer = server.answer
    outcomes = [503, 503, 200] * 3  # a read asks twice before it counts as one that failed

    def now_and_then(request: Request) -> Answer:
        server.status = outcomes.pop(0) if outcomes else 200
        if not outcomes:
            server.states["one"] = "COMPLETED"
        return answer(request)

    server.answer = now_and_then  # type: ignore[method-assign]
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await anext(readings)).state_type == "COMPLETED"
    await readings.aclose()


async def test_a_deleted_run_is_lost_and_its_neighbour_goes_on(server: Server) -> None:
    server.states = {"kept": "RUNNING"}
    shared = SharedWaiting(CONNECTION, POLICY)
    neighbour = asyncio.create_task(until(shared, "kept", "COMPLETED"))
    with pytest.raises(errors.FlowRunLost, match="runs/flow-run/gone"):
        await until(shared, "gone", "COMPLETED")
    server.states["kept"] = "COMPLETED"
    assert await neighbour == "COMPLETED"


async def test_nothing_is_left_running_once_nobody_waits(server: Server) -> None:
    server.states = {"one": "COMPLETED"}
    before = asyncio.all_tasks()
    shared = SharedWaiting(CONNECTION, POLICY)
    await until(shared, "one", "COMPLETED")
    left = asyncio.all_tasks() - before
    if left:
        _, running = await asyncio.wait(left, timeout=PATIENCE_SECONDS)
        assert not running


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"event": None},
        {"event": {"resource": {"prefect.resource.id": "prefect.task-run.1", "prefect.state-type": "FAILED"}}},
        {"event": {"resource": {"prefect.resource.id": "prefect.flow-run.1"}}},
    ],
)
def test_a_message_without_a_flow_runs_state_names_nobody(message: dict[str, Any]) -> None:
    assert parse(message) is None


def test_a_flow_runs_change_is_read_from_its_event() -> None:
    resource = {
        "prefect.resource.id": "prefect.flow-run.1",
        "prefect.state-type": "COMPLETED",
        "prefect.state-name": "Skipped",
    }
    occurred = "2026-01-05T07:00:00+00:00"
    change = parse({"event": {"occurred": occurred, "resource": resource}})
    assert change == StateChange("1", "COMPLETED", "Skipped", datetime.fromisoformat(occurred))
