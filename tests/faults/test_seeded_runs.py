"""A short series of fault runs, and what the judge makes of histories; `make test-faults` plays the long series."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.faults.judgement import RunHistory, TaskHistory, judge_run
from tests.faults.kinds import make_plan
from tests.faults.network import PlannedFaults
from tests.faults.run import fault_runs
from tests.faults.scenario import Outcome

SEEDS = (0, 1, 2, 3, 5, 6, 7, 10, 12, 14, 18, 22, 23, 42)
"""Quick ones: no server dies, few deadlines pass."""
BEGAN = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Outcome]]:
    with fault_runs(tmp_path_factory.mktemp("faults"), SEEDS) as coming:
        yield {outcome.seed: outcome for outcome in coming}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_run_is_doubled_orphaned_lost_or_misjudged(outcomes: dict[int, Outcome], seed: int) -> None:
    outcome = outcomes[seed]
    assert not outcome.findings, f"play it again: python -m tests.faults.run --seed {seed}\n{outcome.account}"


def test_a_seed_is_a_plan() -> None:
    plans = [make_plan(seed) for seed in range(200)]
    assert plans == [make_plan(seed) for seed in range(200)]
    faults = [PlannedFaults(plans[4]), PlannedFaults(plans[4])]
    first, second = ([each.for_request(index) for index in range(50)] for each in faults)
    assert first == second


def test_the_long_series_holds_every_kind_of_fault() -> None:
    plans = [make_plan(seed) for seed in range(180)]
    assert {plan.deferrable for plan in plans} == {True, False}
    assert {plan.act.kind for plan in plans if plan.act} == {"fail", "clear", "redistribute"}
    assert len({plan.act.moment.after for plan in plans if plan.act}) == 6
    assert len({ending for plan in plans for ending in plan.endings}) == 9
    assert sum(plan.server_death is not None for plan in plans) == 18
    assert sum(bool(plan.worker_deaths) for plan in plans) > 60
    assert sum(bool(plan.triggerer_deaths) for plan in plans) > 20
    met = {PlannedFaults(plan).for_request(index).kind for plan in plans for index in range(20)}
    assert len(met) == 15


def run(name: str, begins: float, *states: tuple[float, str], result: Any = None) -> RunHistory:
    """A run with its states and the seconds at which it came into them."""
    past = [(BEGAN + timedelta(seconds=when), kind, kind.title()) for when, kind in states]
    return RunHistory(name, BEGAN + timedelta(seconds=begins), past, result)


def done(name: str = "done", begins: float = 0, result: Any = None) -> RunHistory:
    return run(name, begins, (begins, "SCHEDULED"), (begins + 5, "COMPLETED"), result=result)


def failed(name: str = "failed", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "SCHEDULED"), (begins + 5, "FAILED"))


def cancelled(name: str = "cancelled", begins: float = 0) -> RunHistory:
    return run(name, begins, (begins, "RUNNING"), (begins + 5, "CANCELLING"), (begins + 8, "CANCELLED"))


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
        (told("failed", failed_by_hand_at=BEGAN), [cancelled()]),
        (told("failed", failed_by_hand_at=BEGAN), []),
        (told("success", cleared_at=BEGAN + timedelta(seconds=4)), [cancelled(), done(begins=6)]),
        (told("success", cleared_at=BEGAN + timedelta(seconds=7)), [done("before"), done(begins=8)]),
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
        (told("failed", failed_by_hand_at=BEGAN), [living()], "orphans"),
        (told("success"), [done(result={"a": 1})], "lost results"),
        (told("success", xcom={"a": 1}), [done(result={"a": 2})], "lost results"),
        (told("success"), [failed()], "wrong verdicts"),
        (told("success"), [], "wrong verdicts"),
        (told("skipped"), [done()], "wrong verdicts"),
        (told("failed"), [done()], "wrong verdicts"),
        (told("failed"), [], "wrong verdicts"),
        (told("failed", attempts_left=True), [failed()], "wrong verdicts"),
        (told("failed"), [cancelled()], "wrong verdicts"),
        (told("deferred"), [done()], "wrong verdicts"),
    ],
)
def test_what_is_wrong_is_counted(task: TaskHistory, runs: list[RunHistory], count: str) -> None:
    assert count in {finding.count for finding in judge_run(task, runs)}
