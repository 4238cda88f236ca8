"""Which versions are judged beside which, before the gate looks at a number."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from factory.use_cases.clock import Month
from factory.use_cases.metrics import AUC
from factory.use_cases.split import Chronological
from factory.use_cases.use_case import Gate
from flows.core.bootstrap import Estimate
from flows.core.eligibility import Contender, decide, find_overlap
from flows.core.evidence import Evidence
from flows.core.policy import Approval, Check, Comparison, Costs, Verdict

ROLLING, CLOCK = Chronological(test_periods=2, embargo_periods=1), Month(first=date(2017, 1, 1))
ANNA = Contender("3", trained_until=5, tested_from=7)
OTTO = Contender("2", trained_until=5, tested_from=6)
COSTS = Costs(size_bytes=1, memory_bytes=1, p95_ms=1.0)
BETTER = Evidence(
    mine={"auc": Estimate(0.9, 0.88, 0.92)},
    theirs={"auc": Estimate(0.8, 0.78, 0.82)},
    gains={"auc": Estimate(0.1, 0.05, 0.15)},
    comparison=Comparison(champion=0.8, gain=0.1, low=0.06, classes=(), by_class=False),
)


def verdict(
    challenger: Contender,
    champion: Contender | None,
    evidence: Evidence = BETTER,
    *,
    named: bool = False,
    overlap: Check | None = None,
) -> Verdict:
    return decide(
        challenger,
        champion,
        evidence,
        COSTS,
        metric=AUC,
        gate=Gate(),
        approval=Approval(),
        named=named,
        overlap=overlap,
    )


def test_the_gate_judges_a_challenger_that_met_the_champion() -> None:
    found = verdict(ANNA, OTTO)
    assert (found.promoted, found.rule) == (True, "gain")


def test_who_holds_the_title_is_not_judged_again() -> None:
    found = verdict(ANNA, ANNA)
    assert (found.promoted, found.rule, found.reason) == (False, "standing", "version 3 already is the champion")
    assert not found.checks


def test_who_was_rolled_back_is_judged_where_a_person_named_it() -> None:
    fallen = replace(ANNA, rolled_back=True)
    assert verdict(fallen, OTTO).rule == "rolled back"
    assert verdict(fallen, OTTO, named=True).promoted


def test_who_knows_rows_of_the_test_set_is_met_by_nobody() -> None:
    knowing = replace(OTTO, trained_until=6)
    overlap = find_overlap(ANNA, knowing, rolling=ROLLING, clock=CLOCK)
    assert overlap is not None
    found = verdict(ANNA, knowing, overlap=overlap)
    assert (found.promoted, found.rule, found.checks) == (False, "overlap", (overlap,))
    assert "trained on rows up to 2017-06" in found.reason


def test_rows_that_do_not_overlap_are_said_beside_the_other_guards() -> None:
    overlap = find_overlap(ANNA, OTTO, rolling=ROLLING, clock=CLOCK)
    fair = Check("fairness", passed=False, said="a group is selected too often")
    found = verdict(ANNA, OTTO, replace(BETTER, guards=(fair,)), overlap=overlap)
    assert (found.promoted, found.rule) == (False, "fairness")
    assert [check.rule for check in found.checks][:4] == ["floor", "gain", "overlap", "fairness"]


@pytest.mark.parametrize(
    ("challenger", "rival", "rolling"),
    [
        (ANNA, None, ROLLING),
        (ANNA, OTTO, None),
        (replace(ANNA, tested_from=None), OTTO, ROLLING),
        (ANNA, replace(OTTO, trained_until=None), ROLLING),
    ],
)
def test_nothing_overlaps_where_nobody_is_met_or_no_test_set_rolls_on(
    challenger: Contender, rival: Contender | None, rolling: Chronological | None
) -> None:
    assert find_overlap(challenger, rival, rolling=rolling, clock=CLOCK) is None
