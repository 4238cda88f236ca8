"""The deflated Sharpe ratio: the paper's own numbers, and what it says of strategies without skill."""

from __future__ import annotations

import numpy as np
import pytest

from flows.core import luck


def test_the_example_of_the_paper() -> None:
    """Bailey and López de Prado, 2014, "A numerical example": 100 trials, five years of 250 days, a ratio of 2.5."""
    expected = luck.expected_best(100, 1 / (2 * 250))
    assert expected == pytest.approx(0.1132, abs=5e-5)
    assert luck.probability(2.5 / np.sqrt(250), expected, 1250, -3, 10) == pytest.approx(0.9004, abs=5e-5)
    # the paper goes on: of 46 trials it would be .95
    fewer = luck.expected_best(46, 1 / (2 * 250))
    assert luck.probability(2.5 / np.sqrt(250), fewer, 1250, -3, 10) == pytest.approx(0.9505, abs=5e-4)


def test_one_trial_is_no_selection() -> None:
    returns = np.random.default_rng(1).normal(0.001, 0.01, 500)
    found = luck.deflate(returns, 1)
    assert found.expected == 0
    assert found.sharpe == pytest.approx(returns.mean() / returns.std(ddof=1))
    assert found.chance == pytest.approx(luck.probability(found.sharpe, 0.0, 500, *_shape(returns)))


def test_the_best_of_many_without_skill_is_as_good_as_expected_and_passes_for_luck() -> None:
    random, trials, periods = np.random.default_rng(7), 20, 500
    best = []
    for _ in range(200):
        found = random.normal(0, 0.01, (trials, periods))
        best.append(max(found, key=lambda returns: returns.mean() / returns.std()))
    ratios = [returns.mean() / returns.std(ddof=1) for returns in best]

    assert np.mean(ratios) == pytest.approx(luck.expected_best(trials, 1 / (periods - 1)), rel=0.05)
    sure = np.mean([luck.deflate(returns, trials).chance > 0.95 for returns in best])
    assert sure < 0.05
    assert np.mean([luck.deflate(returns, 1).chance > 0.95 for returns in best]) > 0.5


def test_returns_that_never_differ_show_nothing() -> None:
    assert luck.deflate(np.zeros(100), 8).chance == 0.5


@pytest.mark.parametrize(("returns", "trials"), [([0.1, 0.2], 1), ([0.1, 0.2, 0.3], 0)])
def test_too_little_is_refused(returns: list[float], trials: int) -> None:
    with pytest.raises(ValueError, match="tell nothing"):
        luck.deflate(np.array(returns), trials)


def _shape(returns: np.ndarray) -> tuple[float, float]:
    from scipy.stats import kurtosis, skew

    return float(skew(returns)), float(kurtosis(returns, fisher=False))
