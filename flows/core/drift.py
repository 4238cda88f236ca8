"""Drift between two samples of predictions: a level by column, and one over all.

Pure. Must not know where either sample comes from, which tool draws the report, or what an alarm sets off.

How far a column moved is its population stability index, PSI = sum((c - r) * ln(c / r)) over bins (Siddiqi, Credit
Risk Scorecards, 2006: below 0.1 no change, 0.1 to 0.25 some, above it much). The number alone misleads on small
samples: over 21 classes it is .31 on average at n = 100 without any drift. So a level counts only where a permutation
test, which relabels whole groups (`flows.core.groups`), agrees, at .01 divided by the number of tests of one check
(Bonferroni): a check without drift then raises any level in at most one of a hundred cases, however many columns.

Permutations deal what both sides hold; that the reference's few groups may be no sample of the population they do not
see. So the groups are drawn anew as well (`sampling_p_value`), and both have to agree. A missing value is a level of
its own in every column: its share is watched as any other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.domain_classifier import score_texts
from flows.core.groups import TEXT_KEY, Groups, sampled_groups
from flows.core.stability import own_spread, permutation_test, sampling_p_value, stability_index

__all__ = [
    "COLUMNS",
    "ColumnDrift",
    "Drift",
    "Level",
    "compare",
    "is_missing",
    "level_of",
    "permutation_test",
    "stability_index",
]

PREDICTION, SCORE = "prediction", "score"
CATEGORIES, NUMBERS, TEXTS = (PREDICTION,), (SCORE, "text_length"), ("text",)
COLUMNS = (*CATEGORIES, *NUMBERS, *TEXTS)
DATA_COLUMNS = ("text_length", "text")
"""Columns of texts that do not depend on which model predicted."""
MODEL_COLUMNS = tuple(name for name in COLUMNS if name not in DATA_COLUMNS)
P_VALUE = 0.01
BINS = 10


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

    `p_value` is the share of permutations (0 to 1) that reach it, or of resamples of the groups where that is larger.
    `missing` is the share (0 to 1) of rows without a value, `false_alarm_rate` that of the reference's own resamples
    which stand at alert against the reference itself.
    """

    psi: float
    chance_psi: float
    p_value: float
    level: Level
    missing: float = 0.0
    reference_missing: float = 0.0
    false_alarm_rate: float = 0.0

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

    Both hold at least one row. `tests` is the number of tests that share the error of .01: all of one check's, else
    the columns of this comparison. Text is compared by the scores of a classifier that tries to tell the sides apart,
    so that one rule judges all columns; one that tells them apart no better than chance found nothing.
    """
    held = [name for name in columns if name in reference.columns and name in current.columns]
    allowed = P_VALUE / max(tests or len(held), 1)
    keys = [name for name in ("group", "text", TEXT_KEY) if name in reference.columns and name in current.columns]
    groups = sampled_groups(pd.concat([reference[keys], current[keys]], ignore_index=True))
    return Drift({name: _compare_column(name, reference[name], current[name], groups, allowed) for name in held})


def level_of(psi: float, p_value: float, allowed_p: float = P_VALUE) -> Level:
    """The highest level that the PSI reaches, where the permutation test is below `allowed_p`; else stable."""
    if p_value >= allowed_p:
        return Level.STABLE
    return max((level for level, least in LEVELS.items() if psi >= least), key=lambda it: it.rank, default=Level.STABLE)


def is_missing(values: pd.Series) -> NDArray[np.bool_]:
    """Where there is no value: none at all, an empty text, or a number that is not finite."""
    if pd.api.types.is_numeric_dtype(values):
        none: NDArray[np.bool_] = ~np.isfinite(values.to_numpy(dtype=float, na_value=np.nan))
        return none
    blank: NDArray[np.bool_] = values.fillna("").astype(str).str.strip().eq("").to_numpy(dtype=bool)
    return blank


def _compare_column(
    name: str, reference: pd.Series, current: pd.Series, groups: Groups, allowed_p: float
) -> ColumnDrift:
    pooled, first = pd.concat([reference, current], ignore_index=True), len(reference)
    missing = is_missing(pooled)
    codes = np.zeros(len(pooled), dtype=np.int64)
    if name in TEXTS:
        codes[~missing] = _text_bins(pooled[~missing], int((~missing[:first]).sum()), groups[~missing])
    elif name in NUMBERS or pd.api.types.is_numeric_dtype(pooled):
        codes[~missing] = _bins(pooled[~missing].to_numpy(dtype=float))
    else:
        codes[~missing] = pd.factorize(pooled[~missing].astype(str), sort=True)[0]
    codes[missing] = codes.max(initial=-1, where=~missing) + 1  # missing values are a bin of their own
    sides = codes[:first], codes[first:]
    own = own_spread(sides[0], groups=groups[:first])
    found = permutation_test(*sides, groups=groups)
    p_value = found.p_value
    if p_value < allowed_p and found.psi >= min(LEVELS.values()):
        p_value = max(p_value, sampling_p_value(*sides, groups=groups))
    return ColumnDrift(
        psi=found.psi,
        chance_psi=found.chance_psi,
        p_value=p_value,
        level=level_of(found.psi, p_value, allowed_p),
        missing=float(missing[first:].mean()),
        reference_missing=float(missing[:first].mean()),
        false_alarm_rate=float((own >= LEVELS[Level.ALERT]).mean()),
    )


def _text_bins(pooled: pd.Series, first: int, groups: Groups) -> NDArray[np.int64]:
    """Bin numbers of texts, the `first` of which are the older; one bin where a classifier tells nothing apart."""
    nothing = np.zeros(len(pooled), dtype=np.int64)
    if not 0 < first < len(pooled):
        return nothing
    texts, members = pooled.tolist(), np.unique(groups, return_inverse=True)[1]
    older, newer = score_texts(texts[:first], texts[first:], groups=members)
    return _bins(np.concatenate([older, newer])) if newer.mean() > older.mean() else nothing


def _bins(pooled: NDArray[np.float64]) -> NDArray[np.int64]:
    """Bin numbers by the deciles of both sides together: bins that know the sides would bias the permutation test."""
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, BINS + 1)[1:-1])) if len(pooled) else pooled
    return np.searchsorted(edges, pooled, side="right").astype(np.int64)
