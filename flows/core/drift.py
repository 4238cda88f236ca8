"""Drift between two samples of predictions: a level by column, and one over all.

Pure. Must not know where either sample comes from, which tool draws the report, or what an alarm sets off.

How far a column moved is its population stability index, PSI = sum((c - r) * ln(c / r)) over bins (Siddiqi, Credit
Risk Scorecards, 2006: below 0.1 no change, 0.1 to 0.25 some, above it much). The number alone misleads on small
samples: over 21 classes it is .31 on average at n = 100 without any drift. So a level counts only where a permutation
test, which relabels whole groups (`flows.core.groups`), agrees, at .01 divided by the number of tests of one look
(Bonferroni): a look without drift then raises any level in at most one of a hundred cases, however many columns it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.domain_classifier import score_texts
from flows.core.groups import Groups, groups_of
from flows.core.resampling import Kinds, draw_swaps

Counts: TypeAlias = NDArray[Any]
"""Rows by bin; whole numbers, unless what a group shows on one side is weighed as on the other."""

CATEGORIES, NUMBERS, TEXTS = ("predicted_class",), ("confidence", "text_length"), ("text",)
COLUMNS = (*CATEGORIES, *NUMBERS, *TEXTS)
DATA_COLUMNS = ("text_length", "text")
"""Columns that do not depend on which model predicted."""
P_VALUE = 0.01
PERMUTATIONS = 1_999
"""The smallest p-value is then .0005: .01 may be shared by twenty tests."""
BINS = 10
SEED = 42


class Level(StrEnum):
    """How far something moved, in ascending order."""

    STABLE = "stable"
    WARNING = "warning"
    ALERT = "alert"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for stable to 3 for critical."""
        return list(Level).index(self)


LEVELS = {Level.WARNING: 0.1, Level.ALERT: 0.2, Level.CRITICAL: 0.3}
"""The PSI from which on a level counts."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """`psi` says how far the column moved, `chance_psi` what it is on average without drift at these sizes.

    `p_value` is the share of permutations (0 to 1) that reach it.
    """

    psi: float
    chance_psi: float
    p_value: float
    level: Level

    @property
    def drifted(self) -> bool:
        """Whether the column stands at alert or above."""
        return self.level.rank >= Level.ALERT.rank


@dataclass(frozen=True, slots=True)
class Drift:
    """All columns of one comparison."""

    columns: Mapping[str, ColumnDrift]

    @property
    def score(self) -> float:
        """The share of drifted columns, 0 to 1."""
        return sum(column.drifted for column in self.columns.values()) / len(self.columns) if self.columns else 0.0

    @property
    def level(self) -> Level:
        """That of the column which moved furthest."""
        return max(
            (column.level for column in self.columns.values()), key=lambda level: level.rank, default=Level.STABLE
        )

    def drifted(self) -> list[str]:
        """Names of the drifted columns."""
        return [name for name, column in self.columns.items() if column.drifted]


def compare(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Sequence[str] = COLUMNS, *, tests: int | None = None
) -> Drift:
    """How the current predictions differ from the reference, in those of the columns that both hold.

    Both hold at least one row. `tests` is the number of tests that share the error of .01: all of one look's, else
    the columns of this comparison. Text is compared by the scores of a classifier that tries to tell the sides apart,
    so that one rule judges all columns; one that tells them apart no better than chance found nothing.
    """
    held = [name for name in columns if name in reference.columns and name in current.columns]
    allowed = P_VALUE / max(tests or len(held), 1)
    keys = [name for name in ("group", "text") if name in reference.columns and name in current.columns]
    groups = groups_of(pd.concat([reference[keys], current[keys]], ignore_index=True))
    return Drift({name: _compare_column(name, reference[name], current[name], groups, allowed) for name in held})


def level_of(psi: float, p_value: float, allowed_p: float = P_VALUE) -> Level:
    """The highest level that the PSI reaches, where the permutation test is below `allowed_p`; else stable."""
    if p_value >= allowed_p:
        return Level.STABLE
    return max((level for level, least in LEVELS.items() if psi >= least), key=lambda it: it.rank, default=Level.STABLE)


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


def _compare_column(
    name: str, reference: pd.Series, current: pd.Series, groups: Groups, allowed_p: float
) -> ColumnDrift:
    if name in CATEGORIES:
        found = permutation_test(*_codes(reference, current), groups=groups)
    elif name in NUMBERS:
        numbers = reference.to_numpy(dtype=float), current.to_numpy(dtype=float)
        found = permutation_test(*_bins(*numbers), groups=groups)
    else:
        older, newer = score_texts(reference.fillna("").tolist(), current.fillna("").tolist(), groups=groups)
        found = permutation_test(*_bins(older, newer), groups=groups)
        if newer.mean() <= older.mean():
            found = Permuted(found.psi, found.chance_psi, 1.0)
    return ColumnDrift(found.psi, found.chance_psi, found.p_value, level_of(found.psi, found.p_value, allowed_p))


def _codes(reference: pd.Series, current: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values = pd.concat([reference.astype(str), current.astype(str)], ignore_index=True)
    codes = pd.factorize(values, sort=True)[0].astype(np.int64)
    return codes[: len(reference)], codes[len(reference) :]


def _bins(reference: NDArray[np.float64], current: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bin numbers by the deciles of both sides together: bins that know the sides would bias the permutation test."""
    pooled = np.concatenate([reference, current])
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, BINS + 1)[1:-1]))
    codes = np.searchsorted(edges, pooled, side="right").astype(np.int64)
    return codes[: len(reference)], codes[len(reference) :]
