"""One intention has one run that answers it, whatever was started for it before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.intention import Attach, Intention, Start, airflow_intention, resume
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


def test_a_clear_moves_the_epoch_and_with_it_the_key() -> None:
    task = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    assert airflow_intention("a/b", **task, epoch=0).key != airflow_intention("a/b", **task, epoch=1).key
