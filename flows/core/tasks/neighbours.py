"""What found neighbours are worth: whether they are the nearest there are, and whether they are relevant.

Pure: arrays in, numbers and tables out. Must not know models, other tasks, or what a number decides.

A row that is asked has `k` neighbours in their order, a column each. How long a search takes is no metric of it.
Intervals are percentiles of a bootstrap over groups of the rows that are asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import same_rows
from flows.core.bootstrap import LEVEL, RESAMPLES, SEED, Estimate, over_resamples
from flows.core.groups import Groups
from flows.core.resampling import Counts

Numbers: TypeAlias = NDArray[np.float64]
Names: TypeAlias = NDArray[np.object_]

NAMES = ("precision_at_k", "recall_at_k")


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """Neighbours of each row that is asked, the nearest first (rows by k).

    `nearest` are the ids that were found, `exact` those that an exhaustive search finds, `relevant` what makes the
    found ones relevant, and `wanted` (rows) what the row itself bears; a row that bears nothing has no relevant
    neighbour and is left out of precision.
    """

    nearest: Names
    exact: Names
    relevant: Names
    wanted: Names

    def __post_init__(self) -> None:
        same_rows(nearest=self.nearest, exact=self.exact, relevant=self.relevant, wanted=self.wanted)
        if not self.nearest.size:
            raise ValueError("nearest: no row has a neighbour, so nothing can be measured")

    @property
    def hits(self) -> Numbers:
        """Of each row the share of relevant ones among the found (0 to 1); NaN where it bears nothing itself."""
        right = (self.relevant == self.wanted[:, None]).mean(axis=1)
        shares: Numbers = np.where(pd.isna(self.wanted), np.nan, right)
        return shares

    def kept(self, k: int | None = None) -> Numbers:
        """Of each row the share of the `k` exact ones (all where None) that are among the `k` found (0 to 1)."""
        found, exact = self.nearest[:, :k], self.exact[:, :k]
        shares: Numbers = (exact[:, :, None] == found[:, None, :]).any(axis=2).mean(axis=1)
        return shares


def estimate(
    found: Found,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """precision_at_k and recall_at_k, each 0 to 1, with their intervals at `level`.

    Rows of one of the `groups` are drawn together. Raises ValueError without rows, where no row bears what makes others
    relevant, or where all rows are of one group.
    """
    return _means(found.hits, found.kept(), groups, resamples, level, seed)


def estimate_difference(
    mine: Found,
    theirs: Found,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """What `mine` has more than `theirs` for the same rows, by the same names (-1 to 1).

    Paired: every resample takes the same rows for both. Raises what `estimate` raises.
    """
    same_rows(mine=mine.nearest, theirs=theirs.nearest)
    return _means(mine.hits - theirs.hits, mine.kept() - theirs.kept(), groups, resamples, level, seed)


def by_k(found: Found) -> pd.DataFrame:
    """A row for each number of neighbours from 1 to k: k, precision and recall (0 to 1) among so many."""
    right = (found.relevant == found.wanted[:, None])[~pd.isna(found.wanted)]
    numbers = range(1, found.nearest.shape[1] + 1)
    precision = [float(right[:, :k].mean()) if len(right) else np.nan for k in numbers]
    return pd.DataFrame(
        {"k": numbers, "precision": precision, "recall": [float(found.kept(k).mean()) for k in numbers]}
    )


def _means(
    hits: Numbers, kept: Numbers, groups: Groups | None, resamples: int, level: float, seed: int
) -> dict[str, Estimate]:
    bears = np.isfinite(hits)
    if not bears.any():
        raise ValueError("wanted: no row bears what makes others relevant, so that relevance cannot be measured")
    sums, known = np.where(bears, hits, 0.0), bears.astype(float)

    def measure(drawn: Counts) -> Numbers:
        bearing = known @ drawn
        return np.array([sums @ drawn / bearing if bearing else np.nan, kept @ drawn / drawn.sum()])

    return over_resamples(NAMES, measure, len(hits), groups, resamples=resamples, level=level, seed=seed)
