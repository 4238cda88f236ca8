"""When a challenger wins, which rule decides, and which data is newer."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.use_cases.clock import Month
from factory.use_cases.metrics import F1_WEIGHTED
from factory.use_cases.use_case import Gate
from flows.core import policy
from flows.core.policy import Approval, ClassChange, Comparison, Costs, Snapshot, is_newer, judge

SCORES = st.floats(min_value=0, max_value=1)
GATE = Gate(floor=0.75, margin=0.0, confidence=0.95, largest_class_fall=0.10)
CHEAP = Costs(size_bytes=10**6, memory_bytes=10**8, p95_ms=1.0)


def beside(champion: float, challenger: float, low: float | None = None, *classes: ClassChange) -> Comparison:
    gain = challenger - champion
    return Comparison(champion, gain, gain if low is None else low, classes)


@pytest.mark.parametrize(
    ("challenger", "champion", "low", "promoted", "rule", "words"),
    [
        (0.80, None, None, True, "floor", "reaches the floor 0.7500 and there was no champion"),
        (0.75, None, None, True, "floor", "there was no champion"),
        (0.74, None, None, False, "floor", "is below the floor 0.7500"),
        (
            0.82,
            0.80,
            0.01,
            True,
            "gain",
            "beats the champion's 0.8000 by +0.0200 (with 95% confidence by more than +0.0100)",
        ),
        (
            0.82,
            0.80,
            -0.01,
            False,
            "gain",
            "may beat the champion's 0.8000 by chance: +0.0200, but with 95% confidence only more than -0.0100",
        ),
        (0.80, 0.80, 0.00, False, "gain", "does not beat the champion's 0.8000 (+0.0000"),
        (0.79, 0.80, -0.03, False, "gain", "does not beat the champion's 0.8000 (-0.0100"),
        (0.70, 0.60, 0.05, False, "floor", "is below the floor 0.7500"),
    ],
)
def test_the_verdict_follows_from_the_numbers_and_names_them(
    challenger: float, champion: float | None, low: float | None, promoted: bool, rule: str, words: str
) -> None:
    comparison = None if champion is None else beside(champion, challenger, low)
    verdict = judge(F1_WEIGHTED, challenger, comparison, CHEAP, GATE)

    assert (verdict.promoted, verdict.rule) == (promoted, rule)
    assert words in verdict.reason
    assert f"{challenger:.4f}" in verdict.reason


@given(challenger=SCORES, champion=SCORES, low=st.floats(-1, 1), floor=SCORES, margin=st.floats(0, 0.1))
def test_a_winner_reaches_the_floor_and_surely_gains_more_than_the_margin(
    challenger: float, champion: float, low: float, floor: float, margin: float
) -> None:
    gate = replace(GATE, floor=floor, margin=margin)
    verdict = judge(F1_WEIGHTED, challenger, beside(champion, challenger, low), CHEAP, gate)

    assert verdict.promoted == (challenger >= floor and low > margin)


def test_a_margin_is_asked_of_what_is_sure_not_of_what_was_measured() -> None:
    close = beside(0.80, 0.83, 0.004)

    assert judge(F1_WEIGHTED, 0.83, close, CHEAP, replace(GATE, margin=0.003)).promoted
    assert not judge(F1_WEIGHTED, 0.83, close, CHEAP, replace(GATE, margin=0.005)).promoted


def change(fall: float, p_value: float, rows: int = 100) -> ClassChange:
    return ClassChange("2583", rows, f1=0.9 - fall, champion_f1=0.9, p_value=p_value)


@pytest.mark.parametrize(
    ("fallen", "promoted"),
    [
        (change(0.30, 0.001), False),
        (change(0.30, 0.20, rows=3), True),  # three rows: chance explains it
        (change(0.05, 0.001), True),  # surely, but by little
        (change(-0.30, 1.0), True),
    ],
)
def test_no_class_may_fall_by_more_than_chance_and_the_limit(fallen: ClassChange, promoted: bool) -> None:
    verdict = judge(F1_WEIGHTED, 0.82, beside(0.80, 0.82, 0.01, fallen), CHEAP, GATE)

    assert verdict.promoted is promoted
    assert promoted or verdict.reason == "F1 of classes falls by more than 0.10: '2583' from 0.90 to 0.60"


def test_a_class_that_is_lost_wholly_is_stopped_or_warned_of() -> None:
    surely, perhaps = (
        ClassChange("2583", 4, f1=0.0, champion_f1=0.9, p_value=0.3, lost_p_value=p) for p in (0.001, 0.2)
    )
    comparison = replace(beside(0.80, 0.82, 0.01, perhaps), detectable=6)

    certain = beside(0.80, 0.82, 0.01, surely)
    stopped, passed = (judge(F1_WEIGHTED, 0.82, met, CHEAP, GATE) for met in (certain, comparison))

    assert (stopped.promoted, stopped.rule) == (False, "classes")
    assert passed.promoted
    told = "lost wholly, by chance or not (told apart from 6 right answers on): '2583' (4 test rows)"
    assert policy.warnings_of(comparison, GATE) == [told]
    assert told in next(check.said for check in passed.checks if check.rule == "classes")


@pytest.mark.parametrize(
    ("costs", "rule", "words"),
    [
        (
            replace(CHEAP, size_bytes=300 * 10**6),
            "size",
            "the model's files take 300.0 MB, above the limit of 250.0 MB",
        ),
        (
            replace(CHEAP, p95_ms=101.0),
            "latency",
            "the 95th percentile of one prediction is 101.0 ms, above the limit of 100.0 ms",
        ),
        (
            replace(CHEAP, memory_bytes=2 * 10**9),
            "memory",
            "a process that serves it holds 2,000.0 MB, above the limit of 1,500.0 MB",
        ),
    ],
)
def test_a_model_that_costs_too_much_is_not_promoted_however_good(costs: Costs, rule: str, words: str) -> None:
    verdict = judge(F1_WEIGHTED, 0.99, None, costs, GATE)

    assert (verdict.promoted, verdict.rule) == (False, rule)
    assert words in verdict.reason


def test_every_rule_is_checked_whichever_decides() -> None:
    verdict = judge(F1_WEIGHTED, 0.5, beside(0.8, 0.5), replace(CHEAP, p95_ms=500.0), GATE)

    failed = [check.rule for check in verdict.checks if not check.passed]
    assert (verdict.rule, failed) == ("floor", ["floor", "gain", "latency"])
    assert [check.rule for check in verdict.checks] == ["floor", "gain", "classes", "size", "latency", "memory"]


@pytest.mark.parametrize(
    ("approval", "promoted", "words"),
    [
        (Approval(required=True), False, "a person has to approve it"),
        (Approval(required=True, approved_by="Anna"), True, "reaches the floor"),
        (Approval(required=True, rejected_by="Ben"), False, "refused by Ben"),
        (Approval(rejected_by="Ben"), False, "refused by Ben"),
        (Approval(), True, "reaches the floor"),
    ],
)
def test_people_are_asked_where_they_have_to_and_heard_always(approval: Approval, promoted: bool, words: str) -> None:
    verdict = judge(F1_WEIGHTED, 0.9, None, CHEAP, GATE, approval)

    assert verdict.promoted is promoted
    assert words in verdict.reason


def test_an_approval_does_not_stand_in_for_the_numbers() -> None:
    verdict = judge(F1_WEIGHTED, 0.5, None, CHEAP, GATE, Approval(required=True, approved_by="Anna"))

    assert (verdict.promoted, verdict.rule) == (False, "floor")


def test_data_is_newer_than_what_was_trained_on_only_when_it_is_newer_than_all_of_it() -> None:
    trained = [Snapshot(3, 1), Snapshot(2, 1)]

    assert is_newer(Snapshot(4, 1), trained)
    assert is_newer(Snapshot(3, 2), trained)
    assert not is_newer(Snapshot(3, 1), trained)
    assert not is_newer(Snapshot(2, 2), trained)
    assert is_newer(Snapshot(1, 1), [])


MONTHS = Month(first=date(2016, 10, 1))


@pytest.mark.parametrize(
    ("trained_until", "embargo", "passed"), [(5, 1, True), (6, 1, False), (6, 0, True), (9, 0, False)]
)
def test_a_champion_must_not_know_the_span_that_it_is_judged_on_nor_the_embargo_before_it(
    trained_until: int, embargo: int, passed: bool
) -> None:
    check = policy.overlap("3", trained_until, first=7, embargo=embargo, clock=MONTHS)

    assert (check.rule, check.passed) == ("overlap", passed)
    assert f"champion v3 was trained on rows up to {MONTHS.words(trained_until)}" in check.said
    assert "2017-04" in check.said


def test_an_overlap_is_refused_with_the_embargo_and_the_remedy() -> None:
    said = policy.overlap("3", 6, first=7, embargo=1, clock=MONTHS).said

    assert "begins with 2017-04 with an embargo of 1 month" in said
    assert "Train a challenger on a later month" in said
