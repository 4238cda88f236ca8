"""What clusters are worth where nobody knows the right ones: how far apart they are, and whether they come back.

Pure: arrays in, numbers and tables out. Must not know models, other tasks, or what a number decides.

How far apart: the silhouette (Rousseeuw, 1987) of each row, in points that no model has made, so that two models are
measured alike. A row that is drawn twice moves the silhouettes of others, too: the rows' own alone would give an
interval half as wide as the truth varies. So it is a bootstrap over groups of the rows' influences (Efron and
Tibshirani, An Introduction to the Bootstrap, 1993, chapter 22), against clusters as they are.
Whether they come back: the adjusted Rand index (Hubert and Arabie, 1985)
between the answers and those of replicas, the same clustering of resampled training rows; 1 where they agree in all
pairs of rows, 0 as chance does (Hennig, Cluster-wise assessment of cluster stability, 2007, for the idea). Its interval
is a bootstrap over the replicas.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import same_rows
from flows.core.bootstrap import LEVEL, RESAMPLES, SEED, Estimate, interval, over_resamples
from flows.core.groups import Groups
from flows.core.resampling import Counts
from flows.core.selection import sample_groups

Numbers: TypeAlias = NDArray[np.float64]

NAMES = ("silhouette", "stability", "clusters")
MEASURED_ROWS = 4_000
"""Of more rows so many are measured, whole groups of them: every pair has a distance."""
BLOCK_MEGABYTES = 64
"""So much memory is taken by distances at a time."""


def estimate(
    points: Numbers,
    answers: Any,
    replicas: Any,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """silhouette (-1 to 1), stability (at most 1) and clusters (how many are answered), with intervals at `level`.

    `points` has a row of coordinates for each answer, `replicas` one of their answers, a column each. Rows of one of
    the `groups` are drawn together. Raises ValueError where all rows are of one group, or where there is no replica.
    """
    kept = measured_rows(len(points), groups)
    own = influences(points[kept], np.asarray(answers)[kept])
    members = None if groups is None else groups[kept]
    found = mean_silhouette(own, members, resamples=resamples, level=level, seed=seed)
    agreed = agreement(answers, replicas)
    stable = interval(float(agreed.mean()), _redrawn(agreed, resamples, seed), level)
    number = float(len(np.unique(np.asarray(answers))))
    return {"silhouette": found, "stability": stable, "clusters": Estimate(number, number, number)}


def estimate_difference(
    points: Numbers,
    mine: tuple[Any, Any],
    theirs: tuple[Any, Any],
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """What `mine` has more than `theirs` on the same rows, by the same names; each are answers and their replicas.

    What each row adds to the silhouettes is compared row by row. Raises what `estimate` raises.
    """
    kept = measured_rows(len(points), groups)
    apart = influences(points[kept], np.asarray(mine[0])[kept]) - influences(points[kept], np.asarray(theirs[0])[kept])
    members = None if groups is None else groups[kept]
    found = mean_silhouette(apart, members, resamples=resamples, level=level, seed=seed)
    one, other = agreement(*mine), agreement(*theirs)
    spread = _redrawn(one, resamples, seed) - _redrawn(other, resamples, seed + 1)
    stable = interval(float(one.mean() - other.mean()), spread, level)
    number = float(len(np.unique(np.asarray(mine[0]))) - len(np.unique(np.asarray(theirs[0]))))
    return {"silhouette": found, "stability": stable, "clusters": Estimate(number, number, number)}


def silhouettes(points: Numbers, answers: Any) -> Numbers:
    """Of each row, -1 to 1; 0 for one alone in its cluster, and for all where there is one cluster or none but such."""
    from sklearn.metrics import silhouette_samples

    same_rows(points=points, answers=answers)
    codes = pd.factorize(np.asarray(answers))[0]
    if not 2 <= codes.max(initial=0) + 1 < len(codes):
        return np.zeros(len(codes))
    own: Numbers = silhouette_samples(points, codes)
    return own


def influences(points: Numbers, answers: Any) -> Numbers:
    """Of each row the mean silhouette and what the row adds to it, so that their mean is the mean silhouette.

    In a resample of the rows the mean of these is that of the resample's silhouettes, but for terms of second order.
    """
    from sklearn.metrics import pairwise_distances_chunked

    same_rows(points=points, answers=answers)
    codes = pd.factorize(np.asarray(answers))[0]
    sizes = np.bincount(codes)
    if not 2 <= len(sizes) < len(codes):
        return np.zeros(len(codes))
    own, moved, begin = np.zeros(len(codes)), np.zeros(len(codes)), 0
    for distances in pairwise_distances_chunked(points, working_memory=BLOCK_MEGABYTES):
        rows = slice(begin, begin := begin + len(distances))
        own[rows], slopes, means = _slopes(distances, codes, codes[rows], sizes)
        moved += np.einsum("ij,ij->j", slopes[:, codes], distances) - np.einsum("ij,ij->j", slopes, means)[codes]
        itself = np.arange(len(distances)), codes[rows]
        moved[rows] += slopes[itself] * means[itself]  # no row is at a distance from itself
    influence: Numbers = own + moved
    return influence


def _slopes(
    distances: Numbers, codes: NDArray[np.int64], own: NDArray[np.int64], sizes: NDArray[np.int64]
) -> tuple[Numbers, Numbers, Numbers]:
    """The silhouettes of some rows, and by cluster their change with a row of it, and their mean distances to it.

    `distances` are those of these rows (down) to all (across), `codes` the clusters of all and `own` those of these. A
    row that is alone in its cluster has a silhouette of 0, and nothing moves it.
    """
    places, several = np.arange(len(own)), sizes[own] > 1
    sums = np.stack([distances[:, codes == code].sum(axis=1) for code in range(len(sizes))], axis=1)
    divisors = np.tile(sizes, (len(own), 1)).astype(float)
    divisors[places, own] = np.maximum(sizes[own] - 1, 1)
    means = sums / divisors
    others = means.copy()
    others[places, own] = np.inf
    next_one = others.argmin(axis=1)
    inside, beyond = means[places, own], others[places, next_one]
    largest = np.maximum(np.maximum(inside, beyond), np.finfo(float).tiny)
    by_inside = np.where(inside < beyond, -1 / largest, -beyond / largest**2)
    by_beyond = np.where(inside < beyond, inside / largest**2, 1 / largest)
    slopes = np.zeros_like(means)
    slopes[places, own] = by_inside * several / divisors[places, own]
    slopes[places, next_one] = by_beyond * several / divisors[places, next_one]
    return (beyond - inside) / largest * several, slopes, means


def mean_silhouette(
    own: Numbers,
    groups: Groups | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> Estimate:
    """The mean of the rows' influences, or of differences of them; raises ValueError where all are of one group."""
    members = None if groups is None else np.unique(groups, return_inverse=True)[1]

    def mean(drawn: Counts) -> Numbers:
        return np.array([own @ drawn / drawn.sum()])

    (found,) = over_resamples(
        ("silhouette",), mean, len(own), members, resamples=resamples, level=level, seed=seed
    ).values()
    return found


def agreement(answers: Any, replicas: Any) -> Numbers:
    """The adjusted Rand index (at most 1) between the answers and each replica's; ValueError where there is none."""
    from sklearn.metrics import adjusted_rand_score

    table = np.asarray(replicas)
    same_rows(answers=answers, replicas=table)
    if table.ndim != 2 or not table.shape[1]:
        raise ValueError("clusters are compared with those of resampled rows, and there is no such replica")
    codes = pd.factorize(np.asarray(answers))[0]
    return np.array([adjusted_rand_score(codes, pd.factorize(column)[0]) for column in table.T])


def sizes(points: Numbers, answers: Any) -> pd.DataFrame:
    """A row a cluster, by its name: cluster, rows, share of all rows (0 to 1) and silhouette (mean of a part of them).

    A cluster of which no row was measured has none.
    """
    names = pd.Series(np.asarray(answers, dtype=object)).astype(str)
    kept = measured_rows(len(points))
    own = pd.Series(silhouettes(points[kept], names.to_numpy()[kept])).groupby(names.to_numpy()[kept]).mean()
    table = names.value_counts().rename_axis("cluster").rename("rows").reset_index()
    table = table.assign(share=table["rows"] / len(names), silhouette=table["cluster"].map(own))
    return table.sort_values("cluster", key=lambda column: column.str.zfill(9), ignore_index=True)


def measured_rows(rows: int, groups: Groups | None = None) -> NDArray[np.int64]:
    """Places of the rows that are measured: all, or MEASURED_ROWS and fewer, whole groups of them."""
    return sample_groups(np.arange(rows) if groups is None else groups, MEASURED_ROWS)


def _redrawn(agreed: Numbers, resamples: int, seed: int) -> Numbers:
    """The mean of the replicas' agreement in resamples of the replicas."""
    random = np.random.default_rng(seed)
    means: Numbers = agreed[random.integers(0, len(agreed), (resamples, len(agreed)))].mean(axis=1)
    return means
