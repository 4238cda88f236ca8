"""A short series of fault runs; `make test-faults` plays the long series."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from tests.faults.faults import Kind
from tests.faults.kinds import make_plan
from tests.faults.network import PlannedFaults
from tests.faults.plan import ActKind, Event
from tests.faults.run import fault_runs, summarise
from tests.faults.scenario import Outcome
from tests.live_prefect import LivePrefect

SEEDS = (0, 1, 2, 3, 5, 6, 7, 8, 10, 12, 14, 16, 18, 20, 26, 42)
"""Quick ones: no server dies, few deadlines pass; half of them hold a rarer kind."""


@pytest.fixture(scope="module")
def outcomes(prefect: LivePrefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, Outcome]]:
    with fault_runs(tmp_path_factory.mktemp("faults"), SEEDS, steady=prefect) as coming:
        yield {outcome.seed: outcome for outcome in coming}


@pytest.mark.parametrize("seed", SEEDS)
def test_no_run_is_doubled_orphaned_lost_or_misjudged(outcomes: dict[int, Outcome], seed: int) -> None:
    outcome = outcomes[seed]
    assert not outcome.findings, f"play it again: python -m tests.faults.run --seed {seed}\n{outcome.account}"


def test_the_summary_names_the_seeds_and_the_four_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert summarise("program", {3: [], 0: [], 1: [], 2: [], 7: ["orphans"]}, 12.0) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[1] == "5 fault runs, seeds 0-3, 7, 12 s"
    assert [line.split() for line in told[2:6]] == [
        ["duplicates", "0"],
        ["orphans", "1"],
        ["lost", "results", "0"],
        ["wrong", "verdicts", "0"],
    ]
    assert told[6].startswith("failed seeds: 7;")


def test_a_seed_is_a_plan() -> None:
    plans = [make_plan(seed) for seed in range(200)]
    assert plans == [make_plan(seed) for seed in range(200)]
    faults = [PlannedFaults(plans[4]), PlannedFaults(plans[4])]
    first, second = ([each.for_request(index, "/") for index in range(50)] for each in faults)
    assert first == second


def test_the_long_series_holds_every_kind_of_fault() -> None:
    plans = [make_plan(seed) for seed in range(180)]
    assert {plan.deferrable for plan in plans} == {True, False}
    assert {act.kind for plan in plans for act in plan.acts} == set(get_args(ActKind))
    assert {act.moment.after for plan in plans for act in plan.acts} == set(get_args(Event))
    assert len({ending for plan in plans for ending in plan.endings}) == 9
    assert sum(plan.server_death is not None for plan in plans) == 18
    assert sum(bool(plan.worker_deaths) for plan in plans) > 40
    assert sum(bool(plan.triggerer_deaths) for plan in plans) > 10
    met = {PlannedFaults(plan).for_request(index, "/").kind for plan in plans for index in range(20)}
    assert met == set(get_args(Kind))
