"""A challenger beside the champion on the same rows, in the numbers that the gate wants.

Pure: labels in, numbers out. Must not know models, versions or what follows from the numbers.
"""

from __future__ import annotations

import pandas as pd

from flows.core import bootstrap
from flows.core.bootstrap import Estimate
from flows.core.falls import Falls, measure_falls
from flows.core.groups import Groups
from flows.core.losses import Losses, measure_losses
from flows.core.policy import TESTS_ON_CLASSES, ClassChange, Comparison, MacroChange

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
    gain = bootstrap.estimate_difference(
        truth, mine, theirs, groups=groups, resamples=RESAMPLES, level=2 * confidence - 1
    )
    weighted = gain["f1_weighted"]
    falls = measure_falls(truth, mine, theirs, groups=groups, limit=limit)
    losses = measure_losses(truth, mine, theirs, groups=groups)
    return Comparison(
        champion=float((falls.rows * falls.champion_f1).sum() / falls.rows.sum()),
        gain=weighted.value,
        low=weighted.low,
        classes=_changes(falls, losses),
        macro=MacroChange(falls.macro_fall, falls.macro_p_value),
        detectable=losses.detectable((1 - confidence) / TESTS_ON_CLASSES),
    )


def beside(champion: Estimate, gain: Estimate) -> Comparison:
    """The comparison of a task without classes: the champion's value of the metric that decides, and the paired gain.

    The gain's interval is that at the level 2 * confidence - 1, as one side of it decides.
    """
    return Comparison(champion=champion.value, gain=gain.value, low=gain.low, classes=(), by_class=False)


def change_by_class(
    truth: pd.Series, mine: pd.Series, theirs: pd.Series, *, limit: float = 0.0, groups: Groups | None = None
) -> list[ClassChange]:
    """Every class with both models' F1 and how likely a fall or loss like its own is by chance, by name."""
    falls = measure_falls(truth, mine, theirs, groups=groups, limit=limit)
    return _changes(falls, measure_losses(truth, mine, theirs, groups=groups))


def _changes(falls: Falls, losses: Losses) -> list[ClassChange]:
    numbers = falls.rows, falls.f1, falls.champion_f1, falls.p_values, losses.p_values
    return [ClassChange(*row) for row in zip(falls.names, *(each.tolist() for each in numbers), strict=True)]
