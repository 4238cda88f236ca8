"""What waits share must not be a way to forget one of them, nor one's trouble that of the others."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from bridge import errors
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, parse, parse_frame
from bridge.prefect_api.exchange import Answer, Request
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.prefect_api.retrying import Fault
from bridge.prefect_api.wire import ENDED_TYPES
from bridge.waiting.shared import SharedWaiting, WaitingPolicy

CONNECTION = PrefectConnection("http://prefect/api")
QUICK = WaitingPolicy(
    reconcile_seconds=0.2,
    reconcile_without_socket_seconds=0.2,
    request_seconds=0.0,
    request_without_socket_seconds=0.0,
    gather_seconds=0.001,
    spacing_seconds=0.002,
    reconnect_seconds=0.01,
    log_seconds=0.01,
)
NEVER_AGAIN = replace(QUICK, reconcile_seconds=3600.0, reconcile_without_socket_seconds=3600.0)
"""After the first readings, events alone tell."""
PATIENCE_SECONDS = 20
BEGIN = datetime(2026, 1, 5, 7, tzinfo=UTC)


class Prefect:
    """Prefect's answers, and its socket, by hand. Events are told by `say`; faults are put into `answer`."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, Any]] = {}
        self.logs: list[dict[str, Any]] = []
        self.results: dict[str, Any] = {}
        self.asked: list[Request] = []
        self.fault: Callable[[Request], Answer | Fault | None] = lambda _: None
        self.sockets: list[asyncio.Queue[StateChange | Exception]] = []
        self.opened_since: list[datetime | None] = []
        self.begun = datetime.now(UTC)
        """Of lines: logs are asked for from a little before the last reading on."""

    def run(self, state_type: str = "RUNNING", at: int = 0) -> str:
        flow_run_id = str(uuid4())
        self.put(flow_run_id, state_type, at)
        return flow_run_id

    def put(self, flow_run_id: str, state_type: str, at: int = 1) -> None:
        """The run's state from that second on; no event says so."""
        timestamp = (BEGIN + timedelta(seconds=at)).isoformat()
        state = {"type": state_type, "name": state_type.title(), "message": "read", "timestamp": timestamp}
        self.rows[flow_run_id] = {"id": flow_run_id, "name": "a-run", "state": state, "parameters": {"big": "x"}}

    def say(self, flow_run_id: str, state_type: str, at: int = 1) -> None:
        change = StateChange(flow_run_id, state_type, state_type.title(), BEGIN + timedelta(seconds=at), "told")
        self.sockets[-1].put_nowait(change)

    def log(self, flow_run_id: str, message: str, at: float) -> None:
        timestamp = (self.begun + timedelta(seconds=at)).isoformat()
        line = {"id": str(uuid4()), "flow_run_id": flow_run_id, "timestamp": timestamp, "level": 20, "name": "x"}
        self.logs.append({**line, "message": message})

    def answer(self, request: Request) -> Answer | Fault:
        self.asked.append(request)
        return self.fault(request) or Answer(
            200, getattr(self, request.path.strip("/").replace("/", "_"))(request.json)
        )

    def flow_runs_filter(self, asked: dict[str, Any]) -> list[Any]:
        wanted, state = asked["flow_runs"]["id"]["any_"], asked["flow_runs"].get("state")
        rows = [self.rows[each] for each in wanted if each in self.rows]
        unless = state["type"]["not_any_"] if state else []
        return [row for row in rows if row["state"]["type"] not in unless]

    def artifacts_filter(self, asked: dict[str, Any]) -> list[Any]:
        wanted = asked["artifacts"]["flow_run_id"]["any_"]
        return [{"flow_run_id": each, "data": self.results[each]} for each in wanted if each in self.results]

    def logs_filter(self, asked: dict[str, Any]) -> list[Any]:
        after = asked["logs"].get("timestamp", {}).get("after_", "")
        lines = [line for line in self.logs if line["flow_run_id"] in asked["logs"]["flow_run_id"]["any_"]]
        lines = sorted((line for line in lines if line["timestamp"] >= after), key=lambda line: str(line["timestamp"]))
        return lines[asked["offset"] : asked["offset"] + asked["limit"]]

    def asked_for(self, path: str) -> int:
        return sum(request.path == path for request in self.asked)

    async def events(
        self, _: PrefectConnection, since: datetime | None, on_open: Callable[[], None]
    ) -> AsyncGenerator[StateChange, None]:
        queue: asyncio.Queue[StateChange | Exception] = asyncio.Queue()
        self.sockets.append(queue)
        self.opened_since.append(since)
        on_open()
        while True:
            said = await queue.get()
            if isinstance(said, Exception):
                raise said
            yield said


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[Prefect]:
    made = Prefect()

    async def send(_: AsyncPrefectClient, request: Request) -> Answer | Fault:
        return made.answer(request)

    monkeypatch.setattr(AsyncPrefectClient, "_send", send)
    monkeypatch.setattr("bridge.waiting.shared.state_changes", made.events)
    yield made
    gc.collect()  # a task that was destroyed while it waited would say so now


async def within_patience(awaitable: Awaitable[Any]) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable


async def next_reading(readings: AsyncGenerator[FlowRun | Sequence[LogLine], None]) -> FlowRun:
    reading = await within_patience(anext(readings))
    assert isinstance(reading, FlowRun)
    return reading


async def until_ended(shared: SharedWaiting, flow_run_id: str) -> FlowRun:
    async with aclosing(shared.follow(flow_run_id)) as readings:
        while True:
            reading = await next_reading(readings)
            if reading.state_type in ENDED_TYPES:
                return reading


async def settled(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():  # noqa: ASYNC110 — looks into what has no event to wait for
            await asyncio.sleep(0.001)


async def quiet(shared: SharedWaiting) -> None:
    """Return once the first reading and that of the opened socket are over."""
    reconciling = shared._reconciling
    await settled(lambda: shared.listening and reconciling._reconciled_at > 0 and not reconciling._newcomers)
    for _ in range(50):  # the answers by hand need no time, but their turns in the event loop
        await asyncio.sleep(0)


async def test_an_event_is_told_without_a_request(prefect: Prefect) -> None:
    run = prefect.run("SCHEDULED")
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        await quiet(shared)
        asked = prefect.asked_for("/flow_runs/filter")
        prefect.say(run, "RUNNING", at=1)
        running = await next_reading(readings)
        assert (running.state_type, running.start_time) == ("RUNNING", BEGIN + timedelta(seconds=1))
        prefect.say(run, "FAILED", at=2)
        failed = await next_reading(readings)
        assert (failed.state_type, failed.state_message, failed.start_time) == ("FAILED", "told", running.start_time)
        assert failed.end_time == failed.state_timestamp == BEGIN + timedelta(seconds=2)
    assert prefect.asked_for("/flow_runs/filter") == asked


async def test_doubled_and_overtaken_events_are_not_told(prefect: Prefect) -> None:
    run = prefect.run("SCHEDULED")
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        await quiet(shared)
        prefect.say(run, "PENDING", at=2)
        assert (await next_reading(readings)).state_type == "PENDING"
        following = asyncio.create_task(next_reading(readings))
        for state_type, at in [("PENDING", 2), ("SCHEDULED", 1), ("PENDING", 2)]:
            prefect.say(run, state_type, at)
            await asyncio.sleep(0.005)
        assert not following.done()
        prefect.say(run, "RUNNING", at=3)
        assert (await within_patience(following)).state_type == "RUNNING"


async def test_an_event_that_comes_before_the_first_reading_is_not_forgotten(prefect: Prefect) -> None:
    run = prefect.run("RUNNING")
    held = True
    prefect.fault = lambda _: Fault("not yet") if held else None
    wait = asyncio.create_task(until_ended(SharedWaiting(CONNECTION, NEVER_AGAIN), run))
    await settled(lambda: bool(prefect.sockets))
    prefect.say(run, "CRASHED", at=5)
    await asyncio.sleep(0)
    held = False
    assert (await within_patience(wait)).state_type == "CRASHED"


async def test_a_reading_takes_back_what_an_event_said_too_much(prefect: Prefect) -> None:
    run = prefect.run("RUNNING")
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        await quiet(shared)
        prefect.say(run, "COMPLETED", at=1)
        assert (await next_reading(readings)).state_type == "COMPLETED"
        assert (await shared.confirm(run)).state_type == "RUNNING"
        assert (await next_reading(readings)).state_type == "RUNNING"
        prefect.put(run, "COMPLETED", at=1)
        assert (await shared.confirm(run)).state_type == "COMPLETED"
        assert (await next_reading(readings)).state_type == "COMPLETED"


async def test_a_confirmation_gives_an_api_that_lags_a_moment(prefect: Prefect) -> None:
    run = prefect.run("RUNNING")
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        await quiet(shared)
        prefect.say(run, "COMPLETED", at=1)
        await next_reading(readings)
        lagging = prefect.flow_runs_filter

        def committed_now(asked: dict[str, Any]) -> list[Any]:
            answer = lagging(asked)
            prefect.put(run, "COMPLETED", at=1)
            return answer

        prefect.flow_runs_filter = committed_now  # type: ignore[method-assign]
        confirmed = await within_patience(shared.confirm(run))
    assert confirmed.state_type == "COMPLETED"
    assert confirmed.parameters == {"big": "x"}, "a confirmation is whole"


async def test_a_run_whose_event_was_lost_is_found_however_busy_the_others_are(prefect: Prefect) -> None:
    busy, quiet = prefect.run(), prefect.run()
    shared = SharedWaiting(CONNECTION, QUICK)

    async def babble() -> None:
        for at in range(1, 1_000_000):
            await settled(lambda: bool(prefect.sockets))
            prefect.say(busy, "RUNNING", at)
            await asyncio.sleep(0.001)

    noise = asyncio.create_task(babble())
    other = asyncio.create_task(until_ended(shared, busy))
    async with aclosing(shared.follow(quiet)) as readings:
        await next_reading(readings)
        prefect.put(quiet, "COMPLETED")
        assert (await next_reading(readings)).state_type == "COMPLETED"
    noise.cancel()
    other.cancel()


async def test_many_runs_are_asked_for_changes_and_the_deleted_one_is_found(prefect: Prefect) -> None:
    policy = replace(QUICK, reconcile_seconds=0.01, whole_seconds=2.0)
    shared = SharedWaiting(CONNECTION, policy)
    runs = [prefect.run("RUNNING" if number % 2 else "SCHEDULED") for number in range(250)]
    waits = [asyncio.create_task(until_ended(shared, run)) for run in runs]

    def narrow(request: Request) -> bool:
        return "state" in (request.json or {}).get("flow_runs", {})

    await settled(lambda: any(narrow(request) for request in prefect.asked))
    assert sum(not narrow(request) for request in prefect.asked) <= 6, "the newcomers share their readings"
    prefect.put(runs[7], "CANCELLED")
    assert (await within_patience(waits[7])).state_type == "CANCELLED"
    del prefect.rows[runs[8]]
    with pytest.raises(errors.FlowRunLost, match=f"runs/flow-run/{runs[8]}"):
        await within_patience(waits[8])
    assert not any(wait.done() for number, wait in enumerate(waits) if number not in {7, 8})
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


async def test_a_malformed_row_ends_its_own_waits_alone(prefect: Prefect) -> None:
    sound, odd = prefect.run(), prefect.run()
    shared = SharedWaiting(CONNECTION, QUICK)
    neighbour = asyncio.create_task(until_ended(shared, sound))
    async with aclosing(shared.follow(odd)) as readings:
        await next_reading(readings)
        del prefect.rows[odd]["name"]
        with pytest.raises(errors.UnexpectedAnswer, match="name"):
            await next_reading(readings)
    prefect.put(sound, "COMPLETED")
    assert (await within_patience(neighbour)).state_type == "COMPLETED"


async def test_a_row_without_an_id_is_not_taken_for_a_deletion(prefect: Prefect) -> None:
    run = prefect.run()
    shared = SharedWaiting(CONNECTION, QUICK)
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        prefect.rows[run] = {"state": {"type": "RUNNING"}}
        with pytest.raises(errors.UnexpectedAnswer, match="id"):
            await next_reading(readings)


async def test_what_is_no_id_fails_at_once_and_spoils_no_request(prefect: Prefect) -> None:
    shared = SharedWaiting(CONNECTION, QUICK)
    for ask in (anext(shared.follow("a-name")), shared.confirm("a-name"), shared.result_of("a-name")):
        with pytest.raises(errors.FlowRunNotFound, match="'a-name'"):
            await ask
    assert prefect.asked == []


async def test_refused_credentials_end_the_waits_and_who_comes_later_is_served_again(prefect: Prefect) -> None:
    one, two = prefect.run(), prefect.run("COMPLETED")
    shared = SharedWaiting(CONNECTION, QUICK)
    lingering = shared.follow(one)
    await next_reading(lingering)
    prefect.fault = lambda _: Answer(401, None)
    with pytest.raises(errors.PrefectUnauthorised):
        await until_ended(shared, one)
    prefect.fault = lambda _: None
    assert (await until_ended(shared, two)).state_type == "COMPLETED"  # while `lingering` has not looked yet
    with pytest.raises(errors.PrefectUnauthorised):
        await anext(lingering)


async def test_failing_reads_spend_each_followers_own_patience(
    prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.waiting.shared.ATTEMPTS", 1)
    run = prefect.run()
    shared = SharedWaiting(CONNECTION, QUICK)
    patient, hasty = shared.follow(run), shared.follow(run, patience_seconds=0.05)
    await next_reading(patient)
    await next_reading(hasty)
    prefect.fault = lambda _: Answer(503, "locked")
    with pytest.raises(errors.PrefectUnreachable, match=r"has not said for \d+ s how .* HTTP 503"):
        await next_reading(hasty)
    prefect.fault = lambda _: None
    prefect.put(run, "COMPLETED")
    assert (await next_reading(patient)).state_type == "COMPLETED"
    await patient.aclose()


async def test_a_reconnected_socket_asks_for_what_was_missed_and_everything_is_read(prefect: Prefect) -> None:
    run, other = prefect.run(), prefect.run()
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    wait = asyncio.create_task(until_ended(shared, other))
    async with aclosing(shared.follow(run)) as readings:
        await next_reading(readings)
        await quiet(shared)
        prefect.say(run, "PAUSED", at=3)
        await next_reading(readings)
        prefect.put(other, "COMPLETED", at=4)  # while the socket is away
        prefect.sockets[-1].put_nowait(errors.PrefectUnreachable("cut"))
        assert (await within_patience(wait)).state_type == "COMPLETED"
    assert prefect.opened_since == [None, BEGIN + timedelta(seconds=3)]


async def test_who_follows_a_run_that_others_follow_costs_no_request(prefect: Prefect) -> None:
    run = prefect.run()
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    async with aclosing(shared.follow(run)) as first:
        await next_reading(first)
        await quiet(shared)
        asked = prefect.asked_for("/flow_runs/filter")
        for _ in range(10):
            async with aclosing(shared.follow(run)) as further:
                assert (await next_reading(further)).state_type == "RUNNING"
    assert prefect.asked_for("/flow_runs/filter") == asked


async def test_confirmations_and_results_asked_for_together_share_a_request(prefect: Prefect) -> None:
    runs = [prefect.run("COMPLETED") for _ in range(15)]
    prefect.results = {run: {"n": number} for number, run in enumerate(runs[:14])} | {runs[13]: "no object"}
    shared = SharedWaiting(CONNECTION, replace(QUICK, gather_seconds=0.02))
    confirmed = await asyncio.gather(*(shared.confirm(run) for run in runs))
    results = await asyncio.gather(*(shared.result_of(run) for run in runs), return_exceptions=True)
    assert [run.id for run in confirmed] == runs
    assert results[:13] == [{"n": number} for number in range(13)]
    assert isinstance(results[13], errors.ResultInvalid)
    assert results[14] is None
    assert len(prefect.asked) == 2
    assert shared._client is None, "asked outside of any wait, it leaves nothing open"


async def test_the_confirmation_of_a_deleted_run_says_so(prefect: Prefect) -> None:
    gone = str(uuid4())
    with pytest.raises(errors.FlowRunLost, match=gone):
        await SharedWaiting(CONNECTION, QUICK).confirm(gone)


async def test_log_lines_come_once_in_order_and_before_the_end(prefect: Prefect) -> None:
    run, other = prefect.run(), prefect.run()
    shared = SharedWaiting(CONNECTION, NEVER_AGAIN)
    prefect.log(run, "too early", at=-60)
    prefect.log(run, "one", at=1)
    prefect.log(other, "another's", at=1)
    told: list[str] = []
    async with aclosing(shared.follow(run, with_log=True, log_after=prefect.begun)) as news:

        async def listen_for(what: str) -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while what not in told:
                    said = await anext(news)
                    told.extend([said.state_type] if isinstance(said, FlowRun) else [line.message for line in said])

        await listen_for("one")
        prefect.log(run, "three", at=3)
        await listen_for("three")
        prefect.log(run, "two, late", at=2)
        prefect.put(run, "COMPLETED", at=5)
        prefect.say(run, "COMPLETED", at=5)
        await listen_for("COMPLETED")
        prefect.log(run, "after the end", at=6)
    told.remove("RUNNING")
    assert told == ["one", "three", "two, late", "COMPLETED"]


async def test_logs_of_all_waits_are_read_together_and_their_trouble_ends_no_wait(prefect: Prefect) -> None:
    runs = [prefect.run() for _ in range(30)]
    shared = SharedWaiting(CONNECTION, replace(NEVER_AGAIN, log_seconds=0.05))
    prefect.fault = lambda request: Answer(500, "no") if request.path == "/logs/filter" else None

    async def until_line(run: str) -> str:
        async with aclosing(shared.follow(run, with_log=True)) as news:
            async for said in news:
                if not isinstance(said, FlowRun):
                    return said[0].message
        raise AssertionError("follow ends by an error or not at all")

    waits = [asyncio.create_task(until_line(run)) for run in runs]
    await settled(lambda: prefect.asked_for("/logs/filter") > 3)
    prefect.fault = lambda _: None
    for number, run in enumerate(runs):
        prefect.log(run, str(number), at=number)
    asked = prefect.asked_for("/logs/filter")
    assert await within_patience(asyncio.gather(*waits)) == [str(number) for number in range(30)]
    assert prefect.asked_for("/logs/filter") - asked <= 3


async def test_nothing_is_left_running_once_nobody_waits(prefect: Prefect) -> None:
    run = prefect.run("COMPLETED")
    before = asyncio.all_tasks()
    shared = SharedWaiting(CONNECTION, QUICK)
    await until_ended(shared, run)
    left = asyncio.all_tasks() - before
    if left:
        _, running = await asyncio.wait(left, timeout=PATIENCE_SECONDS)
        assert not running
    assert shared._client is None


async def test_who_comes_in_the_moment_in_which_the_last_one_leaves_is_served(prefect: Prefect) -> None:
    shared = SharedWaiting(CONNECTION, QUICK)
    for _ in range(20):
        run = prefect.run("COMPLETED")
        leaving = shared.follow(run)
        await next_reading(leaving)
        coming = asyncio.create_task(until_ended(shared, run))
        await leaving.aclose()
        assert (await within_patience(coming)).state_type == "COMPLETED"


async def test_who_is_cancelled_takes_no_answer_from_the_others(prefect: Prefect) -> None:
    run = prefect.run("COMPLETED")
    shared = SharedWaiting(CONNECTION, replace(QUICK, gather_seconds=0.02))
    asking = [asyncio.create_task(shared.confirm(run)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[0].cancel()
    done = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert [reading.state_type for reading in done[1:] if isinstance(reading, FlowRun)] == ["COMPLETED", "COMPLETED"]


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


@pytest.mark.parametrize(
    "frame", ["", "<html>", "[]", "7", '{"event": 3}', '{"event": {"resource": []}}', b"\xff\xfe", '{"event": [1]}']
)
def test_a_frame_that_is_no_event_is_passed_over(frame: str | bytes) -> None:
    assert parse_frame(frame) is None


@pytest.mark.parametrize("occurred", ["yesterday", None, "2026-01-05T07:00:00"])
def test_an_event_without_a_moment_is_passed_over(occurred: str | None) -> None:
    resource = {"prefect.resource.id": "prefect.flow-run.1", "prefect.state-type": "FAILED"}
    with pytest.raises((ValueError, TypeError)):
        parse({"event": {"occurred": occurred, "resource": resource}})


def test_a_flow_runs_change_is_read_from_its_event() -> None:
    resource = {
        "prefect.resource.id": "prefect.flow-run.1",
        "prefect.state-type": "COMPLETED",
        "prefect.state-name": "Skipped",
        "prefect.state-message": "nothing to do",
    }
    occurred = "2026-01-05T07:00:00+00:00"
    change = parse({"event": {"occurred": occurred, "resource": resource}})
    assert change == StateChange("1", "COMPLETED", "Skipped", datetime.fromisoformat(occurred), "nothing to do")
