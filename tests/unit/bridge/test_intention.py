"""One intention has one run that answers it, whatever was started for it before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.intention import AirflowIntention, Attach, Intention, RetryInPlace, Start, resume
from bridge.prefect_api.records import FlowRun

INTENTION = Intention("train/products", ("dag", "run", "task", "-1", "0"))
STATES = st.sampled_from(["SCHEDULED", "RUNNING", "COMPLETED", "FAILED", "CRASHED", "CANCELLED", "PAUSED", "NEW"])


def flow_run(state_type: str) -> FlowRun:
    return FlowRun.parse({"id": state_type, "name": "n", "state": {"type": state_type, "name": state_type}})


def found(states: list[str]) -> dict[str, FlowRun]:
    return {INTENTION.generation_key(n): flow_run(state) for n, state in enumerate(states)}


def test_nothing_found_starts_the_first_generation() -> None:
    assert resume(INTENTION, {}, 3) == Start(INTENTION.generation_key(0))


@pytest.mark.parametrize("state", ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING", "COMPLETED"])
def test_a_run_that_lives_or_succeeded_is_attached_to(state: str) -> None:
    assert resume(INTENTION, found([state]), 1) == Attach(flow_run(state))


@pytest.mark.parametrize("state", ["FAILED", "CRASHED", "CANCELLED"])
def test_a_run_that_ended_badly_makes_room_for_the_next(state: str) -> None:
    assert resume(INTENTION, found([state]), 1) == Start(INTENTION.generation_key(1))


@given(st.lists(STATES, max_size=6))
def test_a_key_is_never_used_twice(states: list[str]) -> None:
    decision = resume(INTENTION, found(states), max(1, len(states)))
    if isinstance(decision, Start):
        assert decision.key not in found(states)
    else:
        assert decision.run.state_type not in {"FAILED", "CRASHED", "CANCELLED"}


def test_the_key_is_stable_over_releases() -> None:
    assert INTENTION.key == "bridge-411bc45a58f5474cb05d2b2bd6920e4e90149ef0"


@given(st.lists(st.text(max_size=4), min_size=2, max_size=5), st.integers(0, 3))
def test_parts_of_a_scope_cannot_be_shifted_into_one_another(parts: list[str], cut: int) -> None:
    joined = [*parts[:cut], "".join(parts[cut : cut + 2]), *parts[cut + 2 :]]
    if joined != parts:
        assert Intention("d", tuple(parts)).key != Intention("d", tuple(joined)).key


def test_a_run_that_was_cancelled_is_not_retried_in_place() -> None:
    decision = resume(INTENTION, found(["CANCELLED"]), 2, "retry_in_place")
    assert decision == Start(INTENTION.generation_key(1))


@pytest.mark.parametrize("state", ["FAILED", "CRASHED"])
def test_the_newest_failed_run_is_retried_in_place_where_that_was_chosen(state: str) -> None:
    runs = {INTENTION.generation_key(0): flow_run("FAILED"), INTENTION.generation_key(1): flow_run(state)}
    for generations in (2, 3):
        decision = resume(INTENTION, runs, generations, "retry_in_place")
        assert decision == RetryInPlace(runs[INTENTION.generation_key(1)])
    assert resume(INTENTION, {}, 2, "retry_in_place") == Start(INTENTION.generation_key(0))
    assert resume(INTENTION, found(["RUNNING"]), 2, "retry_in_place") == Attach(flow_run("RUNNING"))


def of_task(epoch: int, tries: int = 1) -> AirflowIntention:
    began = "2026-01-05T07:00:00+00:00"
    return AirflowIntention("a/b", "d", "r", began, "t", map_index=-1, epoch=epoch, tries=tries)


def test_a_clear_moves_the_epoch_and_with_it_the_key() -> None:
    assert of_task(epoch=0).now.key != of_task(epoch=1).now.key


@pytest.mark.parametrize(
    "other", [{"dag_id": "e"}, {"run_id": "s"}, {"begun": "now"}, {"task_id": "u"}, {"map_index": 3}]
)
def test_the_scope_of_a_retry_is_its_own_task_instance(other: dict[str, Any]) -> None:
    mine, theirs = of_task(epoch=1, tries=3), replace(of_task(epoch=1, tries=3), **other)
    assert not {*mine.keys, *mine.superseded_keys} & {*theirs.keys, *theirs.superseded_keys}


def test_a_first_try_supersedes_nothing_however_many_retries_it_has() -> None:
    assert of_task(epoch=3, tries=1).superseded_keys == []


def test_a_run_that_lives_is_found_behind_one_that_was_deleted() -> None:
    later = {INTENTION.generation_key(1): flow_run("RUNNING")}
    assert resume(INTENTION, later, 3) == Attach(flow_run("RUNNING"))


def test_a_clear_supersedes_every_run_of_every_epoch_before_and_none_of_its_own() -> None:
    cleared = of_task(epoch=2, tries=4)
    of_before = {key for epoch in (0, 1) for key in of_task(epoch).now.generation_keys(4)}
    assert set(cleared.superseded_keys) == of_before
    assert not of_before & set(cleared.keys)
