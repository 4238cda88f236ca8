"""The table of the rarer kinds of faults: the long series holds each, and no plan holds two that decide the same."""

from __future__ import annotations

from itertools import combinations
from random import Random

import pytest

from tests.faults.kinds import KINDS, FaultKind, make_plan
from tests.faults.plan import common_plan

LONG_SERIES = 180
BY_NAME = {kind.name: kind for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_the_long_series_meets_the_kind_more_than_once(kind: FaultKind) -> None:
    assert sum(kind.name in make_plan(seed).kinds for seed in range(LONG_SERIES)) > 1


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_a_kind_changes_a_plan_and_says_what_must_hold(kind: FaultKind) -> None:
    assert kind.change(common_plan(3), Random(0)) != common_plan(3)  # noqa: S311
    assert kind.expects


def test_no_plan_holds_two_kinds_that_decide_the_same() -> None:
    for seed in range(1000):
        for one, other in combinations(make_plan(seed).kinds, 2):
            assert not BY_NAME[one].areas & BY_NAME[other].areas, seed


def test_a_third_of_the_series_is_left_as_it_was() -> None:
    plain = sum(not make_plan(seed).kinds for seed in range(LONG_SERIES))
    assert plain > LONG_SERIES / 5
