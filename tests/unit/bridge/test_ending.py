"""What is said of an end, a cancellation and a run that is out of sight."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge import errors
from bridge.ending import describe_cancellation, never_started, out_of_sight
from bridge.prefect_api.exchange import Answer
from bridge.prefect_api.records import FlowRun, Worker
from bridge.readiness import describe_attendance
from bridge.verdict import is_final, seconds_to_final

MOMENT = datetime(2026, 1, 5, 7, tzinfo=UTC)


def flow_run(state_type: str, name: str = "") -> FlowRun:
    state = {"type": state_type, "name": name or state_type.title(), "timestamp": MOMENT.isoformat()}
    return FlowRun.parse({"id": "r1", "name": "quick-fox", "state": state})


@pytest.mark.parametrize(
    ("state_type", "words"),
    [
        ("CANCELLED", "is cancelled"),
        ("CANCELLING", "still CANCELLING"),
        ("RUNNING", "is Running although it was to be cancelled"),
        ("COMPLETED", "had ended before it could be cancelled: it is Completed"),
        ("FAILED", "had ended before it could be cancelled: it is Failed"),
    ],
)
def test_what_became_of_a_cancellation_is_told_as_it_is(state_type: str, words: str) -> None:
    said = describe_cancellation(flow_run(state_type))
    assert words in said
    assert "'quick-fox'" in said


def test_a_run_out_of_sight_is_named_with_its_page_and_may_be_retried() -> None:
    lost = out_of_sight("r1", "http://p/r1", errors.PrefectUnreachable("Prefect cannot be reached."))
    assert isinstance(lost, errors.FlowRunLost)
    assert lost.retryable
    assert all(part in str(lost) for part in ("r1", "may still run", "cannot be reached", "http://p/r1"))


def test_a_crash_is_final_after_its_grace_and_everything_else_at_once() -> None:
    later = MOMENT + timedelta(seconds=10)
    assert seconds_to_final(flow_run("CRASHED"), 30, later) == 20
    assert not is_final(flow_run("CRASHED"), 30, later)
    assert is_final(flow_run("CRASHED"), 10, later)
    for state_type in ("COMPLETED", "FAILED", "CANCELLED"):
        assert is_final(flow_run(state_type), 30, later)


def test_prefects_clock_says_how_old_a_crash_is_whatever_the_readers_clock_says() -> None:
    crashed = replace(flow_run("CRASHED"), read_at=MOMENT + timedelta(seconds=29))
    for wrong_clock in (MOMENT - timedelta(minutes=10), MOMENT + timedelta(minutes=10)):
        assert seconds_to_final(crashed, 30, wrong_clock) == 1
    set_back = replace(crashed, read_at=MOMENT - timedelta(minutes=10))
    assert seconds_to_final(set_back, 30, MOMENT) == 30


def never_started_in(run: FlowRun, *answers: Answer) -> str:
    """The error's message, where Prefect answers so."""
    asked = never_started(run, "http://p/r1", 120)
    next(asked)
    for answer in answers[:-1]:
        asked.send(answer)
    with pytest.raises(StopIteration) as stop:
        asked.send(answers[-1])
    return str(stop.value.value)


def test_a_pool_that_nobody_polls_is_named_with_the_remedy() -> None:
    waiting = FlowRun.parse({"id": "r1", "name": "quick-fox", "state": {"type": "SCHEDULED"}, "work_pool_name": "gpus"})
    said = never_started_in(waiting, Answer(200, {"name": "gpus", "type": "process"}), Answer(200, []), Answer(200, []))
    assert "work pool 'gpus'" in said
    assert "no worker has ever polled it; remedy: prefect worker start --pool gpus" in said


def test_a_run_whose_process_has_not_begun_sends_people_to_the_workers_log() -> None:
    pending = FlowRun.parse({"id": "r1", "name": "quick-fox", "state": {"type": "PENDING"}})
    assert "look at the worker's log" in never_started_in(
        dataclasses.replace(pending, deployment_id="d"), Answer(418, {"detail": "no"})
    )


def test_how_long_a_pool_has_been_without_a_worker_is_told() -> None:
    heard = datetime.now(UTC) - timedelta(seconds=90)
    offline = Worker.parse({"name": "w", "status": "OFFLINE", "last_heartbeat_time": heard.isoformat()})
    assert re.fullmatch(r"0 worker\(s\) online, last heartbeat (9\d|1\d\d) s ago", describe_attendance([offline]))
