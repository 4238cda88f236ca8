"""Metrics of a number are scikit-learn's, their intervals hold the truth, and pairs are compared row by row."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics
from sklearn.datasets import load_diabetes
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import cross_val_predict

from flows.core.tasks import regression


def drawn(rows: int, seed: int = 1, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Truths far from zero, and answers that miss them by the noise."""
    random = np.random.default_rng(seed)
    truth = random.normal(1_000, 2, rows)
    return truth, truth + random.normal(0, noise, rows)


def scikit(truth: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> list[float]:
    return [
        metrics.r2_score(truth, predicted, sample_weight=weights),
        metrics.mean_absolute_error(truth, predicted, sample_weight=weights),
        metrics.root_mean_squared_error(truth, predicted, sample_weight=weights),
    ]


def test_the_values_are_those_of_scikit_learn_in_every_resample() -> None:
    truth, predicted = drawn(60)
    sums, random = regression._Sums.of(truth, predicted), np.random.default_rng(2)

    found = regression.estimate(truth, predicted, resamples=20)

    assert [found[name].value for name in regression.NAMES] == pytest.approx(scikit(truth, predicted))
    for _ in range(20):
        weights = np.bincount(random.integers(0, 60, 60), minlength=60)
        assert sums.measure(weights) == pytest.approx(scikit(truth, predicted, weights))


def test_the_interval_of_r2_holds_the_truth_as_often_as_it_says() -> None:
    """Noise of half the variance leaves an R² of .75; of 100 samples 95 % must, less three binomial deviations."""
    held = 0
    for seed in range(100):
        found = regression.estimate(*drawn(150, seed, noise=1.0), resamples=150, seed=seed)["r2"]
        held += found.low <= 0.75 <= found.high

    assert held / 100 >= 0.95 - 0.065


def test_rows_of_one_group_count_as_one() -> None:
    """Every row four times: the interval is that of the rows once, and half as wide where groups are not known."""
    truth, predicted = drawn(300)
    four = np.repeat(truth, 4), np.repeat(predicted, 4)

    once = regression.estimate(truth, predicted)["mae"]
    known = regression.estimate(*four, groups=np.repeat(np.arange(300), 4))["mae"]
    unknown = regression.estimate(*four)["mae"]

    assert known == pytest.approx(once) or known.high - known.low == pytest.approx(once.high - once.low, rel=0.1)
    assert unknown.high - unknown.low == pytest.approx((once.high - once.low) / 2, rel=0.15)


def test_a_difference_is_that_of_the_two_and_surer_than_either() -> None:
    truth, mine = drawn(400)
    theirs = mine + np.random.default_rng(5).normal(0, 0.4, 400)

    apart = regression.estimate_difference(truth, mine, theirs)
    one, other = regression.estimate(truth, mine), regression.estimate(truth, theirs)

    for name in regression.NAMES:
        assert apart[name].value == pytest.approx(one[name].value - other[name].value)
    assert apart["r2"].low > 0
    assert apart["mae"].high < 0
    assert apart["r2"].high - apart["r2"].low < one["r2"].high - one["r2"].low
    assert regression.estimate_difference(truth, mine, mine)["rmse"].value == 0


def test_tenths_hold_as_many_rows_each_and_tell_the_errors() -> None:
    truth, predicted = drawn(500)
    table = regression.by_tenths(truth, predicted + (truth > np.quantile(truth, 0.9)))

    assert table["rows"].tolist() == [50] * 10
    assert table["truth"].is_monotonic_increasing
    assert table["error"].iloc[-1] > 0.6
    assert (table["low"] < table["error"]).all()
    assert table["rows"] @ table["mae"] / 500 == pytest.approx(
        metrics.mean_absolute_error(truth, predicted + (truth > np.quantile(truth, 0.9)))
    )


def test_few_values_make_few_tenths_and_each_row_is_in_one() -> None:
    parts = regression.tenths([1] * 50 + [2] * 49 + [3])

    assert parts.value_counts().to_dict() == {"1 to 1": 50, "2 to 2": 49, "3 to 3": 1}
    assert regression.tenths([0.1234561, 0.1234562] * 20).nunique() == 2


def test_real_patients_are_measured_as_is_known_of_them() -> None:
    """scikit-learn's diabetes data, on which linear models explain about half of the variance."""
    rows, truth = load_diabetes(return_X_y=True)
    predicted = cross_val_predict(RidgeCV(), rows, truth, cv=5)

    found = regression.estimate(truth, predicted)

    assert found["r2"].low < 0.48 < found["r2"].high
    assert found["mae"].value == pytest.approx(44.5, abs=1)


@pytest.mark.parametrize(
    ("truth", "predicted", "said"),
    [
        ([1.0, 1.0], [1.0, 2.0], "all 2 rows have the value 1: there is nothing to explain"),
        ([1.0, np.nan], [1.0, 2.0], "truth: 1 of 2 rows have none"),
        ([1.0, 2.0], [1.0], "not of the same rows: truth 2, predicted 1"),
        ([], [], "truth: no row, so nothing can be measured"),
    ],
)
def test_what_cannot_be_measured_is_refused(truth: list[float], predicted: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        regression.estimate(truth, predicted)


def test_one_group_says_nothing_of_how_sure_it_is() -> None:
    with pytest.raises(ValueError, match="all 3 rows are of one group"):
        regression.estimate([1, 2, 3], [1, 2, 4], groups=np.zeros(3, dtype=np.int64))
