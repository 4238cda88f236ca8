"""One test over all classes: equal models pass at any number of them, and a broad loss of small ones never does."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from factory.use_cases.metrics import F1_WEIGHTED
from factory.use_cases.use_case import Gate
from flows.core.comparison import compare
from flows.core.falls import measure_falls
from flows.core.losses import measure_losses
from flows.core.policy import Costs, error_of_a_test, has_fallen, judge

GATE = Gate()


def lose_small(small: int, lost: int, rows: int = 4) -> tuple[pd.Series, pd.Series, pd.Series]:
    """The truth, a challenger that is better at ten large classes and lost small ones wholly, and the champion."""
    large = np.repeat([f"large {number}" for number in range(10)], 400)
    truth = np.concatenate([large, np.repeat([f"small {number:03d}" for number in range(small)], rows)])
    mine, theirs = truth.copy(), truth.copy()
    theirs[:4000:4] = "large 9"
    mine[4000 : 4000 + lost * rows] = "large 0"
    return pd.Series(truth), pd.Series(mine), pd.Series(theirs)


def verdict(truth: pd.Series, mine: pd.Series, theirs: pd.Series):
    comparison = compare(truth, mine, theirs, confidence=GATE.confidence, limit=GATE.largest_class_fall)
    return judge(F1_WEIGHTED, 0.9, comparison, Costs(1, 1, 1.0), GATE), comparison


@pytest.mark.parametrize(("small", "lost"), [(100, 100), (100, 20), (900, 50)])
def test_a_broad_loss_of_small_classes_is_stopped_however_large_the_gain(small: int, lost: int) -> None:
    found, comparison = verdict(*lose_small(small, lost))

    assert comparison.low > 0
    assert (found.promoted, found.rule) == (False, "classes")
    assert "macro F1 falls by" in found.reason


@pytest.mark.parametrize("small", [1, 30, 100])
def test_a_class_of_four_rows_that_is_lost_wholly_is_stopped_where_nothing_else_is_lost(small: int) -> None:
    found, comparison = verdict(*lose_small(small, 1, rows=4))

    assert [change.name for change in comparison.lost] == ["small 000"]
    assert (found.promoted, found.rule) == (False, "classes")
    assert found.reason == "every right answer to the test rows of classes is lost: 'small 000' (4 test rows)"


def test_a_class_that_may_be_lost_by_chance_is_named_all_the_same() -> None:
    """Other small classes lose answers, too: of four rows nobody knows."""
    truth, mine, theirs = lose_small(30, 1, rows=4)
    for number in range(1, 30, 2):
        mine[4000 + 4 * number : 4002 + 4 * number] = "large 0"
        theirs[4002 + 4 * number : 4004 + 4 * number] = "large 0"

    found, comparison = verdict(truth, mine, theirs)

    classes = next(check for check in found.checks if check.rule == "classes")
    assert classes.passed
    assert "lost wholly, by chance or not (told apart " in classes.said
    assert classes.said.endswith("): 'small 000' (4 test rows)")
    assert comparison.detectable is None or comparison.detectable > 4


def test_a_single_answer_is_no_class() -> None:
    found, comparison = verdict(*lose_small(30, 1, rows=1))

    assert [change.name for change in comparison.lost] == ["small 000"]
    assert found.rule != "classes"


def test_copies_of_a_row_are_one_answer_to_its_class() -> None:
    truth, mine, theirs = lose_small(30, 1, rows=4)
    groups = np.arange(len(truth)) // 4
    alone, together = (measure_losses(truth, mine, theirs, groups=each) for each in (None, groups))

    lost = alone.names.index("small 000")
    assert alone.p_values[lost] < 0.01
    assert together.p_values[lost] == 1


@pytest.mark.parametrize(("classes", "rows"), [(30, 4), (200, 8)])
@pytest.mark.parametrize("tied", [0.0, 0.1])
def test_of_equal_models_no_more_lose_a_class_surely_than_the_error_allows(
    classes: int, rows: int, tied: float
) -> None:
    """Also where answers are lost class by class. At .0167 of 100 pairs 8 would be more (p below .001)."""
    random = np.random.default_rng(classes + rows)
    truth, lost = np.repeat(np.arange(classes), rows), 0.06
    vetoed = 0
    for _ in range(100):
        common = random.random(len(truth)) < 0.9
        more = (1 - tied) / tied if tied else np.inf
        chances = [random.beta(lost * more, (1 - lost) * more, classes) if tied else np.full(classes, lost)] * 2
        mine, theirs = (np.where(common & (random.random(len(truth)) >= each[truth]), truth, -1) for each in chances)
        vetoed += bool((measure_losses(truth, mine, theirs).p_values < error_of_a_test(GATE)).any())
    assert vetoed < 8


def test_a_class_that_is_surely_lost_among_many_is_found() -> None:
    found, comparison = verdict(*lose_small(200, 1, rows=20))

    assert [change.name for change in comparison.classes if has_fallen(change, GATE)] == ["small 000"]
    assert not found.promoted


@pytest.mark.parametrize(("classes", "rows"), [(2, 300), (60, 12), (400, 4)])
def test_of_equal_models_no_more_are_vetoed_than_the_error_allows(classes: int, rows: int) -> None:
    """Two tests at .025 each: of 150 pairs 19 vetoes would be more than 5 % (p below .001)."""
    random = np.random.default_rng(classes)
    truth = np.repeat(np.arange(classes), rows)
    vetoed = 0
    for _ in range(150):
        mine, theirs = (
            np.where(random.random(len(truth)) < 0.8, truth, random.integers(0, classes, len(truth))) for _ in range(2)
        )
        found = measure_falls(truth, mine, theirs, limit=GATE.largest_class_fall, permutations=199)
        fallen = (found.champion_f1 - found.f1 > GATE.largest_class_fall) & (found.p_values < 0.025)
        vetoed += bool(fallen.any()) or (found.macro_fall > GATE.largest_macro_fall and found.macro_p_value < 0.025)
    assert vetoed < 19


def test_the_numbers_are_scikit_learns_and_equal_answers_are_no_fall() -> None:
    random = np.random.default_rng(5)
    truth, mine, theirs = (random.integers(0, 7, 200).astype(str) for _ in range(3))

    found = measure_falls(truth, mine, theirs, permutations=9)

    assert found.f1 == pytest.approx(f1_score(truth, mine, average=None))
    assert found.champion_f1 == pytest.approx(f1_score(truth, theirs, average=None))
    macro = [f1_score(truth, answers, average="macro") for answers in (theirs, mine)]
    assert found.macro_fall == pytest.approx(macro[0] - macro[1])
    same = measure_falls(truth, mine, mine, permutations=9)
    assert (same.macro_fall, same.macro_p_value, set(same.p_values)) == (0, 1, {1})
