"""Intervals hold what a resampling of the rows would give, and pairs are compared on the same rows."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from flows.core import bootstrap

SMALL = (["a", "a", "b", "b", "c"], ["a", "b", "b", "b", "a"])


def answers(rows: int, classes: int, accuracy: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, classes, rows)
    predicted = np.where(random.random(rows) < accuracy, truth, random.integers(0, classes, rows))
    return truth, predicted


def scikit(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    return {
        "f1_weighted": f1_score(truth, predicted, average="weighted", zero_division=0),
        "f1_macro": f1_score(truth, predicted, average="macro", zero_division=0),
        "accuracy": accuracy_score(truth, predicted),
    }


def test_the_values_are_those_of_scikit_learn() -> None:
    truth, predicted = answers(500, 7, 0.7, seed=1)

    found = bootstrap.estimate(truth, predicted)

    assert {name: number.value for name, number in found.items()} == pytest.approx(scikit(truth, predicted))


def test_every_resample_is_measured_as_scikit_learn_would() -> None:
    """The counts of a draw, laid out as rows again, give the same numbers: few rows, so that classes are missing."""
    cells = bootstrap._Cells.of(*SMALL)
    drawn = cells.draw(50, seed=3)
    measured = bootstrap._metrics(drawn, cells, 0)

    for place, counts in enumerate(drawn):
        rows = np.repeat(cells.codes, counts, axis=0)
        expected = scikit(rows[:, 0], rows[:, 1])
        assert {name: values[place] for name, values in measured.items()} == pytest.approx(expected)


def test_the_interval_of_the_accuracy_is_the_binomial_one() -> None:
    """At 1,000 rows and .8 the normal approximation is good: half a width of 1.96 * sqrt(.8 * .2 / 1000) = .0248;
    its own tails are known to within some 5 % from 4,000 resamples."""
    truth, predicted = np.zeros(1000), np.repeat([0.0, 1.0], [800, 200])

    found = bootstrap.estimate(truth, predicted, resamples=4000)["accuracy"]

    assert found.value == 0.8
    assert found.high - found.value == pytest.approx(0.0248, abs=0.002)
    assert found.value - found.low == pytest.approx(0.0248, abs=0.002)


def test_the_interval_holds_the_true_accuracy_as_often_as_it_says() -> None:
    """Of 300 samples of a model that is right 70 % of the time about 95 % must: three binomial deviations are .038."""
    random = np.random.default_rng(5)
    held = 0
    for seed in range(300):
        truth = random.integers(0, 5, 400)
        predicted = np.where(random.random(400) < 0.7, truth, (truth + 1) % 5)
        found = bootstrap.estimate(truth, predicted, resamples=300, seed=seed)["accuracy"]
        held += found.low <= 0.7 <= found.high

    assert 0.95 - 0.038 <= held / 300 <= 0.95 + 0.038


def test_the_same_seed_gives_the_same_interval_and_another_one_does_not() -> None:
    truth, predicted = answers(300, 4, 0.6, seed=2)

    assert bootstrap.estimate(truth, predicted) == bootstrap.estimate(truth, predicted)
    assert bootstrap.estimate(truth, predicted) != bootstrap.estimate(truth, predicted, seed=7)


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    truth, predicted = answers(300, 4, 0.6, seed=2)

    for found in bootstrap.estimate_difference(truth, predicted, predicted).values():
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_pair_is_told_apart_where_two_separate_intervals_overlap() -> None:
    """The better model answers 30 of 2,000 rows more, on otherwise equal answers: certain, and invisible unpaired."""
    truth, worse = answers(2000, 6, 0.7, seed=4)
    better = worse.copy()
    better[np.flatnonzero(worse != truth)[:30]] = truth[np.flatnonzero(worse != truth)[:30]]

    pair = bootstrap.estimate_difference(truth, better, worse)["accuracy"]
    one, other = (bootstrap.estimate(truth, model)["accuracy"] for model in (better, worse))

    assert pair.value == pytest.approx(30 / 2000)
    assert pair.low > 0
    assert other.high > one.low


def test_a_difference_is_that_of_the_values_and_turns_with_the_sides() -> None:
    truth, one = answers(400, 5, 0.8, seed=6)
    other = answers(400, 5, 0.5, seed=8)[1]

    forth = bootstrap.estimate_difference(truth, one, other)["f1_macro"]
    back = bootstrap.estimate_difference(truth, other, one)["f1_macro"]

    alone = [bootstrap.estimate(truth, model)["f1_macro"].value for model in (one, other)]
    assert forth.value == pytest.approx(alone[0] - alone[1])
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low), abs=0.02)


def test_classes_have_numbers_of_their_own() -> None:
    table = bootstrap.estimate_classes(*SMALL).set_index("class")

    assert list(table.index) == ["a", "b", "c"]
    assert list(table["rows"]) == [2, 2, 1]
    assert table.loc["b", "f1"] == pytest.approx(0.8)
    assert table.loc["b", "recall"] == 1
    assert table.loc["c", "f1"] == 0
    assert (table["f1_low"] <= table["f1"]).all()
    assert (table["f1"] <= table["f1_high"]).all()


def test_no_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one row"):
        bootstrap.estimate([], [])
    with pytest.raises(ValueError, match="as many predictions"):
        bootstrap.estimate(["a"], ["a", "b"])


def test_many_classes_of_a_handful_of_rows_lift_no_interval_above_the_truth() -> None:
    """One large class and 300 of four rows, to which wrong answers go: plain percentiles lie above in half of cases."""
    random, accuracy = np.random.default_rng(11), 0.8
    rows = np.array([2_000] + [4] * 300)
    shares, classes = rows / rows.sum(), len(rows)
    hits, said = shares * (accuracy + (1 - accuracy) / classes), accuracy * shares + (1 - accuracy) / classes
    true_f1 = float((shares * 2 * hits / (shares + said)).sum())
    outside = 0
    for seed in range(20):
        truth = random.choice(classes, rows.sum(), p=shares)
        predicted = np.where(random.random(len(truth)) < accuracy, truth, random.integers(0, classes, len(truth)))
        found = bootstrap.estimate(truth, predicted, resamples=100, seed=seed)["f1_weighted"]
        outside += not found.low <= true_f1 <= found.high
        assert found.low <= found.value <= found.high
    assert outside <= 4
