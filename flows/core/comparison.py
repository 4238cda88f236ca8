"""A challenger beside the champion on the same rows, in the numbers that the gate wants.

Pure: labels in, numbers out. Must not know models, versions or what follows from the numbers.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core import intervals
from flows.core.policy import ClassChange, Comparison

RESAMPLES = 2_000
"""Twice the usual number: the lower bound of the gain decides, and must not hang on the draw."""


def compare(truth: pd.Series, mine: pd.Series, theirs: pd.Series, *, confidence: float) -> Comparison:
    """The challenger's answers (`mine`) beside the champion's (`theirs`), row by row on the same test rows.

    `low` is what the gain in weighted F1 exceeds with that confidence (0.5 to 1): the lower end of the paired
    bootstrap's interval at the level 2 * confidence - 1, as one side of it decides. Raises ValueError without rows.
    """
    gain = intervals.estimate_difference(truth, mine, theirs, resamples=RESAMPLES, level=2 * confidence - 1)
    weighted = gain["f1_weighted"]
    classes = change_by_class(truth, mine, theirs)
    rows = sum(change.rows for change in classes)
    champion = sum(change.rows * change.champion_f1 for change in classes) / rows
    return Comparison(champion_f1=champion, gain=weighted.value, low=weighted.low, classes=classes)


def change_by_class(truth: pd.Series, mine: pd.Series, theirs: pd.Series) -> list[ClassChange]:
    """Every class with both models' F1 and how likely its fall is by chance, sorted by name.

    The chance is that of an exact sign test (McNemar's test, one-sided): of the rows on which just one of the models
    is right about the class - gives it and should, or does not and should not - as many or more would go to the
    champion if both were equally good. It holds for a class of five rows as well as for one of five thousand.
    """
    answers = [np.asarray(column).astype(str) for column in (truth, mine, theirs)]
    return [_change(name, *(column == name for column in answers)) for name in np.unique(np.concatenate(answers))]


def _change(name: str, true: NDArray[np.bool_], mine: NDArray[np.bool_], theirs: NDArray[np.bool_]) -> ClassChange:
    from scipy.stats import binomtest

    lost = int(((mine != true) & (theirs == true)).sum())
    won = int(((mine == true) & (theirs != true)).sum())
    p_value = float(binomtest(lost, lost + won, alternative="greater").pvalue) if lost + won else 1.0
    return ClassChange(str(name), int(true.sum()), _f1(true, mine), _f1(true, theirs), p_value)


def _f1(true: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return 2 * float((true & said).sum()) / max(float(true.sum() + said.sum()), 1.0)
