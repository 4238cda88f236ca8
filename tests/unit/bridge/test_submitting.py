"""One intention, one run: found or started, by as few requests as it takes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.intention import Intention
from bridge.prefect_api.exchange import Answer, Operation
from bridge.prefect_api.records import DeploymentRecord
from bridge.prefect_api.wire import Submission
from bridge.submitting import CANCELLATION_SECONDS, cancel_by_keys, submit

RECORD = DeploymentRecord.parse({"id": "d1", "name": "products", "flow_id": "f1"})
MEANT = Intention("train/products", ("dag", "run", "task", "-1", "0"))


def run(state_type: str, generation: int = 0, run_id: str = "r") -> dict[str, Any]:
    key = MEANT.generation_key(generation)
    state = {"type": state_type, "name": state_type.title()}
    return {"id": f"{run_id}{generation}", "name": "n", "idempotency_key": key, "state": state}


def exchange(operation: Operation[Any], answers: Iterable[Answer]) -> tuple[Any, list[str]]:
    """What came of it, and the end of each path that was asked."""
    pending, asked = iter(answers), []
    try:
        request = next(operation)
        while True:
            asked.append(request.path.rsplit("/", 1)[-1])
            request = operation.send(next(pending))
    except StopIteration as stop:
        return stop.value, asked


def submitted(answers: Iterable[Answer], **how: Any) -> tuple[Any, list[str]]:
    return exchange(submit(RECORD, MEANT, Submission({}), **how), answers)


def test_a_first_try_takes_one_request() -> None:
    found, asked = submitted([Answer(201, run("SCHEDULED"))])
    assert (found.how, found.run.id, asked) == ("started", "r0", ["create_flow_run"])


def test_a_first_try_is_handed_the_run_that_its_key_has_already() -> None:
    for state in ("RUNNING", "COMPLETED"):
        found, asked = submitted([Answer(200, run(state))])
        assert (found.how, found.attached, asked) == ("attached", True, ["create_flow_run"])


def test_a_first_try_whose_key_has_failed_already_starts_the_next_generation() -> None:
    found, asked = submitted([Answer(200, run("FAILED")), Answer(201, run("SCHEDULED", 1))])
    assert (found.how, found.run.id) == ("started", "r1")
    assert asked == ["create_flow_run", "create_flow_run"]


def test_a_run_that_is_being_cancelled_is_no_answer_and_its_end_is_waited_for() -> None:
    answers = [
        Answer(200, [run("CANCELLING")]),
        Answer(200, run("CANCELLING")),
        Answer(200, run("CANCELLED")),
        Answer(201, run("SCHEDULED", 1)),
    ]
    found, asked = submitted(answers, generations=2)
    assert (found.how, found.run.id) == ("started", "r1")
    assert asked == ["filter", "r0", "r0", "create_flow_run"]


def test_a_cancellation_that_does_not_end_holds_the_next_run_up_for_a_while_only() -> None:
    stuck = [Answer(200, run("CANCELLING"))] * int(CANCELLATION_SECONDS / 0.5)
    found, _ = submitted([Answer(200, [run("CANCELLING")]), *stuck, Answer(201, run("SCHEDULED", 1))], generations=2)
    assert found.run.id == "r1"


def test_a_retry_looks_before_it_starts() -> None:
    found, asked = submitted([Answer(200, [run("RUNNING")])], generations=2)
    assert (found.how, asked) == ("attached", ["filter"])


def test_a_retry_in_place_schedules_the_same_run_again() -> None:
    answers = [
        Answer(200, [run("FAILED")]),
        Answer(200, run("FAILED")),
        Answer(200, {"status": "ACCEPT"}),
        Answer(200, run("SCHEDULED")),
    ]
    found, asked = submitted(answers, generations=2, after_failure="retry_in_place")
    assert (found.how, found.run.id, found.attached) == ("retried", "r0", False)
    assert asked == ["filter", "r0", "set_state", "r0"]


def test_only_runs_that_live_are_cancelled() -> None:
    rows = [run("COMPLETED", 0), run("RUNNING", 1), run("FAILED", 2)]
    answers = [Answer(200, rows), Answer(200, {"status": "ACCEPT"}), Answer(200, run("CANCELLING", 1))]
    cancelled, asked = exchange(cancel_by_keys(MEANT.generation_keys(3)), answers)
    assert [each.id for each in cancelled] == ["r1"]
    assert asked == ["filter", "set_state", "r1"]


@pytest.mark.parametrize(("crashed_seconds_ago", "how"), [(1, "attached"), (60, "started")])
def test_a_retry_waits_for_a_run_that_crashed_a_moment_ago(crashed_seconds_ago: int, how: str) -> None:
    crashed = run("CRASHED")
    crashed["state"]["timestamp"] = (datetime.now(UTC) - timedelta(seconds=crashed_seconds_ago)).isoformat()
    answers = [Answer(200, [crashed]), Answer(201, run("SCHEDULED", 1))]
    found, _ = submitted(answers, generations=2, crash_grace_seconds=30.0)
    assert found.how == how
