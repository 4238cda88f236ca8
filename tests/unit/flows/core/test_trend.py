"""What slowly takes its share is found over the weeks; weeks without a trend are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from flows.core.drift import Level
from flows.core.trend import FEWEST_WEEKS, MOST_WEEKS, Week, find_trends

ROWS = 400


def week(number: int, random: np.random.Generator, **shares: float) -> Week:
    """Drawn shares of languages, whose rest is English."""
    chances = {"en": 1 - sum(shares.values()), **shares}
    counts = zip(chances, random.multinomial(ROWS, list(chances.values())), strict=True)
    return Week(7.0 * number, ROWS, {"language": {name: count / ROWS for name, count in counts if count}})


def weeks(number: int, seed: int, last: float, first: float = 0.0) -> list[Week]:
    random = np.random.default_rng(seed)
    return [week(n, random, de=0.05, fr=first + (last - first) * n / (number - 1)) for n in range(number)]


@pytest.mark.parametrize("number", [FEWEST_WEEKS, 12, MOST_WEEKS])
def test_a_third_that_comes_slowly_is_found_with_both_its_ends(number: int) -> None:
    found = find_trends(weeks(number, 1, last=1 / 3))["language"]

    assert (found.level, found.weeks) == (Level.CRITICAL, number)
    assert found.value in ("en", "fr")  # as much as the one takes the other loses
    assert abs(found.last - found.first) == pytest.approx(1 / 3, abs=0.06)


def test_a_third_that_takes_more_than_a_year_is_found_on_its_way() -> None:
    coming = weeks(60, 1, last=1 / 3)

    levels = [find_trends(coming[:number])["language"].level for number in range(FEWEST_WEEKS, 60, 5)]

    assert Level.CRITICAL in levels


def test_weeks_without_a_trend_are_quiet() -> None:
    levels = [find_trends(weeks(12, seed, last=0.1, first=0.1))["language"].level for seed in range(60)]

    assert levels.count(Level.STABLE) >= 59


def test_weeks_of_few_groups_stray_more_than_their_rows_and_are_no_trend() -> None:
    """Merchants come whole: the share of one of them in a week is nearly all or nothing."""
    random = np.random.default_rng(4)

    def lumpy() -> list[Week]:
        chances = random.dirichlet([0.5, 0.5, 0.5], 14)
        return [Week(n * 7.0, ROWS, {"source": dict(zip("abc", row, strict=True))}) for n, row in enumerate(chances)]

    alarms = sum(find_trends(lumpy())["source"].level is not Level.STABLE for _ in range(100))

    assert alarms <= 4


def test_names_that_are_new_every_week_have_no_trend() -> None:
    found = find_trends([Week(n * 7.0, ROWS, {"source": {f"week-{n}.csv": 1.0}}) for n in range(20)])

    assert found["source"].level is Level.STABLE


def test_fewer_weeks_than_can_be_told_from_chance_are_not_asked() -> None:
    assert find_trends(weeks(FEWEST_WEEKS - 1, 1, last=0.5)) == {}
    assert find_trends([]) == {}


def test_a_share_that_never_moves_at_all_is_stable() -> None:
    same = [Week(n * 7.0, ROWS, {"language": {"en": 1.0}}) for n in range(9)]

    assert find_trends(same)["language"].level is Level.STABLE


def test_only_weeks_that_know_a_kind_are_asked_for_it() -> None:
    known = weeks(9, 2, last=1 / 3)
    before = [Week(-7.0 * n, ROWS, {}) for n in range(5, 0, -1)]

    assert find_trends([*before, *known])["language"].weeks == 9
