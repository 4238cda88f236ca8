"""Whether a confidence means what it says: probabilities from scores, and how far they are from the truth.

Pure: numbers in, numbers out. Must not know models or pictures.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.bootstrap import LEVEL, SEED, Estimate
from flows.core.groups import Groups
from flows.core.resampling import draw_rows

Numbers: TypeAlias = NDArray[np.float64]

BINS = 10
RESAMPLES = 200
"""Fewer than for the metrics: every resample touches every row, and the bounds are read to two digits."""
SLOPES = (1e-2, 1e3)


def fit_slope(scores: Numbers, codes: NDArray[np.int64]) -> float:
    """The number that makes probabilities of scores: softmax(slope * scores), with the least log loss.

    Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, 2017), which leaves every answer as it
    is. Scores (rows by classes) must be those of rows that the model was not fitted on, or it would seem too sure. Rows
    whose own class was not known to the fit (score of minus infinity) are left out.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    own = scores[np.arange(len(codes)), codes]
    usable = np.isfinite(own)
    if not usable.any():
        return 1.0
    wanted, table = own[usable], scores[usable]

    def log_loss(exponent: float) -> float:
        slope = np.exp(exponent)
        return float((logsumexp(slope * table, axis=1) - slope * wanted).mean())

    found = minimize_scalar(log_loss, bounds=tuple(np.log(SLOPES)), method="bounded")
    return float(np.exp(found.x))


def calibration_curve(confidence: Any, right: Any, *, groups: Groups | None = None, bins: int = BINS) -> pd.DataFrame:
    """One row a bin of confidence that holds rows: rows, mean confidence, share of right answers (0 to 1), low, high.

    Bins are of equal width, from 0 to 1; low and high are the Wilson interval of the share at 95 %, where the rows of
    one of the `groups` count as one.
    """
    places, sure, hits = _binned(confidence, right, bins)
    rows = np.bincount(places, minlength=bins)
    sums = np.bincount(places, weights=sure, minlength=bins), np.bincount(places, weights=hits, minlength=bins)
    held = rows > 0
    low, high = wilson(sums[1][held] / rows[held], _observations(places, groups, bins)[held])
    return pd.DataFrame(
        {
            "rows": rows[held],
            "confidence": sums[0][held] / rows[held],
            "right": sums[1][held] / rows[held],
            "low": low,
            "high": high,
        }
    )


def calibration_error(curve: pd.DataFrame) -> float:
    """The expected calibration error (0 to 1): mean distance of confidence and share of right answers over the rows.

    Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015.
    """
    distance = (curve["confidence"] - curve["right"]).abs()
    return float((distance * curve["rows"]).sum() / max(int(curve["rows"].sum()), 1))


def estimate_error(
    confidence: Any,
    right: Any,
    *,
    groups: Groups | None = None,
    bins: int = BINS,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> Estimate:
    """The expected calibration error (0 to 1) with its bootstrap interval; rows of one of the `groups` go together.

    A resample adds noise of its own to every bin, so the interval lies rather too high than too low.
    """
    places, sure, hits = _binned(confidence, right, bins)
    excess = sure - hits
    spread = [
        np.abs(np.bincount(places, weights=excess * drawn, minlength=bins)).sum() / drawn.sum()
        for drawn in draw_rows(np.arange(len(excess)) if groups is None else groups, resamples, seed)
    ]
    low, high = np.quantile(spread, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(calibration_error(calibration_curve(sure, hits, bins=bins)), float(low), float(high))


def wilson(share: Numbers, observations: NDArray[np.int64], level: float = LEVEL) -> tuple[Numbers, Numbers]:
    """Wilson's interval of a share at `level` (Wilson, Probable Inference, 1927), up to 0 and 1 for such a share.

    Of no observation anything may be true: 0 to 1.
    """
    from scipy.special import ndtri

    share = np.where(observations > 0, share, 0.5)
    z = float(ndtri(0.5 + 0.5 * level))
    denominator = 2 * (observations + z**2)
    centre = (2 * observations * share + z**2) / denominator
    half = z / denominator * np.sqrt(4 * observations * share * (1 - share) + z**2)
    return np.where(share == 0, 0.0, centre - half), np.where(share == 1, 1.0, centre + half)


def _observations(places: NDArray[np.int64], groups: Groups | None, bins: int) -> NDArray[np.int64]:
    """How many groups have rows in each bin."""
    if groups is None:
        return np.bincount(places, minlength=bins)
    return np.bincount(np.unique(np.stack([places, groups]), axis=1)[0], minlength=bins)


def _binned(confidence: Any, right: Any, bins: int) -> tuple[NDArray[np.int64], Numbers, Numbers]:
    sure, hits = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    return np.clip((sure * bins).astype(np.int64), 0, bins - 1), sure, hits
