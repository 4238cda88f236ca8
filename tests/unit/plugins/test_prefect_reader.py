"""One reader for all who look: Prefect is asked seldom, and its absence is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from bridge.errors import FlowRunNotFound, PrefectUnreachable
from bridge.prefect_api import wire
from bridge.prefect_api.connection import PrefectConnection
from bridge.testing import FakePrefect
from plugins.control_page import prefect_reader
from plugins.control_page.budget import BURST, REQUESTS_PER_SECOND, RequestBudget
from plugins.control_page.prefect_reader import PrefectReader

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def fake() -> Iterator[FakePrefect]:
    with FakePrefect() as prefect:
        prefect.deployment("a/b")
        yield prefect


def reader(fake: FakePrefect, **budget: float) -> PrefectReader:
    return PrefectReader(lambda: fake.connection, RequestBudget(**budget) if budget else None)


async def look(shared: PrefectReader, flow_run_id: str, fresh_seconds: float = 60.0) -> Any:
    return await shared.see(("run", flow_run_id), lambda: wire.read_flow_run(flow_run_id), fresh_seconds=fresh_seconds)


async def test_ten_viewers_at_once_cost_one_request(fake: FakePrefect) -> None:
    run, shared = fake.run("a/b"), reader(fake)
    seen = await asyncio.gather(*(look(shared, run.id) for _ in range(10)))
    assert {each.value.id for each in seen} == {run.id}
    assert [each.method for each in fake.requests if each.method != "WEBSOCKET"] == ["GET"]


async def test_a_minute_of_ten_viewers_costs_less_than_sixty_requests() -> None:
    """By a clock of the test's own: each viewer looks every second, and always for something fresher."""
    now = [0.0]
    budget = RequestBudget(clock=lambda: now[0])
    asked = 0
    for _ in range(60):
        now[0] += 1.0
        for _ in range(10):
            if budget.allows():
                budget.spend()
                asked += 1
    assert 0.9 * 60 * REQUESTS_PER_SECOND <= asked <= BURST + 60 * REQUESTS_PER_SECOND < 60


async def test_beyond_the_budget_what_was_read_before_is_shown(fake: FakePrefect) -> None:
    run, shared = fake.run("a/b"), reader(fake, rate=0.001, burst=1)
    first = await look(shared, run.id)
    second = await look(shared, run.id, fresh_seconds=0.0)
    assert (first.value, second.value, second.trouble) == (second.value, first.value, None)


async def test_a_change_costs_what_it_costs_and_what_was_read_before_is_read_anew(fake: FakePrefect) -> None:
    fake.on_run("a/b", state="RUNNING")
    run, shared = fake.run("a/b"), reader(fake)
    assert (await look(shared, run.id)).value.state_type == "RUNNING"
    await shared.act(wire.cancel_flow_run(run.id))
    assert (await look(shared, run.id)).value.state_type == "CANCELLED"


async def test_a_prefect_that_is_away_is_told_within_two_seconds_and_what_was_seen_stays(
    fake: FakePrefect, awaited: list[float]
) -> None:
    run, shared = fake.run("a/b"), reader(fake)
    seen = await look(shared, run.id)
    fake.faults.delay(30, times=None)
    shared.expire()
    awaited.clear()
    later = await look(shared, run.id, fresh_seconds=0.0)
    assert 0 < sum(awaited) < 2
    assert (later.value, later.read_at) == (seen.value, seen.read_at)
    assert "has not answered" in str(later.trouble)
    fake.faults.clear()


async def test_while_prefect_is_away_it_is_not_asked_by_everybody() -> None:
    asked = 0

    def connect() -> PrefectConnection:
        nonlocal asked
        asked += 1
        raise PrefectUnreachable("nobody is there")

    shared = PrefectReader(connect)
    for number in range(20):
        seen = await look(shared, f"{number}")
        assert "nobody is there" in str(seen.trouble)
    assert asked <= 2  # by the first look, and by the event socket that it wanted to open


async def test_what_prefect_does_not_have_is_no_outage(fake: FakePrefect) -> None:
    run, shared = fake.run("a/b"), reader(fake)
    missing = await look(shared, NOBODY)
    assert "has no flow run" in str(missing.trouble)
    assert (await look(shared, run.id)).trouble is None
    with pytest.raises(FlowRunNotFound):
        await shared.act(wire.cancel_flow_run(NOBODY))


async def test_a_change_that_the_event_socket_tells_is_seen_soon_and_without_it_nothing_is_asked(
    fake: FakePrefect,
) -> None:
    fake.on_run("a/b", state="RUNNING")
    run, shared = fake.run("a/b"), reader(fake)
    for _ in range(500):
        await look(shared, run.id)
        if shared._listener.is_open:
            break
        await asyncio.sleep(0.02)
    assert shared._listener.is_open
    await look(shared, run.id, fresh_seconds=0.0)
    before = len(fake.requests)
    for _ in range(5):
        assert (await look(shared, run.id, fresh_seconds=0.0)).value.state_type == "RUNNING"
    assert len(fake.requests) == before
    fake.finish(run)
    for _ in range(500):
        if (await look(shared, run.id, fresh_seconds=0.0)).value.state_type == "COMPLETED":
            break
        await asyncio.sleep(0.02)
    assert (await look(shared, run.id)).value.state_type == "COMPLETED"
    assert len(fake.requests) - before < 10


async def test_without_an_event_socket_runs_are_read_as_often_as_before(fake: FakePrefect) -> None:
    fake.faults.refuse_socket()
    run, shared = fake.run("a/b"), reader(fake, rate=1000, burst=1000)
    await look(shared, run.id)
    await asyncio.sleep(0.1)
    before = len(fake.requests)
    for _ in range(3):
        await look(shared, run.id, fresh_seconds=0.0)
    assert len([each for each in fake.requests[before:] if each.method == "GET"]) == 3


async def test_a_fault_that_is_not_prefects_is_raised_and_does_not_look_like_waiting() -> None:
    def connect() -> PrefectConnection:
        raise LookupError("no such table: connection")

    with pytest.raises(LookupError, match="no such table"):
        await look(PrefectReader(connect), NOBODY)


async def test_a_change_that_prefect_does_not_answer_is_given_up_and_said_so(
    fake: FakePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake.run("a/b")
    monkeypatch.setattr(prefect_reader, "ACTING_SECONDS", 0.5)
    fake.faults.delay(30, times=None)
    # for half a second, not for the thirty of one request
    with pytest.raises(PrefectUnreachable, match=r"for 0\.5 s.*look at the runs before you ask again"):
        await reader(fake).act(wire.cancel_flow_run(run.id))
    fake.faults.clear()
