"""Weeks, shares and sides follow from their arguments alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.grouping.keys import key_of
from factory.settings import WeekPlan
from factory.snapshots.weeks import arrival_week, on_test_side, share_of, start_of, threshold, week_of

EPOCH = datetime(2026, 1, 5, tzinfo=UTC)
PLAN = WeekPlan()


@pytest.mark.parametrize(
    ("as_of", "week"),
    [
        (EPOCH, 1),
        (EPOCH + timedelta(days=7, microseconds=-1), 1),
        (EPOCH + timedelta(days=7), 2),
        (datetime.fromisoformat("2026-01-12"), 2),
        (datetime(2026, 1, 12, 1, tzinfo=timezone(timedelta(hours=2))), 1),
        (EPOCH + timedelta(days=700), 101),
    ],
)
def test_weeks_count_seven_days_from_the_epoch_in_utc(as_of: datetime, week: int) -> None:
    assert week_of(as_of, EPOCH) == week


def test_a_moment_before_the_epoch_has_no_week_and_the_error_names_the_setting() -> None:
    with pytest.raises(ValueError, match="WEEK_EPOCH"):
        week_of(EPOCH - timedelta(seconds=1), EPOCH)


@given(st.integers(1, 500))
def test_a_week_begins_in_itself(week: int) -> None:
    assert week_of(start_of(week, EPOCH), EPOCH) == week


def test_shares_are_40_percent_and_3_more_a_week_up_to_all() -> None:
    assert [threshold(PLAN, week) for week in (1, 2, 3, 21, 22, 500)] == pytest.approx([0.4, 0.43, 0.46, 1, 1, 1])


@pytest.mark.parametrize("week", [0, -1])
def test_weeks_below_one_are_refused(week: int) -> None:
    with pytest.raises(ValueError, match="count from 1"):
        threshold(PLAN, week)
    with pytest.raises(ValueError, match="count from 1"):
        start_of(week, EPOCH)


@pytest.mark.parametrize("week", [417_000, 10**12])
def test_a_week_beyond_the_calendar_is_refused(week: int) -> None:
    with pytest.raises(ValueError, match="the calendar ends before it"):
        start_of(week, EPOCH)


@pytest.mark.parametrize("written", ["2026-01-05", "20260105", "2026-01-05T01:00+01:00"])
def test_the_epoch_is_read_as_a_day_and_not_as_seconds(written: str) -> None:
    assert WeekPlan.model_validate({"epoch": written}).epoch == EPOCH


@given(st.text(), st.integers())
def test_a_share_lies_between_zero_and_one_exclusive(productid: str, seed: int) -> None:
    assert 0 <= share_of(productid, seed) < 1


@given(st.text(), st.integers(1, 100), st.integers(0, 100))
def test_a_product_of_a_week_is_in_every_later_week(productid: str, week: int, later: int) -> None:
    share = share_of(productid, PLAN.seed)
    assert not share < threshold(PLAN, week) or share < threshold(PLAN, week + later)


def test_membership_is_the_same_on_every_machine() -> None:
    assert share_of("010121", 42) == pytest.approx(0.07590308, abs=1e-8)
    assert share_of("010121", 43) != share_of("010121", 42)


def test_counts_are_near_the_percentages_and_sides_do_not_depend_on_shares() -> None:
    ids = [str(number) for number in range(20_000)]
    early = [name for name in ids if share_of(name, 42) < 0.4]
    assert len(early) / len(ids) == pytest.approx(0.4, abs=0.015)
    for some in (ids, early):
        groups = np.array([key_of(name) for name in some])
        assert on_test_side(groups, seed=42, test_share=0.2).mean() == pytest.approx(0.2, abs=0.015)


def test_sides_are_the_same_on_every_machine_and_differ_by_seed() -> None:
    groups = np.arange(-50, 50)
    tests = np.flatnonzero(on_test_side(groups, seed=42, test_share=0.1)) - 50
    assert tests.tolist() == [-48, -37, -25, -20, -15, -8, -2, 0, 11, 13, 24, 26, 33]
    assert (on_test_side(groups, seed=43, test_share=0.5) != on_test_side(groups, seed=42, test_share=0.5)).any()


@given(st.text(), st.integers(1, 30))
def test_a_product_arrives_in_the_first_week_that_holds_it(productid: str, week: int) -> None:
    held = share_of(productid, PLAN.seed) < threshold(PLAN, week)
    assert held == (arrival_week(productid, PLAN) <= week)
