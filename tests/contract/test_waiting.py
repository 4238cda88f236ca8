"""However many wait, one socket and one batched read serve them; a socket is an optimisation, never a requirement."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge import errors
from bridge.prefect_api import waiting, wire
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, state_changes
from bridge.prefect_api.waiting import SharedWaiting, WaitingPolicy, shared_waiting
from bridge.verdict import Live, judge
from tests.live_prefect import LivePrefect, wait_until

QUICK = WaitingPolicy(reconcile_seconds=5.0, reconcile_without_socket_seconds=0.5, reconnect_seconds=0.2)
PATIENCE_SECONDS = 60


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each path was asked for, and how often a socket was opened, by this process."""
    counted: Counter[str] = Counter()
    send = AsyncPrefectClient._send

    async def counting(self: AsyncPrefectClient, request: wire.Request) -> object:
        counted[request.path] += 1
        return await send(self, request)

    def opening(*arguments: object) -> AsyncIterator[StateChange]:
        counted["socket"] += 1
        return state_changes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AsyncPrefectClient, "_send", counting)
    monkeypatch.setattr(waiting, "state_changes", opening)
    return counted


async def until_ended(connection: PrefectConnection, flow_run_id: str, followed: asyncio.Barrier | None = None) -> str:
    """The state type in which the run ended; `followed` is met once it is known to be waited for."""
    readings = shared_waiting(connection, QUICK).follow(flow_run_id)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for reading in readings:
                if not isinstance(judge(reading), Live):
                    return reading.state_type
                if followed is not None:
                    await followed.wait()
                    followed = None
    finally:
        await readings.aclose()
    raise AssertionError("follow ends by an error or not at all")


@asynccontextmanager
async def waits(connection: PrefectConnection, flow_run_ids: list[str]) -> AsyncIterator[list[asyncio.Task[str]]]:
    """A wait for each, all of them begun."""
    followed = asyncio.Barrier(len(flow_run_ids) + 1)
    tasks = [asyncio.create_task(until_ended(connection, each, followed)) for each in flow_run_ids]
    async with asyncio.timeout(PATIENCE_SECONDS):
        await followed.wait()
    yield tasks
    for task in tasks:
        task.cancel()


async def test_many_waits_share_one_socket_and_few_requests(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str]
) -> None:
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand() for _ in range(50)])
    async with waits(client.connection, runs) as tasks:
        assert sent["/flow_runs/filter"] <= 5
        await asyncio.to_thread(lambda: [prefect.put_state(run, "COMPLETED") for run in runs])
        assert set(await asyncio.gather(*tasks)) == {"COMPLETED"}
    assert sent["socket"] == 1
    assert sent["/flow_runs/filter"] <= 5 + len(runs)


async def no_socket(*_: object) -> AsyncIterator[StateChange]:
    raise errors.PrefectUnreachable("the proxy knows no web sockets")
    yield StateChange("", "", "", datetime.now(UTC))


async def test_without_a_socket_the_waits_end_all_the_same(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "state_changes", no_socket)
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand() for _ in range(5)])
    async with waits(client.connection, runs) as tasks:
        await asyncio.to_thread(lambda: [prefect.put_state(run, "FAILED") for run in runs])
        assert set(await asyncio.gather(*tasks)) == {"FAILED"}
    assert sent["socket"] == 0


async def test_a_fault_of_our_own_reaches_every_wait(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> AsyncIterator[StateChange]:
        raise ZeroDivisionError("a defect")
        yield StateChange("", "", "", datetime.now(UTC))

    monkeypatch.setattr(waiting, "state_changes", broken)
    run = await asyncio.to_thread(prefect.run_by_hand)
    ends = await asyncio.gather(*(until_ended(client.connection, run) for _ in range(3)), return_exceptions=True)
    assert [type(end) for end in ends] == [errors.UnexpectedAnswer] * 3
    assert "a defect" in str(ends[0])


async def test_a_run_that_is_deleted_is_lost_and_the_others_go_on(client: PrefectClient, prefect: LivePrefect) -> None:
    doomed, other = await asyncio.to_thread(lambda: [prefect.run_by_hand(), prefect.run_by_hand()])
    async with waits(client.connection, [doomed, other]) as (lost, kept):
        await asyncio.to_thread(prefect.request, "DELETE", f"/flow_runs/{doomed}")
        with pytest.raises(errors.FlowRunLost, match=doomed):
            await lost
        await asyncio.to_thread(prefect.put_state, other, "COMPLETED")
        assert await kept == "COMPLETED"


async def test_the_socket_ends_a_wait_long_before_the_next_reconciling_read(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str]
) -> None:
    never_again = WaitingPolicy(reconcile_seconds=3600.0, reconcile_without_socket_seconds=3600.0)
    shared = SharedWaiting(client.connection, never_again)
    run = await asyncio.to_thread(prefect.run_by_hand, "RUNNING")
    readings = shared.follow(run)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await anext(readings)).state_type == "RUNNING"
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        await asyncio.to_thread(prefect.put_state, run, "COMPLETED")
        assert (await anext(readings)).state_type == "COMPLETED"
    await readings.aclose()
    assert sent["/flow_runs/filter"] <= 3


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[LivePrefect]:
    """A server of its own that lets nobody in without its password, and that may be killed."""
    server = LivePrefect(tmp_path / "prefect", basic_auth="user:a password")
    server.start()
    yield server
    server.stop()


async def test_behind_basic_auth_a_wait_survives_the_servers_death_and_strangers_are_not_let_in(
    guarded: LivePrefect,
) -> None:
    admitted = PrefectConnection(guarded.api_url, basic_auth="user:a password")
    run = await asyncio.to_thread(guarded.run_by_hand)
    async with waits(admitted, [run]) as [wait]:
        shared = shared_waiting(admitted)
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        for stranger in (PrefectConnection(guarded.api_url), PrefectConnection(guarded.api_url, basic_auth="user:no")):
            with pytest.raises(errors.PrefectUnauthorised):
                await until_ended(stranger, run)
            with pytest.raises(errors.PrefectUnauthorised):
                await anext(state_changes(stranger, None, lambda: None))
        await asyncio.to_thread(guarded.kill)
        await asyncio.to_thread(guarded.start)
        await asyncio.to_thread(guarded.put_state, run, "COMPLETED")
        assert await wait == "COMPLETED"
