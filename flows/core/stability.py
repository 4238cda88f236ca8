"""The population stability index, PSI, and how large chance makes it: by relabelling groups, and by drawing them anew.

Pure: numbers of bins in, numbers out. Must not know columns, levels or what an index decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from flows.core.groups import Groups
from flows.core.resampling import Kinds, draw_swaps

Counts: TypeAlias = NDArray[Any]
"""Rows by bin; whole numbers, unless what a group shows on one side is weighed as on the other."""

PERMUTATIONS = 1_999
"""The smallest p-value is then .0005: .01 may be shared by twenty tests."""
OWN_DRAWS = 499
SEED = 42


def stability_index(reference_counts: Counts, current_counts: Counts) -> NDArray[np.float64]:
    """PSI of counts by bin; bins lie on the last axis, further axes are kept.

    Half a row is added to every bin, so that an empty one gives a large number rather than an infinite one.
    """
    bins = reference_counts.shape[-1]
    reference = (reference_counts + 0.5) / (reference_counts.sum(axis=-1, keepdims=True) + 0.5 * bins)
    current = (current_counts + 0.5) / (current_counts.sum(axis=-1, keepdims=True) + 0.5 * bins)
    index: NDArray[np.float64] = ((current - reference) * np.log(current / reference)).sum(axis=-1)
    return index


@dataclass(frozen=True, slots=True)
class Permuted:
    """A PSI, its mean under random relabelling, and the share of relabellings that reach it."""

    psi: float
    chance_psi: float
    p_value: float


def permutation_test(
    reference: NDArray[np.int64],
    current: NDArray[np.int64],
    *,
    groups: Groups | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> Permuted:
    """The PSI of two arrays of bin numbers (0, 1, …) against random relabellings of their groups.

    `groups` holds a number for every row, those of the reference first; without it every row is a group. Groups that
    stand on one side are dealt anew to the sides. In one that stands on both, what its rows show on either side changes
    places or stays, and it keeps its weight on both.
    """
    bins = int(max(reference.max(), current.max())) + 1
    observed = float(stability_index(np.bincount(reference, minlength=bins), np.bincount(current, minlength=bins)))
    cells, side = np.concatenate([reference, current]), np.repeat([0, 1], [len(reference), len(current)])
    group = np.arange(len(cells)) if groups is None else groups
    present = [np.bincount(group[side == each], minlength=int(group.max()) + 1) > 0 for each in (0, 1)]
    both = (present[0] & present[1])[group]
    older, newer = _dealt(cells[~both], group[~both], side[~both], bins, permutations, seed)
    if both.any():
        exchanged = _exchanged(cells[both], group[both], side[both], bins, permutations, seed)
        older, newer = older + exchanged[0], newer + exchanged[1]
    permuted = stability_index(older, newer)
    reached = int((permuted >= observed - 1e-12).sum())
    return Permuted(observed, float(permuted.mean()), (reached + 1) / (permutations + 1))


def _dealt(
    cells: NDArray[np.int64], groups: Groups, side: NDArray[np.int64], bins: int, permutations: int, seed: int
) -> tuple[Counts, Counts]:
    """Counts by bin (columns) of both sides when the current one gets as many groups as it has, at random."""
    if not len(cells):
        return (nothing := np.zeros((permutations, bins), dtype=np.int64)), nothing
    members = np.unique(groups, return_inverse=True)[1]
    newer = Kinds.of(cells, members, bins).deal(len(np.unique(members[side == 1])), permutations, seed)
    return np.bincount(cells, minlength=bins) - newer, newer


def _exchanged(
    cells: NDArray[np.int64], groups: Groups, side: NDArray[np.int64], bins: int, permutations: int, seed: int
) -> tuple[Counts, Counts]:
    """Counts by bin (columns) of both sides when what a group shows on either side changes places, or stays."""
    from scipy.sparse import csr_array, diags_array

    members = np.unique(groups, return_inverse=True)[1]
    size = (int(members.max()) + 1, bins)
    own = [
        csr_array((np.ones(int((side == each).sum())), (members[side == each], cells[side == each])), shape=size)
        for each in (0, 1)
    ]
    rows = [table.sum(axis=1) for table in own]
    blocks: list[list[Counts]] = [[], []]
    for swaps in draw_swaps(size[0], permutations, seed):
        for each, other in ((0, 1), (1, 0)):
            change = diags_array(rows[each] / rows[other]) @ own[other] - own[each]
            blocks[each].append(own[each].sum(axis=0) + ((1 - swaps) / 2) @ change)
    older, newer = (np.concatenate(parts) for parts in blocks)
    return older, newer


def own_spread(
    reference: NDArray[np.int64], *, groups: Groups | None = None, draws: int = OWN_DRAWS, seed: int = SEED
) -> NDArray[np.float64]:
    """The PSI of the reference against itself: its groups drawn anew, with replacement, `draws` times."""
    bins = int(reference.max()) + 1
    members = None if groups is None else np.unique(groups, return_inverse=True)[1]
    drawn = Kinds.of(reference, members, bins).draw(draws, seed)
    return stability_index(np.bincount(reference, minlength=bins), drawn)


def sampling_p_value(
    reference: NDArray[np.int64],
    current: NDArray[np.int64],
    *,
    groups: Groups | None = None,
    draws: int = PERMUTATIONS,
    seed: int = SEED,
) -> float:
    """How often (0 to 1) shares by bin lie so far apart because of which groups were sampled.

    The groups of both sides are drawn anew, with replacement; one that stands on both is drawn for both. How far the
    difference of the shares strays from the one that was seen is the spread that it has without drift (a bootstrap
    test: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 16.4). Unlike a permutation it needs no
    group on the one side that might have stood on the other.
    """
    bins, first = int(max(reference.max(), current.max())) + 1, len(reference)
    cells = np.concatenate([reference, current + bins])
    drawn = Kinds.of(cells, groups, 2 * bins).draw(draws, seed).reshape(draws, 2, bins)
    seen = np.bincount(cells, minlength=2 * bins).reshape(1, 2, bins)
    pooled = (seen.sum(axis=(0, 1)) + 0.5) / (len(cells) + 0.5 * bins)
    whole, spread = _difference(seen), _difference(drawn)
    present = [np.unique(side) for side in (groups[:first], groups[first:])] if groups is not None else []
    fewest = min((len(side) for side in present), default=min(first, len(current)))
    if fewest < 2:
        return 1.0
    spread = (spread - whole) * np.sqrt(fewest / (fewest - 1))
    reached = ((spread**2 / pooled).sum(axis=1) >= (whole**2 / pooled).sum()).sum()
    return float((reached + 1) / (draws + 1))


def _difference(counts: Counts) -> NDArray[np.float64]:
    """Shares by bin of the newer side less those of the older; `counts` has draws, sides and bins."""
    shares = counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1)
    difference: NDArray[np.float64] = shares[:, 1] - shares[:, 0]
    return difference
