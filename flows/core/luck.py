"""How good the best of many worthless strategies would look: the deflated Sharpe ratio.

Pure: returns in, a probability out. Bailey and López de Prado, The Deflated Sharpe Ratio: Correcting for Selection
Bias, Backtest Overfitting, and Non-Normality, Journal of Portfolio Management 40 (5), 2014. Ratios are those of one
period here, as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]

EULER_MASCHERONI = 0.5772156649015329


@dataclass(frozen=True, slots=True)
class Luck:
    """`sharpe` beside `expected`, what the best of so many `trials` without skill is expected to show.

    `chance` (0 to 1) is the probability that the true ratio is above 0, the selection among the trials allowed for.
    """

    sharpe: float
    expected: float
    trials: int
    chance: float


def deflate(returns: Numbers, trials: int) -> Luck:
    """The luck in a strategy's returns (one a period) when it was chosen among so many trials.

    Of trials without skill the ratios are taken to vary as those of one strategy without skill do over as many periods:
    by 1 / (periods - 1). Raises ValueError for fewer than three returns, or fewer than one trial. Returns that are all
    the same show nothing: half a chance.
    """
    from scipy.stats import kurtosis, skew

    if len(returns) < 3 or trials < 1:
        raise ValueError(f"{len(returns)} returns of {trials} trials tell nothing: three and one are needed at least")
    deviation = float(returns.std(ddof=1))
    expected = expected_best(trials, 1 / (len(returns) - 1))
    if not deviation:
        return Luck(0.0, expected, trials, 0.5)
    sharpe = float(returns.mean()) / deviation
    shape = float(skew(returns)), float(kurtosis(returns, fisher=False))
    return Luck(sharpe, expected, trials, probability(sharpe, expected, len(returns), *shape))


def expected_best(trials: int, variance: float) -> float:
    """The highest ratio that is expected of so many trials without skill, whose ratios have that variance."""
    from scipy.special import ndtri

    if trials == 1:
        return 0.0
    quantiles = ndtri(1 - 1 / trials), ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * ((1 - EULER_MASCHERONI) * quantiles[0] + EULER_MASCHERONI * quantiles[1]))


def probability(sharpe: float, expected: float, periods: int, skewness: float, kurtosis: float) -> float:
    """The chance (0 to 1) that the true ratio exceeds the expected one; `kurtosis` is 3 for normal returns."""
    from scipy.special import ndtr

    spread = np.sqrt(1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2)
    return float(ndtr((sharpe - expected) * np.sqrt(periods - 1) / spread))
