"""Drift between two samples of predictions: a level by column, and one over all.

Pure. Must not know where either sample comes from, which tool draws the report, or what an alarm sets off.

How far a column moved is its population stability index, PSI = sum((c - r) * ln(c / r)) over bins (Siddiqi, Credit
Risk Scorecards, 2006: below 0.1 no change, 0.1 to 0.25 some, above it much). The number alone misleads on small
samples: over 21 classes it is .31 on average at n = 100 without any drift. So a level counts only where a permutation
test agrees, at .01 divided by the number of tests of one look (Bonferroni): a look without drift then raises any level
in at most one of a hundred cases, however many columns it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.domain_classifier import score_texts

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
    return Drift({name: _compare_column(name, reference[name], current[name], allowed) for name in held})


def level_of(psi: float, p_value: float, allowed_p: float = P_VALUE) -> Level:
    """The highest level that the PSI reaches, where the permutation test is below `allowed_p`; else stable."""
    if p_value >= allowed_p:
        return Level.STABLE
    return max((level for level, least in LEVELS.items() if psi >= least), key=lambda it: it.rank, default=Level.STABLE)


def stability_index(reference_counts: NDArray[np.int64], current_counts: NDArray[np.int64]) -> NDArray[np.float64]:
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
    reference: NDArray[np.int64], current: NDArray[np.int64], *, permutations: int = PERMUTATIONS, seed: int = SEED
) -> Permuted:
    """The PSI of two arrays of bin numbers (0, 1, …) against random relabellings of their rows.

    To relabel rows at random is to draw the current counts from the pooled ones without replacement, a multivariate
    hypergeometric draw: all permutations are one call, whatever the number of rows.
    """
    bins = int(max(reference.max(), current.max())) + 1
    reference_counts = np.bincount(reference, minlength=bins)
    current_counts = np.bincount(current, minlength=bins)
    pooled = reference_counts + current_counts
    observed = float(stability_index(reference_counts, current_counts))
    draws = np.random.default_rng(seed).multivariate_hypergeometric(pooled, len(current), size=permutations)
    permuted = stability_index(pooled - draws, draws)
    reached = int((permuted >= observed - 1e-12).sum())
    return Permuted(observed, float(permuted.mean()), (reached + 1) / (permutations + 1))


def _compare_column(name: str, reference: pd.Series, current: pd.Series, allowed_p: float) -> ColumnDrift:
    if name in CATEGORIES:
        found = permutation_test(*_codes(reference, current))
    elif name in NUMBERS:
        found = permutation_test(*_bins(reference.to_numpy(dtype=float), current.to_numpy(dtype=float)))
    else:
        older, newer = score_texts(reference.fillna("").tolist(), current.fillna("").tolist())
        found = permutation_test(*_bins(older, newer))
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
