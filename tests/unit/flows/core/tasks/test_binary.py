"""Metrics of a probability are scikit-learn's, their intervals hold the truth, and pairs are compared row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, ndtri
from scipy.stats import norm
from sklearn import metrics

from flows.core.calibration import calibration_curve, calibration_error
from flows.core.tasks import binary

LONELY = 0
"""With this seed the first resample of two rows holds one of them twice."""


def drawn(rows: int, seed: int = 1, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Truths, and the probabilities of a model that sees their log odds through noise."""
    random = np.random.default_rng(seed)
    odds = random.normal(-1, 1.5, rows)
    return (random.random(rows) < expit(odds)).astype(int), expit(odds + random.normal(0, noise, rows))


def scikit(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray | None = None) -> list[float]:
    return [
        metrics.roc_auc_score(truth, probability, sample_weight=weights),
        metrics.average_precision_score(truth, probability, sample_weight=weights),
        metrics.brier_score_loss(truth, probability, sample_weight=weights),
        metrics.log_loss(truth, probability, sample_weight=weights),
        lift(truth, probability, weights),
    ]


def lift(truth: np.ndarray, probability: np.ndarray, weights: np.ndarray | None) -> float:
    """That of the first tenth, each row standing there as often as it counts."""
    often = np.ones(len(truth), dtype=int) if weights is None else weights
    return float(binary.deciles(np.repeat(truth, often), np.repeat(probability, often))["lift"].iloc[0])


@pytest.mark.parametrize("digits", [None, 1, 0], ids=["no ties", "ties", "only certain ones"])
def test_the_values_are_those_of_scikit_learn(digits: int | None) -> None:
    truth, probability = drawn(400)
    probability = probability if digits is None else probability.round(digits)

    found = binary.estimate(truth, probability, resamples=20)

    assert [found[name].value for name in binary.NAMES] == pytest.approx(scikit(truth, probability))


def test_every_resample_is_measured_as_scikit_learn_would() -> None:
    truth, probability = drawn(60)
    ranked, random = binary._Ranked.of(truth, probability.round(1)), np.random.default_rng(2)

    for _ in range(20):
        weights = np.bincount(random.integers(0, 60, 60), minlength=60)
        assert ranked.measure(weights) == pytest.approx(scikit(truth, probability.round(1), weights))


def test_equal_probabilities_rank_nothing() -> None:
    truth = drawn(200)[0]

    found = binary.estimate(truth, np.full(200, 0.3), resamples=50)

    assert (found["auc"].value, found["auc"].low, found["auc"].high) == (0.5, 0.5, 0.5)
    assert found["average_precision"].value == pytest.approx(truth.mean())


def test_the_interval_of_the_auc_holds_the_truth_as_often_as_it_says() -> None:
    """Two normal populations an AUC of .8 apart; of 100 samples 95 % must, less three binomial deviations, .065."""
    apart, random, held = ndtri(0.8) * np.sqrt(2), np.random.default_rng(3), 0
    for seed in range(100):
        truth = np.repeat([0, 1], [90, 60])
        found = binary.estimate(truth, norm.cdf(random.normal(truth * apart)), resamples=150, seed=seed)["auc"]
        held += found.low <= 0.8 <= found.high

    assert held / 100 >= 0.95 - 0.065


def test_rows_of_one_group_count_as_one() -> None:
    """Every row four times: the interval is that of the rows once, and half as wide where groups are not known."""
    truth, probability = drawn(300)
    four = np.repeat(truth, 4), np.repeat(probability, 4)

    once = binary.estimate(truth, probability)["auc"]
    known = binary.estimate(*four, groups=np.repeat(np.arange(300), 4))["auc"]
    unknown = binary.estimate(*four)["auc"]

    assert (known.low, known.high) == pytest.approx((once.low, once.high), abs=0.01)
    assert (unknown.high - unknown.low) / (once.high - once.low) == pytest.approx(0.5, abs=0.1)


def test_a_pair_is_told_apart_where_two_separate_intervals_overlap() -> None:
    truth, mine = drawn(600)
    theirs = expit(np.log(mine / (1 - mine)) + np.random.default_rng(9).normal(0, 1.0, 600))

    pair = binary.estimate_difference(truth, mine, theirs)
    one, other = (binary.estimate(truth, model)["auc"] for model in (mine, theirs))

    assert pair["auc"].low > 0
    assert other.high > one.low
    assert pair["auc"].value == pytest.approx(one.value - other.value)
    assert pair["brier"].value < 0


def test_a_model_compared_with_itself_differs_by_nothing() -> None:
    truth, probability = drawn(100)

    for found in binary.estimate_difference(truth, probability, probability, resamples=20).values():
        assert (found.value, found.low, found.high) == (0, 0, 0)


def test_a_resample_of_one_class_is_left_out() -> None:
    truth = np.array([1] + [0] * 9)

    found = binary.estimate(truth, np.linspace(0.9, 0.1, 10))

    assert (found["auc"].low, found["auc"].high) == (1.0, 1.0)


def test_certain_and_wrong_is_dear_and_finite() -> None:
    assert 0 < binary.estimate([0, 1, 1, 0], [1.0, 0.0, 1.0, 0.0], resamples=20)["log_loss"].value < 40


@pytest.mark.parametrize(
    ("truth", "probability", "groups", "message"),
    [
        ([0, np.nan, 1], [0.1, 0.2, 0.3], None, "truth: 1 of 3 rows have none"),
        ([0, 1, 1], [0.1, np.nan, np.nan], None, "probability: 2 of 3 rows have none"),
        ([0, 1, 1], [0.1, 0.2, 1.2], None, "probability: a probability lies between 0 and 1"),
        ([0, 1, 3], [0.1, 0.2, 0.3], None, "here is also 3"),
        ([1, 1, 1], [0.1, 0.2, 0.3], None, "all 3 rows are of one class"),
        ([0, 1], [0.1, 0.2, 0.3], None, "truth 2, probability 3"),
        ([], [], None, "no row"),
        ([0, 1, 1], [0.1, 0.2, 0.3], np.zeros(3, dtype=int), "all 3 rows are of one group"),
        ([0, 1, 1], [0.1, 0.2, 0.3], np.arange(2), "3 rows, and groups of 2"),
        ([0, 1], [0.1, 0.2], np.array([0, 1]), "no resample of the groups holds both classes"),
    ],
)
def test_what_cannot_be_measured_is_refused_by_name(
    truth: list[float], probability: list[float], groups: np.ndarray | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        binary.estimate(truth, probability, groups=groups, resamples=1, seed=LONELY)


def test_deciles_tell_lift_and_the_highest_come_first() -> None:
    truth, probability = drawn(1_000, noise=0.0)

    table = binary.deciles(truth, probability)

    assert list(table["decile"]) == list(range(1, 11))
    assert (table["rows"] == 100).all()
    assert table["probability"].is_monotonic_decreasing
    assert table["lift"].iloc[0] > 2
    assert (table["lift"] * table["rows"]).sum() / 1_000 == pytest.approx(1.0)
    assert table["positive"].iloc[0] == pytest.approx(table["probability"].iloc[0], abs=0.15)


def test_rows_of_equal_probability_stand_in_one_decile() -> None:
    table = binary.deciles([0, 1] * 50, [0.5] * 100)

    assert len(table) == 1
    assert table.iloc[0][["rows", "positive", "lift"]].tolist() == [100, 0.5, 1.0]
    assert binary.deciles([0, 0], [0.1, 0.2])["lift"].isna().all()


def test_the_curve_encloses_the_area_and_begins_where_nobody_is_selected() -> None:
    truth, probability = drawn(500)

    curve = binary.roc_curve(truth, probability)

    assert curve.iloc[0].tolist() == [np.inf, 0, 0]
    assert curve.iloc[-1][["false_positive_rate", "true_positive_rate"]].tolist() == [1, 1]
    area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
    assert area == pytest.approx(metrics.roc_auc_score(truth, probability))


def test_confusion_counts_by_threshold_and_has_all_four_cells() -> None:
    table = binary.confusion([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9], threshold=0.5)

    assert table.to_numpy().tolist() == [[1, 1], [0, 2]]
    assert binary.confusion([0, 0], [0.1, 0.2]).to_numpy().tolist() == [[2, 0], [0, 0]]


def test_calibration_takes_a_probability_and_its_truth() -> None:
    """The curve of confidences serves: each bin's mean probability beside the share that came true."""
    truth, probability = drawn(5_000, noise=0.0)

    curve = calibration_curve(probability, truth)

    assert calibration_error(curve) < 0.02
    assert isinstance(curve, pd.DataFrame)
