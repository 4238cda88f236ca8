"""The rule beside which ours is measured: rows drawn one by one, and an exact sign test for each class by itself.

That is what a comparison of two models by the textbook does (McNemar's test, the bootstrap of rows): it knows neither
how many classes it tests nor that rows may be copies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

Codes = NDArray[np.int64]


def vetoes(truth: Codes, mine: Codes, theirs: Codes, *, limit: float, error: float) -> bool:
    """Whether any class's F1 falls by more than `limit` with a p-value of its own below `error`."""
    size = int(max(truth.max(), mine.max(), theirs.max())) + 1
    lost, won = (_only(truth, one, other, size) for one, other in ((theirs, mine), (mine, theirs)))
    p_values = binom.sf(lost - 1, lost + won, 0.5)
    fall = _f1(truth, theirs, size) - _f1(truth, mine, size)
    return bool(((fall > limit) & (p_values < error)).any())


def _only(truth: Codes, right: Codes, wrong: Codes, size: int) -> Codes:
    """By class, the rows on which the one is right about the class and the other is not."""
    differ = right != wrong
    true, given, other = truth[differ], right[differ], wrong[differ]
    by_truth = np.bincount(true[given == true], minlength=size)
    return by_truth + np.bincount(other[other != true], minlength=size)


def _f1(truth: Codes, said: Codes, size: int) -> NDArray[np.float64]:
    hits = np.bincount(truth[truth == said], minlength=size)
    return 2 * hits / np.maximum(np.bincount(truth, minlength=size) + np.bincount(said, minlength=size), 1)
