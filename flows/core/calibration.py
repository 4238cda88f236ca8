"""Whether a confidence means what it says: probabilities from scores, and how far they are from the truth.

Pure: numbers in, numbers out. Must not know models or pictures.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers: TypeAlias = NDArray[np.float64]

BINS = 10
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


def calibration_curve(confidence: Any, right: Any, *, bins: int = BINS) -> pd.DataFrame:
    """One row a bin of confidence that holds rows: rows, mean confidence and share of right answers (0 to 1).

    Bins are of equal width, from 0 to 1.
    """
    sure, hits = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    places = np.clip((sure * bins).astype(int), 0, bins - 1)
    rows = np.bincount(places, minlength=bins)
    held = rows > 0
    return pd.DataFrame(
        {
            "rows": rows[held],
            "confidence": np.bincount(places, weights=sure, minlength=bins)[held] / rows[held],
            "right": np.bincount(places, weights=hits, minlength=bins)[held] / rows[held],
        }
    )


def calibration_error(curve: pd.DataFrame) -> float:
    """The expected calibration error (0 to 1): mean distance of confidence and share of right answers over the rows.

    Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, 2015.
    """
    distance = (curve["confidence"] - curve["right"]).abs()
    return float((distance * curve["rows"]).sum() / max(int(curve["rows"].sum()), 1))
