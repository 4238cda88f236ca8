"""A challenger beside the champion: what is sure about a gain and about a class's fall."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from factory.use_cases.use_case import Gate
from flows.core.comparison import change_by_class, compare
from flows.core.policy import has_fallen

CLASSES = [f"c{number:02d}" for number in range(27)]


def answers(truth: pd.Series, accuracy: float, seed: int) -> pd.Series:
    """Answers that are right at that rate and otherwise any class."""
    rng = np.random.default_rng(seed)
    wrong = rng.choice(CLASSES, len(truth))
    return pd.Series(np.where(rng.random(len(truth)) < accuracy, truth, wrong))


def labels(rows: int, seed: int = 0) -> pd.Series:
    return pd.Series(np.random.default_rng(seed).choice(CLASSES, rows))


def test_the_numbers_are_scikit_learns() -> None:
    truth = labels(500)
    mine, theirs = answers(truth, 0.9, 1), answers(truth, 0.8, 2)

    found = compare(truth, mine, theirs, confidence=0.95)

    scores = [f1_score(truth, each, average="weighted") for each in (mine, theirs)]
    assert found.champion == pytest.approx(scores[1])
    assert found.gain == pytest.approx(scores[0] - scores[1])
    assert found.low < found.gain
    each = f1_score(truth, mine, average=None, labels=CLASSES)
    assert [change.f1 for change in found.classes] == pytest.approx(list(each))


def test_more_rows_make_the_same_gain_surer() -> None:
    truth = labels(400)
    theirs, mine = truth.copy(), truth.copy()
    theirs[:80] = "none"
    mine[40:112] = "none"  # right where the champion is wrong 40 times, wrong where it is right 32 times
    many = [pd.concat([column] * 20, ignore_index=True) for column in (truth, mine, theirs)]

    few_rows, many_rows = compare(truth, mine, theirs, confidence=0.95), compare(*many, confidence=0.95)

    assert many_rows.gain == pytest.approx(few_rows.gain)
    assert few_rows.low < 0 < many_rows.low < many_rows.gain


def test_models_that_are_equally_good_are_rarely_told_apart() -> None:
    """At 95 % confidence one comparison in twenty may err; 10 of 60 would be more than chance (p below .001)."""
    truth = pd.Series(np.random.default_rng(0).choice(["a", "b", "c"], 400))  # few cells to draw: quick
    wins = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        mine, theirs = (pd.Series(np.where(rng.random(400) < 0.8, truth, "a")) for _ in range(2))
        wins += compare(truth, mine, theirs, confidence=0.95).low > 0
    assert wins < 10


def test_a_class_that_is_lost_is_seen_and_three_unlucky_rows_are_not() -> None:
    truth = pd.Series(["many"] * 400 + ["some"] * 12 + ["few"] * 3)
    broken = truth.where(truth != "some", "many").where(truth != "few", "many")

    found = {change.name: change for change in change_by_class(truth, broken, truth)}

    assert {name: change.f1 for name, change in found.items()} == pytest.approx(
        {"few": 0, "many": 0.9816, "some": 0}, abs=1e-4
    )
    assert [name for name, change in found.items() if has_fallen(change, Gate())] == ["some"]
    assert found["few"].p_value > 0.1


def test_equally_good_models_are_rarely_stopped_by_a_class_of_few_rows() -> None:
    """By the amount alone one promotion in five or so would be; 6 of 60 would be more than the test's 5 %."""
    sizes = [3, 5, 8, 11, 13, 13, 19, 25, 30, 30, 32, 38, 40, 40, 66, 81, 106, 164, 175, 194]
    truth = np.repeat([f"c{number:02d}" for number in range(len(sizes))], sizes)
    stopped = fallen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shared = np.where(rng.random(len(truth)) < 0.88, truth, rng.choice(truth, len(truth)))
        own = [np.where(rng.random(len(truth)) < 0.88, truth, rng.choice(truth, len(truth))) for _ in range(2)]
        mine, theirs = (pd.Series(np.where(rng.random(len(truth)) < 0.93, shared, each)) for each in own)
        changes = change_by_class(pd.Series(truth), mine, theirs)
        stopped += any(has_fallen(change, Gate()) for change in changes)
        fallen += any(change.fall > Gate().largest_class_fall for change in changes)
    assert stopped < 6 < fallen


def test_equal_answers_are_no_fall() -> None:
    truth = labels(100)
    same = answers(truth, 0.8, 1)

    assert {change.p_value for change in change_by_class(truth, same, same)} == {1.0}
    assert compare(truth, same, same, confidence=0.95).low == 0
