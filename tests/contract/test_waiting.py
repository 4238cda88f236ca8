"""However many wait, one socket and one batched read serve them; a socket is an optimisation, never a requirement."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge import errors
from bridge.prefect_api import waiting, wire
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.waiting import WaitingPolicy, shared_waiting
from bridge.verdict import Live, judge
from tests.contract.conftest import running, start
from tests.live_prefect import LivePrefect, wait_until

QUICK = WaitingPolicy(reconcile_seconds=5.0, reconcile_without_socket_seconds=0.5, reconnect_seconds=0.2)
PATIENCE_SECONDS = 60


@pytest.fixture
def requests_sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each path was asked for by clients of this process."""
    counted: Counter[str] = Counter()
    send = AsyncPrefectClient._send

    async def counting(self: AsyncPrefectClient, request: wire.Request) -> object:
        counted[request.path] += 1
        return await send(self, request)

    monkeypatch.setattr(AsyncPrefectClient, "_send", counting)
    return counted


async def until_ended(connection: PrefectConnection, run: FlowRun) -> FlowRun:
    readings = shared_waiting(connection, QUICK).follow(run.id)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for reading in readings:
                if not isinstance(judge(reading), Live):
                    return reading
    finally:
        await readings.aclose()
    raise AssertionError("unreachable")


async def end_then_wait(connection: PrefectConnection, runs: list[FlowRun], marker: Path) -> list[FlowRun]:
    """Wait for all, let them end once all are waited for, and give what each wait got."""
    waits = [asyncio.create_task(until_ended(connection, run)) for run in runs]
    await asyncio.sleep(1)
    await asyncio.to_thread(marker.touch)
    return await asyncio.gather(*waits)


async def test_many_waits_share_few_requests(
    client: PrefectClient, tmp_path: Path, requests_sent: Counter[str]
) -> None:
    marker = tmp_path / "go"
    run = running(client, start(client, "hold/t", path=str(marker)))
    ended = await end_then_wait(client.connection, [run] * 50, marker)
    assert {each.state_type for each in ended} == {"COMPLETED"}
    assert requests_sent["/flow_runs/filter"] <= 10


async def no_socket(*_: object) -> AsyncIterator[StateChange]:
    raise errors.PrefectUnreachable("the proxy knows no web sockets")
    yield StateChange("", "", "", datetime.now(UTC))


async def test_without_a_socket_the_waits_end_all_the_same(
    client: PrefectClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "state_changes", no_socket)
    marker = tmp_path / "go"
    run = running(client, start(client, "hold/t", path=str(marker)))
    [ended] = await end_then_wait(client.connection, [run], marker)
    assert ended.state_type == "COMPLETED"


async def test_a_fault_of_our_own_reaches_every_wait(client: PrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> AsyncIterator[StateChange]:
        raise ZeroDivisionError("a defect")
        yield StateChange("", "", "", datetime.now(UTC))

    monkeypatch.setattr(waiting, "state_changes", broken)
    run = start(client, "echo/t")
    with pytest.raises(errors.UnexpectedAnswer, match="a defect"):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.gather(*(forever(client.connection, run) for _ in range(3)))


async def forever(connection: PrefectConnection, run: FlowRun) -> None:
    readings = shared_waiting(connection, QUICK).follow(run.id)
    try:
        async for _ in readings:
            continue
    finally:
        await readings.aclose()


async def test_a_run_that_is_deleted_is_lost_and_the_others_go_on(
    client: PrefectClient, prefect: LivePrefect, tmp_path: Path
) -> None:
    marker = tmp_path / "go"
    doomed = start(client, "hold/t", path=str(tmp_path / "never"))
    other = running(client, start(client, "hold/t", path=str(marker)))
    waits = [asyncio.create_task(until_ended(client.connection, run)) for run in (doomed, other)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(client.run, wire.cancel_flow_run(doomed.id))
    # a cancelled run would end its wait: what is to be seen is a run that is there no more
    waits[0].cancel()
    await asyncio.to_thread(prefect.request, "DELETE", f"/flow_runs/{doomed.id}")
    with pytest.raises(errors.FlowRunLost, match=doomed.id):
        await until_ended(client.connection, doomed)
    marker.touch()
    assert (await waits[1]).state_type == "COMPLETED"


async def test_a_wait_survives_the_servers_death(tmp_path: Path) -> None:
    server = LivePrefect(tmp_path / "prefect")
    await asyncio.to_thread(server.start)
    try:
        run = await asyncio.to_thread(_scheduled_run, server)
        wait = asyncio.create_task(until_ended(PrefectConnection(server.api_url), run))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        state = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
        await asyncio.to_thread(server.request, "POST", f"/flow_runs/{run.id}/set_state", state)
        assert (await wait).state_type == "COMPLETED"
    finally:
        await asyncio.to_thread(server.stop)


async def test_behind_basic_auth_key_and_socket_are_let_in_and_others_are_not(tmp_path: Path) -> None:
    server = LivePrefect(tmp_path / "prefect", basic_auth="user:a password")
    await asyncio.to_thread(server.start)
    try:
        run = await asyncio.to_thread(_scheduled_run, server)
        admitted = PrefectConnection(server.api_url, basic_auth="user:a password")
        wait = asyncio.create_task(until_ended(admitted, run))
        await asyncio.sleep(0.5)
        state = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
        await asyncio.to_thread(server.request, "POST", f"/flow_runs/{run.id}/set_state", state)
        assert (await wait).state_type == "COMPLETED"
        with pytest.raises(errors.PrefectUnauthorised):
            await until_ended(PrefectConnection(server.api_url, basic_auth="user:wrong"), run)
    finally:
        await asyncio.to_thread(server.stop)


def _scheduled_run(server: LivePrefect) -> FlowRun:
    flow = server.request("POST", "/flows/", {"name": "by-hand"})
    return FlowRun.parse(server.request("POST", "/flow_runs/", {"flow_id": flow["id"]}))


async def test_the_socket_ends_a_wait_long_before_the_next_reconciling_read(
    client: PrefectClient, tmp_path: Path, requests_sent: Counter[str]
) -> None:
    never_again = WaitingPolicy(reconcile_seconds=3600.0, reconcile_without_socket_seconds=3600.0)
    shared = waiting.SharedWaiting(client.connection, never_again)
    marker = tmp_path / "go"
    run = running(client, start(client, "hold/t", path=str(marker)))
    readings = shared.follow(run.id)
    assert (await anext(readings)).state_type == "RUNNING"
    async with asyncio.timeout(PATIENCE_SECONDS):
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        await asyncio.to_thread(marker.touch)
        assert (await anext(readings)).state_type == "COMPLETED"
    await readings.aclose()
    assert requests_sent["/flow_runs/filter"] <= 3
