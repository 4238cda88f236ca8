"""Which rows are fitted on and which are answered then: by groups, or by time.

Pure. Must not know what is fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.groups import Groups
from flows.core.selection import make_folds

Numbers: TypeAlias = NDArray[np.float64]
Places: TypeAlias = NDArray[np.int64]
Splits: TypeAlias = Sequence[tuple[Places, Places]]
"""Places of the rows that are fitted on, and of those that are answered then."""

FOLDS = 5
STRATA = 10
"""Folds bear the same shares of so many parts of a number's values."""


def group_splits(truth: Numbers, groups: Groups, *, classes: bool) -> Splits:
    """FOLDS splits of all rows, no group on both sides, each with the shares of the classes, or else of the values.

    Raises ValueError where all rows of a class are of one group, and NoCandidateError where all rows are.
    """
    codes = truth.astype(np.int64) if classes else _strata(truth)
    fold = make_folds(codes, groups, limit=len(truth), folds=FOLDS).fold
    splits = [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in range(fold.max() + 1)]
    if classes and any(len(np.unique(truth[fitted])) < 2 for fitted, _ in splits):
        raise ValueError(
            "all rows of one class are of so few groups that a fold would be fitted without them: wait for more"
        )
    return splits


def time_splits(moments: Any, *, blocks: int = FOLDS, embargo: Any = 0) -> Splits:
    """Each block of time but the first, answered by what is older than its beginning by more than the `embargo`.

    `moments` are numbers or timestamps, `embargo` their difference. Blocks hold about as many rows each; rows of one
    moment stand in one block. Raises ValueError where there are fewer than two moments.
    """
    when = pd.Series(moments).reset_index(drop=True)
    block = pd.qcut(when.rank(method="min"), min(blocks + 1, when.nunique()), labels=False, duplicates="drop")
    begins = [when[block == number].min() for number in sorted(block.unique())]
    if len(begins) < 2:
        raise ValueError("rows of one moment cannot be split by time: there is no older row to learn from")
    splits = [
        (np.flatnonzero(when + embargo < begin), np.flatnonzero(block == number))
        for number, begin in zip(sorted(block.unique())[1:], begins[1:], strict=True)
    ]
    return [(fitted, held) for fitted, held in splits if len(fitted)]


def _strata(truth: Numbers) -> NDArray[np.int64]:
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, STRATA + 1)[1:-1]))
    return np.searchsorted(edges, truth, side="right").astype(np.int64)
