"""A state is judged once, for everybody."""

from __future__ import annotations

import pytest

from bridge import errors
from bridge.prefect_api.records import FlowRun
from bridge.verdict import Completed, Ended, Live, judge

URL = "http://prefect/runs/flow-run/1"


def flow_run(state_type: str, state_name: str = "", message: str = "") -> FlowRun:
    state = {"type": state_type, "name": state_name or state_type.title(), "message": message}
    return FlowRun.parse({"id": "1", "name": "brave-owl", "state": state})


@pytest.mark.parametrize(
    ("state_type", "started"),
    [("SCHEDULED", False), ("PENDING", False), ("RUNNING", True), ("PAUSED", True), ("CANCELLING", True)],
)
def test_a_run_that_has_not_ended_is_live(state_type: str, started: bool) -> None:
    assert judge(flow_run(state_type)) == Live(started=started)


def test_a_run_between_two_attempts_has_started() -> None:
    state = {"type": "SCHEDULED", "name": "AwaitingRetry"}
    document = {"id": "1", "name": "n", "state": state, "start_time": "2026-01-05T07:00:00+00:00"}
    assert judge(FlowRun.parse(document)) == Live(started=True)


def test_only_completed_is_a_success() -> None:
    assert judge(flow_run("COMPLETED")) == Completed()


def test_a_completed_state_named_skipped_bears_its_reason() -> None:
    assert judge(flow_run("COMPLETED", "Skipped", "no champion")) == Completed(skipped_because="no champion")


@pytest.mark.parametrize(
    ("state_type", "kind"),
    [
        ("FAILED", errors.FlowRunFailed),
        ("CRASHED", errors.FlowRunCrashed),
        ("CANCELLED", errors.FlowRunCancelled),
        ("SUSPENDED_BY_A_LATER_VERSION", errors.UnknownState),
    ],
)
def test_every_other_end_is_a_typed_error(state_type: str, kind: type[errors.FlowRunError]) -> None:
    verdict = judge(flow_run(state_type, message="ValueError: boom"), URL)
    assert isinstance(verdict, Ended)
    assert type(verdict.error) is kind
    assert verdict.error.flow_run_id == "1"
    for part in ("brave-owl", "ValueError: boom", URL):
        assert part in str(verdict.error)


def test_a_name_does_not_make_a_success() -> None:
    assert isinstance(judge(flow_run("FAILED", "Completed")), Ended)
