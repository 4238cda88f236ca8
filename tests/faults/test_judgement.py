"""What the judge makes of histories, right and wrong ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.judgement import RunHistory, Surroundings, TaskHistory, judge_run

BEGAN = datetime(2026, 11, 2, tzinfo=UTC)
RESULT = {"a": 1}


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def run(name: str, begins: float, *states: tuple[float, str], result: Any = None, holds: Any = "yes") -> RunHistory:
    """A run with its states and the seconds at which it came into them."""
    past = [(at(when), kind, kind.title()) for when, kind in states]
    return RunHistory(name, at(begins), past, result, holds)


def done(name: str = "done", begins: float = 0, result: Any = None, holds: Any = "yes") -> RunHistory:
    return run(name, begins, (begins, "SCHEDULED"), (begins + 5, "COMPLETED"), result=result, holds=holds)


def failed(name: str = "failed", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "SCHEDULED"), (begins + 5, "FAILED"))


def cancelled(name: str = "cancelled", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "RUNNING"), (begins + 5, "CANCELLING"), (begins + 8, "CANCELLED"))


def taken_back(name: str = "taken back", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "CANCELLED"))


def short(name: str = "short", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "SCHEDULED"), (begins + 2, "CANCELLED"))


def living(name: str = "living", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "RUNNING"))


def told(state: str, **more: Any) -> TaskHistory:
    return TaskHistory(**{"state": state, "xcom": None, "attempts_left": False, **more})


@pytest.mark.parametrize(
    ("task", "runs"),
    [
        (told("success"), [done()]),
        (told("success", xcom={"a": 1}), [failed(), done(begins=6, result={"a": 1})]),
        (told("failed"), [failed(), failed("again", begins=6)]),
        (told("failed", set_by_hand="failed"), [cancelled()]),
        (told("failed", set_by_hand="failed"), []),
        (told("success", asked_afresh_at=(at(4),)), [cancelled(), done(begins=6)]),
        (told("success", asked_afresh_at=(at(7),)), [done("before"), done(begins=8)]),
        (told("success", set_by_hand="success"), [cancelled()]),
        (told("success", asked_afresh_at=(at(4),)), [cancelled(), taken_back(begins=6), done(begins=7)]),
        (told("success", asked_afresh_at=(at(6), at(12))), [done("a"), done("b", 7), done("c", 13)]),
        (told("success", asked_afresh_at=(at(1),)), [short(begins=2), done(begins=3)]),
        (told("success", waits=False, xcom={"flow_run_id": "living"}), [living()]),
        (told("success"), [replace(done("a"), deployment="old"), replace(done("b", 6), deployment="new")]),
        (told("success"), [replace(cancelled("a"), deployment="old"), replace(done("b", 9), deployment="new")]),
        (told("failed", may_not_start=True), []),
        (told("failed", error="its result is no JSON"), [done(holds="no")]),
        (told("failed", error="its result is too large"), [done(result=RESULT, holds="perhaps")]),
        (told("success", xcom=RESULT), [done(result=RESULT, holds="perhaps")]),
        (told("failed", attempts_left=True, may_not_start=True), [failed()]),
        (told("failed", cancelled_elsewhere=frozenset({"cancelled"})), [cancelled()]),
    ],
)
def test_what_is_right_is_not_found_fault_with(task: TaskHistory, runs: list[RunHistory]) -> None:
    assert judge_run(task, runs) == []


@pytest.mark.parametrize(
    ("task", "runs", "count"),
    [
        (told("success"), [failed(), done(begins=3)], "duplicates"),
        (told("success"), [done("before"), done(begins=8)], "duplicates"),
        (told("failed", set_by_hand="failed"), [living()], "orphans"),
        (told("success"), [done(result={"a": 1})], "lost results"),
        (told("success", xcom={"a": 1}), [done(result={"a": 2})], "lost results"),
        (told("success"), [failed()], "wrong verdicts"),
        (told("success"), [], "wrong verdicts"),
        (told("skipped"), [done()], "wrong verdicts"),
        (told("failed"), [done()], "wrong verdicts"),
        (told("failed"), [], "wrong verdicts"),
        (told("failed", attempts_left=True), [failed()], "wrong verdicts"),
        (told("failed"), [cancelled()], "wrong verdicts"),
        (told("success"), [cancelled("a"), done("b", 9)], "wrong verdicts"),
        (told("deferred"), [done()], "wrong verdicts"),
        (told("failed", set_by_hand="success"), [cancelled()], "wrong verdicts"),
        (told("success", asked_afresh_at=(at(7),)), [done()], "wrong verdicts"),
        (told("success", asked_afresh_at=(at(7),)), [done("a"), done("b", 8), done("c", 14)], "duplicates"),
        (told("success", waits=False, xcom={"flow_run_id": "b"}), [living("a"), living("b", 3)], "duplicates"),
        (told("success", waits=False, xcom={"flow_run_id": "a"}), [cancelled("a"), living("b", 9)], "lost results"),
        (told("success"), [done(holds="no")], "wrong verdicts"),
        (told("failed", error="AirflowRuntimeError"), [done(holds="no")], "wrong verdicts"),
    ],
)
def test_what_is_wrong_is_counted(task: TaskHistory, runs: list[RunHistory], count: str) -> None:
    assert count in {finding.count for finding in judge_run(task, runs)}


@pytest.mark.parametrize(
    ("around", "count"),
    [
        (Surroundings(neighbours=[cancelled("another member's")]), "wrong verdicts"),
        (Surroundings(strayed=1), "wrong verdicts"),
        (Surroundings(endured=1), "wrong verdicts"),
        (Surroundings(missing_lines=["a line"]), "lost results"),
        (Surroundings(doubled_lines=["a line"]), "lost results"),
    ],
)
def test_what_happened_beside_the_task_is_counted(around: Surroundings, count: str) -> None:
    assert {finding.count for finding in judge_run(told("success"), [done()], around)} == {count}


def test_a_neighbour_that_lives_is_nobodys_orphan() -> None:
    assert judge_run(told("success"), [done()], Surroundings(neighbours=[living("another member's")])) == []
