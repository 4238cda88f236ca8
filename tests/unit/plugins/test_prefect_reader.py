"""One reader for all who look: Prefect is asked seldom, and its absence is told at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest

from bridge.errors import FlowRunNotFound, PrefectUnreachable
from bridge.prefect_api import wire
from bridge.prefect_api.connection import PrefectConnection
from bridge.testing import FakePrefect
from plugins.control_page import prefect_reader
from plugins.control_page.budget import BURST, REQUESTS_PER_SECOND, RequestBudget
from plugins.control_page.prefect_reader import QUIET_SECONDS, SILENT_SECONDS, PrefectReader

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


async def test_a_slow_prefect_leaves_what_was_seen_and_is_no_outage_until_it_is_silent(
    fake: FakePrefect, awaited: list[float]
) -> None:
    ahead = [0.0]
    run, shared = fake.run("a/b"), PrefectReader(lambda: fake.connection, clock=lambda: monotonic() + ahead[0])
    seen = await look(shared, run.id)
    fake.faults.delay(30, times=None)
    shared.expire()
    awaited.clear()
    later = await look(shared, run.id, fresh_seconds=0.0)
    assert 0 < sum(awaited) < 2
    assert (later.value, later.read_at, later.trouble) == (seen.value, seen.read_at, None)
    assert (later.is_slow, later.is_old) == (True, True)
    ahead[0] += SILENT_SECONDS
    silent = await look(shared, run.id, fresh_seconds=0.0)
    assert (silent.value, silent.is_away) == (seen.value, True)
    assert "has not answered for" in str(silent.trouble)
    fake.faults.clear()


async def test_other_parts_of_a_page_wait_no_longer_for_a_slow_prefect(fake: FakePrefect, awaited: list[float]) -> None:
    runs, shared = [fake.run("a/b") for _ in range(4)], reader(fake)
    fake.faults.delay(30, times=None)
    for run in runs:
        assert (await look(shared, run.id)).is_loading
    assert 0 < sum(awaited) < 2
    fake.faults.clear()


async def test_after_a_quiet_time_what_was_seen_is_told_to_be_old_until_it_is_read_anew(fake: FakePrefect) -> None:
    ahead = [0.0]
    run, shared = fake.run("a/b"), PrefectReader(lambda: fake.connection, clock=lambda: monotonic() + ahead[0])

    async def glance() -> Any:
        operation = lambda: wire.read_flow_run(run.id)  # noqa: E731
        return await shared.see(("run", run.id), operation, fresh_seconds=2.0, patience_seconds=0.0)

    await look(shared, run.id)
    assert not (await glance()).is_old
    ahead[0] += 3600
    old = await glance()
    assert (old.value.id, old.is_old, old.trouble) == (run.id, True, None)
    assert not (await look(shared, run.id, fresh_seconds=2.0)).is_old


async def test_an_outage_is_over_with_the_first_answer_for_all_that_is_shown(fake: FakePrefect) -> None:
    ahead = [0.0]
    first, second = fake.run("a/b"), fake.run("a/b")
    shared = PrefectReader(lambda: fake.connection, clock=lambda: monotonic() + ahead[0])
    for run in (first, second):
        await look(shared, run.id)
    fake.faults.cut(times=None)
    shared.expire()
    troubles = [await look(shared, run.id) for run in (first, second)]
    assert [(each.is_away, each.is_old, each.value is not None) for each in troubles] == [(True, True, True)] * 2
    fake.faults.clear()
    ahead[0] += QUIET_SECONDS
    assert [(await look(shared, run.id)).trouble for run in (first, second)] == [None, None]


async def test_a_run_that_was_deleted_is_not_shown_as_it_was(fake: FakePrefect) -> None:
    run, shared = fake.run("a/b"), reader(fake)
    assert (await look(shared, run.id)).value.id == run.id
    fake._state.delete(run.id)
    gone = await look(shared, run.id, fresh_seconds=0.0)
    assert (gone.value, gone.is_away) == (None, False)
    assert "has no flow run" in str(gone.trouble)


async def test_what_is_asked_for_once_waits_for_the_budget(fake: FakePrefect) -> None:
    run, shared = fake.run("a/b"), reader(fake, rate=20, burst=1)
    found = [await shared.read(wire.read_flow_run(run.id)) for _ in range(3)]
    assert {each.id for each in found} == {run.id}


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
