"""A challenger beside the champion on the same rows, in the numbers that the gate wants.

Pure: labels in, numbers out. Must not know models, versions or what follows from the numbers.
"""

from __future__ import annotations

import pandas as pd

from flows.core import intervals
from flows.core.falls import Falls, measure_falls
from flows.core.groups import Groups
from flows.core.policy import ClassChange, Comparison, MacroChange

RESAMPLES = 2_000
"""Twice the usual number: the lower bound of the gain decides, and must not hang on the draw."""


def compare(
    truth: pd.Series,
    mine: pd.Series,
    theirs: pd.Series,
    *,
    confidence: float,
    limit: float = 0.0,
    groups: Groups | None = None,
) -> Comparison:
    """The challenger's answers (`mine`) beside the champion's (`theirs`), row by row on the same test rows.

    `low` is what the gain in weighted F1 exceeds with that confidence (0.5 to 1): the lower end of the paired
    bootstrap's interval at the level 2 * confidence - 1, as one side of it decides. A class may fall by `limit` (0 to
    1). Rows of one of the `groups` are one observation. Raises ValueError without rows.
    """
    gain = intervals.estimate_difference(
        truth, mine, theirs, groups=groups, resamples=RESAMPLES, level=2 * confidence - 1
    )
    weighted = gain["f1_weighted"]
    falls = measure_falls(truth, mine, theirs, groups=groups, limit=limit)
    return Comparison(
        champion_f1=float((falls.rows * falls.champion_f1).sum() / falls.rows.sum()),
        gain=weighted.value,
        low=weighted.low,
        classes=_changes(falls),
        macro=MacroChange(falls.macro_fall, falls.macro_p_value),
    )


def change_by_class(
    truth: pd.Series, mine: pd.Series, theirs: pd.Series, *, limit: float = 0.0, groups: Groups | None = None
) -> list[ClassChange]:
    """Every class with both models' F1 and how likely a fall like its own is by chance, sorted by name."""
    return _changes(measure_falls(truth, mine, theirs, groups=groups, limit=limit))


def _changes(falls: Falls) -> list[ClassChange]:
    columns = falls.names, falls.rows.tolist(), falls.f1.tolist(), falls.champion_f1.tolist(), falls.p_values.tolist()
    return [ClassChange(*row) for row in zip(*columns, strict=True)]
