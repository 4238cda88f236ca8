"""However many wait, one socket and one batched read serve them; a socket is an optimisation, never a requirement."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from bridge import errors
from bridge.contracts import RESULT_ARTIFACT_KEY
from bridge.prefect_api import exchange
from bridge.prefect_api.batches import LOGS_PAGE, read_log_page, read_page
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, state_changes
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.verdict import Live, judge
from bridge.waiting.shared import SharedWaiting, WaitingPolicy, shared_waiting
from tests.live_prefect import LivePrefect, wait_until

QUICK = WaitingPolicy(reconcile_seconds=5.0, reconcile_without_socket_seconds=0.5, reconnect_seconds=0.2)
PATIENCE_SECONDS = 60


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often each path was asked for, and how often a socket was opened, by this process."""
    counted: Counter[str] = Counter()
    send = AsyncPrefectClient._send

    async def counting(self: AsyncPrefectClient, request: exchange.Request) -> object:
        counted[request.path] += 1
        return await send(self, request)

    def opening(*arguments: object) -> AsyncGenerator[StateChange, None]:
        counted["socket"] += 1
        return state_changes(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(AsyncPrefectClient, "_send", counting)
    monkeypatch.setattr("bridge.waiting.shared.state_changes", opening)
    return counted


async def until_ended(connection: PrefectConnection, flow_run_id: str, followed: asyncio.Barrier | None = None) -> str:
    """The state type in which the run ended; `followed` is met once it is known to be waited for."""
    readings = shared_waiting(connection, QUICK).follow(flow_run_id)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for reading in readings:
                assert isinstance(reading, FlowRun)
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
    assert sent["/flow_runs/filter"] <= 10


async def no_socket(*_: object) -> AsyncGenerator[StateChange, None]:
    raise errors.PrefectUnreachable("the proxy knows no web sockets")
    yield StateChange("", "", "", datetime.now(UTC))


async def test_without_a_socket_the_waits_end_all_the_same(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.waiting.shared.state_changes", no_socket)
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand() for _ in range(5)])
    async with waits(client.connection, runs) as tasks:
        await asyncio.to_thread(lambda: [prefect.put_state(run, "FAILED") for run in runs])
        assert set(await asyncio.gather(*tasks)) == {"FAILED"}
    assert sent["socket"] == 0


async def test_a_fault_of_our_own_reaches_every_wait(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> AsyncGenerator[StateChange, None]:
        raise ZeroDivisionError("a defect")
        yield StateChange("", "", "", datetime.now(UTC))

    monkeypatch.setattr("bridge.waiting.shared.state_changes", broken)
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


NEVER_AGAIN = WaitingPolicy(reconcile_seconds=3600.0, reconcile_without_socket_seconds=3600.0, log_seconds=0.5)
"""After the first readings, events alone tell."""


async def test_the_socket_ends_a_wait_without_a_request_and_tells_what_the_api_says(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str]
) -> None:
    shared = SharedWaiting(client.connection, NEVER_AGAIN)
    run = await asyncio.to_thread(prefect.run_by_hand, "PENDING")
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(shared.follow(run)) as readings:
        assert _run(await anext(readings)).state_type == "PENDING"
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        due = shared._reconciling
        await asyncio.to_thread(wait_until, lambda: due._reconciled_at > 0 and not due._newcomers, "all was read")
        asked = sent["/flow_runs/filter"]
        for state_type in ("RUNNING", "FAILED"):
            await asyncio.to_thread(prefect.put_state, run, state_type)
            told = _run(await anext(readings))
            assert told.state_type == state_type
            assert sent["/flow_runs/filter"] == asked
            confirmed = await shared.confirm(run)
            asked = sent["/flow_runs/filter"]
            assert told.state_timestamp == confirmed.state_timestamp, "or each change would be told twice"
            assert (told.state_name, told.state_message) == (confirmed.state_name, confirmed.state_message)


async def test_a_reading_for_changes_gives_those_runs_alone(client: PrefectClient, prefect: LivePrefect) -> None:
    made = ["RUNNING", "RUNNING", "COMPLETED", "CRASHED"]
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand(each) for each in made])
    changes = await asyncio.to_thread(client.run, read_page(runs, "RUNNING"))
    assert set(changes.runs) == set(runs[2:])
    assert not changes.spoilt
    assert set((await asyncio.to_thread(client.run, read_page(runs))).runs) == set(runs)


async def test_confirmations_and_results_of_many_runs_share_their_requests(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str]
) -> None:
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand("COMPLETED") for _ in range(10)])

    def publish() -> None:
        for number, run in enumerate(runs[:9]):
            for data in ({"n": -1}, {"n": number}):  # the last one counts
                artifact = {"key": RESULT_ARTIFACT_KEY, "flow_run_id": run, "type": "result", "data": data}
                prefect.request("POST", "/artifacts/", artifact)

    await asyncio.to_thread(publish)
    shared = SharedWaiting(client.connection, NEVER_AGAIN)
    async with asyncio.timeout(PATIENCE_SECONDS):
        confirmed = await asyncio.gather(*(shared.confirm(run) for run in runs))
        results = await asyncio.gather(*(shared.result_of(run) for run in runs))
    assert [run.id for run in confirmed] == runs
    assert results == [*({"n": number} for number in range(9)), None]
    assert sent == {"/flow_runs/filter": 1, "/artifacts/filter": 1}


async def test_logs_of_many_runs_come_once_and_in_order_by_few_requests(
    client: PrefectClient, prefect: LivePrefect, sent: Counter[str]
) -> None:
    runs = await asyncio.to_thread(lambda: [prefect.run_by_hand("RUNNING") for _ in range(5)])
    begin = datetime.now(UTC)

    def write(*seconds: float) -> None:
        lines = [
            {
                "name": "prefect.flow_runs",
                "level": 20,
                "message": f"at {second:g}",
                "timestamp": (begin + timedelta(seconds=second)).isoformat(),
                "flow_run_id": run,
            }
            for run in runs
            for second in seconds
        ]
        prefect.request("POST", "/logs/", lines)

    shared = SharedWaiting(client.connection, NEVER_AGAIN)
    # more than a page: 5 runs of 50 lines, in the order of their times
    await asyncio.to_thread(write, *(number / 100 for number in range(50)))

    async def lines_of(run: str, wrote: asyncio.Barrier) -> list[str]:
        told: list[str] = []
        async with aclosing(shared.follow(run, with_log=True)) as news:
            async for said in news:
                if isinstance(said, FlowRun):
                    if said.state_type == "COMPLETED":
                        break
                    continue
                told += [line.message for line in said]
                if len(told) == 50:
                    await wrote.wait()
        return told

    wrote = asyncio.Barrier(len(runs) + 1)
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
        following = [group.create_task(lines_of(run, wrote)) for run in runs]
        await wrote.wait()
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        await asyncio.to_thread(write, 0.7, 0.6, -3.0)  # the last one is late
        await asyncio.to_thread(lambda: [prefect.put_state(run, "COMPLETED") for run in runs])
    expected = [f"at {number / 100:g}" for number in range(50)] + ["at -3", "at 0.6", "at 0.7"]
    assert [task.result() for task in following] == [expected] * len(runs)


async def test_the_logs_of_a_thousand_runs_are_one_request(client: PrefectClient, prefect: LivePrefect) -> None:
    ids = [str(uuid4()) for _ in range(LOGS_PAGE)]
    assert await asyncio.to_thread(client.run, read_log_page(ids, after=datetime.now(UTC))) == []


def _run(said: FlowRun | Sequence[LogLine]) -> FlowRun:
    assert isinstance(said, FlowRun)
    return said


async def test_behind_basic_auth_a_wait_survives_the_servers_death_and_strangers_are_not_let_in(
    mortal: LivePrefect,
) -> None:
    admitted = PrefectConnection(mortal.api_url, basic_auth=mortal.basic_auth)
    run = await asyncio.to_thread(mortal.run_by_hand)
    async with waits(admitted, [run]) as [wait]:
        shared = shared_waiting(admitted)
        await asyncio.to_thread(wait_until, lambda: shared.listening, "the subscription stands")
        for stranger in (PrefectConnection(mortal.api_url), PrefectConnection(mortal.api_url, basic_auth="user:no")):
            with pytest.raises(errors.PrefectUnauthorised):
                await until_ended(stranger, run)
            with pytest.raises(errors.PrefectUnauthorised):
                await anext(state_changes(stranger, None, lambda: None))
        await asyncio.to_thread(mortal.kill)
        await asyncio.to_thread(mortal.start)
        await asyncio.to_thread(mortal.put_state, run, "COMPLETED")
        assert await wait == "COMPLETED"
