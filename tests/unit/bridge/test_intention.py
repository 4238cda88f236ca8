"""One intention has one run that answers it, whatever was started for it before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.intention import Attach, Intention, RetryInPlace, Start, resume
from bridge.prefect_api.records import FlowRun

INTENTION = Intention("train/products", ("dag", "run", "task", "-1", "0"))
STATES = st.sampled_from(["SCHEDULED", "RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED", "NEW"])


def flow_run(state_type: str) -> FlowRun:
    return FlowRun.parse({"id": state_type, "name": "n", "state": {"type": state_type, "name": state_type}})


def found(*states: str) -> list[FlowRun]:
    return [flow_run(state) for state in states]


def test_nothing_found_starts_the_first() -> None:
    assert resume([]) == Start()


@pytest.mark.parametrize("state", ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED"])
def test_a_run_that_lives_or_succeeded_is_attached_to(state: str) -> None:
    assert resume(found(state)) == Attach(flow_run(state))


@pytest.mark.parametrize("state", ["FAILED", "CRASHED", "CANCELLED"])
def test_a_run_that_ended_badly_makes_room_for_the_next(state: str) -> None:
    assert resume(found(state)) == Start()


@given(st.lists(STATES, max_size=6))
def test_a_run_is_started_only_where_all_have_ended_badly(states: list[str]) -> None:
    decision = resume(found(*states))
    ended_badly = {"FAILED", "CRASHED", "CANCELLED", "NEW"}
    assert isinstance(decision, Start) == (set(states) <= ended_badly)


def test_the_key_is_stable_over_releases() -> None:
    assert INTENTION.key == "bridge-411bc45a58f5474cb05d2b2bd6920e4e90149ef0"


@given(st.lists(st.text(max_size=4), min_size=2, max_size=5), st.integers(0, 3))
def test_parts_of_a_scope_cannot_be_shifted_into_one_another(parts: list[str], cut: int) -> None:
    joined = [*parts[:cut], "".join(parts[cut : cut + 2]), *parts[cut + 2 :]]
    if joined != parts:
        assert Intention("d", tuple(parts)).key != Intention("d", tuple(joined)).key


def test_a_run_that_was_cancelled_is_not_retried_in_place() -> None:
    assert resume(found("CANCELLED"), "retry_in_place") == Start()


@pytest.mark.parametrize("state", ["FAILED", "CRASHED"])
def test_the_newest_failed_run_is_retried_in_place_where_that_was_chosen(state: str) -> None:
    assert resume(found("FAILED", state), "retry_in_place") == RetryInPlace(flow_run(state))
    assert resume([], "retry_in_place") == Start()
    assert resume(found("RUNNING"), "retry_in_place") == Attach(flow_run("RUNNING"))


def test_a_run_that_lives_is_found_behind_one_that_failed_later() -> None:
    assert resume(found("RUNNING", "FAILED")) == Attach(flow_run("RUNNING"))
