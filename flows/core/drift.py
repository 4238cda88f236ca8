"""Drift between a reference and a window of predictions: a level, a significance and a verdict by column.

Pure. Must not know where either frame comes from, which tool draws the report, or what an alarm sets off.

A column's level is the population stability index, PSI = sum((c - r) * ln(c / r)) over bins (Siddiqi, Credit Risk
Scorecards, 2006; 0.2 is his bound for a significant shift). A level alone misleads on small samples: over 21 classes
the PSI is .31 on average at n = 100 without any drift. So a column has drifted when its level is reached AND a
permutation test is below .01, or the window holds at least 1,000 rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

PSI_LEVEL = 0.2
P_VALUE = 0.01
LARGE_SAMPLE_ROWS = 1_000
PERMUTATIONS = 999
BINS = 10
SEED = 42
EPOCHS = 20
"""Passes of the text classifier over its fold: a fixed number, so that a look takes the same time every day."""


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """`psi` is the level, `p_value` the share of permutations (0 to 1) that reach it."""

    psi: float
    p_value: float
    drifted: bool


@dataclass(frozen=True, slots=True)
class Drift:
    """`score` is the share of drifted columns, 0 to 1."""

    score: float
    columns: Mapping[str, ColumnDrift]

    def exceeds(self, threshold: float) -> bool:
        """Whether the score is above the threshold."""
        return self.score > threshold

    def drifted(self) -> list[str]:
        """Names of the drifted columns."""
        return [name for name, column in self.columns.items() if column.drifted]


def compare(reference: pd.DataFrame, current: pd.DataFrame) -> Drift:
    """How the current predictions differ from the reference.

    Both frames hold predicted_class, confidence and text_length, at least one row each; text is compared where the
    current ones hold it. It is compared by the score of a classifier that tries to tell the two sides apart, so that
    one rule judges all columns.
    """
    pairs = {
        "predicted_class": _codes(reference["predicted_class"], current["predicted_class"]),
        "confidence": _bins(reference["confidence"], current["confidence"]),
        "text_length": _bins(reference["text_length"], current["text_length"]),
    }
    if "text" in current.columns:
        mine, theirs = domain_scores(reference["text"], current["text"])
        pairs["text"] = _bins(pd.Series(mine), pd.Series(theirs))
    columns = {name: _judge(*pair) for name, pair in pairs.items()}
    return Drift(sum(column.drifted for column in columns.values()) / len(columns), columns)


def has_drifted(psi: float, p_value: float, rows: int) -> bool:
    """The significance rule: the level, and either a small p-value or a window of `LARGE_SAMPLE_ROWS`."""
    return psi >= PSI_LEVEL and (p_value < P_VALUE or rows >= LARGE_SAMPLE_ROWS)


def stability_index(reference_counts: NDArray[np.int64], current_counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """PSI of counts by bin; bins lie on the last axis, further axes are kept.

    Half a row is added to every bin, so that an empty one gives a large number rather than an infinite one.
    """
    bins = reference_counts.shape[-1]
    reference = (reference_counts + 0.5) / (reference_counts.sum(axis=-1, keepdims=True) + 0.5 * bins)
    current = (current_counts + 0.5) / (current_counts.sum(axis=-1, keepdims=True) + 0.5 * bins)
    index: NDArray[np.float64] = ((current - reference) * np.log(current / reference)).sum(axis=-1)
    return index


def permutation_test(
    reference: NDArray[np.int64], current: NDArray[np.int64], *, permutations: int = PERMUTATIONS, seed: int = SEED
) -> tuple[float, float]:
    """PSI of two arrays of bin numbers (0, 1, …) and the share of random relabellings that reach it.

    To relabel rows at random is to draw the current counts from the pooled ones without replacement, a multivariate
    hypergeometric draw: all permutations are one call, whatever the number of rows.
    """
    bins = int(max(reference.max(), current.max())) + 1
    reference_counts = np.bincount(reference, minlength=bins)
    current_counts = np.bincount(current, minlength=bins)
    pooled = reference_counts + current_counts
    observed = float(stability_index(reference_counts, current_counts))
    draws = np.random.default_rng(seed).multivariate_hypergeometric(pooled, len(current), size=permutations)
    reached = int((stability_index(pooled - draws, draws) >= observed - 1e-12).sum())
    return observed, (reached + 1) / (permutations + 1)


def domain_scores(reference: pd.Series, current: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """For every text, how much it looks like the current window to a classifier that has not seen it.

    Two folds by position: one half is scored by the classifier fitted on the other, so that without drift both sides'
    scores spread alike. Gives the decision values of the reference and of the current texts, in their order.
    """
    from sklearn.feature_extraction.text import HashingVectorizer
    from sklearn.linear_model import SGDClassifier

    vectors = HashingVectorizer(n_features=2**14, alternate_sign=False).transform([*reference, *current])
    side = np.repeat([0, 1], [len(reference), len(current)])
    fold = np.random.default_rng(SEED).permutation(len(side)) % 2
    scores = np.zeros(len(side))
    for held in (0, 1):
        fitted, asked = fold != held, fold == held
        if len(set(side[fitted])) < 2 or not asked.any():
            continue
        model = SGDClassifier(loss="log_loss", class_weight="balanced", random_state=SEED, max_iter=EPOCHS, tol=None)
        raw = model.fit(vectors[fitted], side[fitted]).decision_function(vectors[asked])
        # two fits need not share a scale, ranks within a fold do; ties share one, or the order of rows would show
        scores[asked] = pd.Series(raw).rank(pct=True)
    return scores[side == 0], scores[side == 1]


def _judge(reference: NDArray[np.int64], current: NDArray[np.int64]) -> ColumnDrift:
    psi, p_value = permutation_test(reference, current)
    return ColumnDrift(psi, p_value, has_drifted(psi, p_value, len(current)))


def _codes(reference: pd.Series, current: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    values = pd.concat([reference.astype(str), current.astype(str)], ignore_index=True)
    codes = pd.factorize(values, sort=True)[0].astype(np.int64)
    return codes[: len(reference)], codes[len(reference) :]


def _bins(reference: pd.Series, current: pd.Series) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bin numbers by the deciles of both sides together: bins that know the sides would bias the permutation test."""
    pooled = np.concatenate([reference.to_numpy(dtype=float), current.to_numpy(dtype=float)])
    edges = np.unique(np.quantile(pooled, np.linspace(0, 1, BINS + 1)[1:-1]))
    codes = np.searchsorted(edges, pooled, side="right").astype(np.int64)
    return codes[: len(reference)], codes[len(reference) :]
