"""Confidences mean what they say, and the error is told when they do not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from flows.core import calibration


def drawn(slope: float, rows: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and classes that follow softmax(slope * scores)."""
    random = np.random.default_rng(1)
    scores = random.normal(size=(rows, 4))
    edges = softmax(slope * scores, axis=1).cumsum(axis=1)
    return scores, (edges < random.random((rows, 1))).sum(axis=1)


@pytest.mark.parametrize("slope", [0.3, 1.0, 4.0])
def test_the_slope_that_made_the_classes_is_found(slope: float) -> None:
    """The estimate's own deviation at 20,000 rows is near 1.5 %: three of them."""
    assert calibration.fit_slope(*drawn(slope)) == pytest.approx(slope, rel=0.05)


def test_rows_of_a_class_that_no_fit_knew_do_not_count() -> None:
    scores, codes = drawn(2.0)
    scores[:50, 0], codes[:50] = -np.inf, 0

    assert calibration.fit_slope(scores, codes) == pytest.approx(2.0, rel=0.05)


def test_probabilities_with_the_slope_are_calibrated_and_without_it_are_not() -> None:
    scores, codes = drawn(4.0)
    right = scores.argmax(axis=1) == codes

    errors = [
        calibration.estimate_error(softmax(slope * scores, axis=1).max(axis=1), right)
        for slope in (1.0, calibration.fit_slope(scores, codes))
    ]

    assert errors[0].low > 0.2
    assert errors[1].value < 0.015
    assert errors[1].low <= errors[1].value


def test_the_curve_of_a_known_case() -> None:
    sure, right = [0.95, 0.99, 1.0, 0.55], [True, True, False, False]
    curve = calibration.calibration_curve(sure, right)

    assert list(curve["rows"]) == [1, 3]
    assert list(curve["confidence"]) == pytest.approx([0.55, 0.98])
    assert list(curve["right"]) == pytest.approx([0.0, 2 / 3])
    assert list(curve["low"]) == pytest.approx([0.0, 0.2077], abs=1e-3)
    assert list(curve["high"]) == pytest.approx([0.7935, 0.9385], abs=1e-3)
    assert calibration.estimate_error(sure, right).value == pytest.approx((0.55 + 3 * (0.98 - 2 / 3)) / 4)
