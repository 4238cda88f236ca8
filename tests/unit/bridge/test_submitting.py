"""One intention, one run: found or started, by as few requests as it takes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.intention import AfterFailure, Intention
from bridge.prefect_api.exchange import Answer, Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import TAKEN_BACK_MESSAGE, Submission
from bridge.submitting import CANCELLATION_SECONDS, Claim, answer_of, cancel_live, spend_key, submit

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


def answered(
    runs: list[dict[str, Any]], answers: Iterable[Answer] = (), after_failure: AfterFailure = "start_afresh"
) -> tuple[Any, list[str]]:
    found = [FlowRun.parse(run) for run in runs]
    return exchange(answer_of(found, after_failure, crash_grace_seconds=30.0), answers)


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
    found, asked = answered([run("CANCELLING")], [Answer(200, run("CANCELLING")), Answer(200, run("CANCELLED"))])
    assert found is None
    assert asked == ["r0", "r0"]


def test_a_cancellation_that_does_not_end_holds_the_next_run_up_for_a_while_only() -> None:
    stuck = [Answer(200, run("CANCELLING"))] * int(CANCELLATION_SECONDS / 0.5)
    found, _ = answered([run("CANCELLING")], stuck)
    assert found is None


def test_a_run_that_is_found_is_attached_to_without_a_further_question() -> None:
    found, asked = answered([run("RUNNING")])
    assert (found.how, asked) == ("attached", [])


def test_a_retry_in_place_schedules_the_same_run_again() -> None:
    taken = Answer(200, {"results": [{"status": "ACCEPT", "details": {}}]})
    answers = [Answer(200, run("FAILED")), taken, Answer(200, run("SCHEDULED"))]
    found, asked = answered([run("FAILED")], answers, "retry_in_place")
    assert (found.how, found.run.id, found.attached) == ("retried", "r0", False)
    assert asked == ["r0", "bulk_set_state", "r0"]


def test_only_runs_that_live_are_cancelled() -> None:
    runs = [FlowRun.parse(each) for each in (run("COMPLETED", 0), run("RUNNING", 1), run("FAILED", 2))]
    answers = [Answer(200, {"status": "ACCEPT"}), Answer(200, run("CANCELLING", 1))]
    cancelled, asked = exchange(cancel_live(runs), answers)
    assert [each.id for each in cancelled] == ["r1"]
    assert asked == ["set_state", "r1"]


@pytest.mark.parametrize(("crashed_seconds_ago", "answers"), [(1, True), (60, False)])
def test_a_retry_waits_for_a_run_that_crashed_a_moment_ago(crashed_seconds_ago: int, answers: bool) -> None:
    crashed = run("CRASHED")
    crashed["state"]["timestamp"] = (datetime.now(UTC) - timedelta(seconds=crashed_seconds_ago)).isoformat()
    found, _ = answered([crashed])
    assert (found is not None) == answers


CLAIM = Claim(("dag:d",), "http://airflow.test/dags/d", "me", MEANT)
DEPLOYED = Answer(200, {"id": "d1", "name": "products", "flow_id": "f1"})


def test_a_key_that_is_spent_starts_nothing() -> None:
    cancelled, asked = exchange(spend_key(CLAIM), [DEPLOYED, Answer(201, run("CANCELLED"))])
    assert (cancelled, asked) == ([], ["products", "create_flow_run"])


def test_a_creation_that_came_first_is_cancelled() -> None:
    answers = [
        DEPLOYED,
        Answer(200, run("SCHEDULED")),
        Answer(200, {"status": "REJECT"}),
        Answer(200, run("CANCELLED")),
    ]
    [cancelled], _ = exchange(spend_key(CLAIM), answers)
    assert cancelled.state_type == "CANCELLED"


def test_the_key_behind_those_that_failed_is_spent() -> None:
    answers = [DEPLOYED, Answer(200, run("FAILED")), Answer(201, run("CANCELLED", 1))]
    cancelled, asked = exchange(spend_key(CLAIM), answers)
    assert (cancelled, asked) == ([], ["products", "create_flow_run", "create_flow_run"])


def test_a_key_that_another_has_spent_is_spent_once() -> None:
    taken_back = run("CANCELLED")
    taken_back["state"]["message"] = TAKEN_BACK_MESSAGE
    cancelled, asked = exchange(spend_key(CLAIM), [DEPLOYED, Answer(200, taken_back)])
    assert (cancelled, asked) == ([], ["products", "create_flow_run"])


def test_a_deployment_that_is_gone_can_start_nothing() -> None:
    gone = Answer(404, {"detail": "Deployment not found"})
    assert exchange(spend_key(CLAIM), [gone]) == ([], ["products"])


def test_runs_of_another_airflow_are_nobodys_here() -> None:
    unknown = replace(CLAIM, identity=None)
    mine = FlowRun.parse(run("RUNNING") | {"labels": {"airflow.url": "http://airflow.test/dags/d/runs/r"}})
    theirs = FlowRun.parse(run("RUNNING") | {"labels": {"airflow.url": "http://other.test/dags/d/runs/r"}})
    assert (unknown.holds(mine), unknown.holds(theirs)) == (True, False)
    assert not CLAIM.holds(mine)
