"""Whether a class was lost wholly: the champion knew some of its test rows, the challenger knows none.

Pure: labels in, numbers out. Must not know models, or what follows from the numbers.

Swapped answers (`flows.core.falls`) cannot tell the loss of four rows from chance: they lose these as often as one time
in sixteen. How often this challenger loses what the champion knew, and how often it loses answers of a class together,
is seen in the other classes: in all, and in those that are no larger. A class of n right answers is then lost wholly
with the chance that a beta-binomial of these two numbers gives (Skellam, A probability distribution derived from the
binomial, 1948), the larger of both, and all classes at least as large share it (Bonferroni). Where answers are lost
class by class, or classes are many, more right answers are needed: `detectable` says how many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.groups import Groups

MOST = 64
"""Classes of more right answers count as of so many."""
TIED = 0.05, 0.999
"""Least and most correlation of a class's losses: few classes may show none by chance, and 1 has no beta-binomial."""
LIKE = 2
"""Classes of up to so many times as many right answers are no larger."""

Numbers = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Losses:
    """By class in the order of its name, the chance that any class is lost wholly by chance as surely as this one was.

    It is 1 for a class of which something is left. `chances` are those of a class of 1, 2, … right answers, in this
    comparison, were it lost wholly.
    """

    names: list[str]
    p_values: Numbers
    chances: Numbers

    def detectable(self, error: float) -> int | None:
        """From how many right answers on (groups of test rows) a whole loss is seen at that error; None: never."""
        seen = np.flatnonzero(self.chances < error)
        return int(seen[0]) + 1 if len(seen) else None


def measure_losses(truth: pd.Series, mine: pd.Series, theirs: pd.Series, *, groups: Groups | None = None) -> Losses:
    """The losses from the champion's answers (`theirs`) to the challenger's (`mine`).

    Rows of one of the `groups` are one answer, right where any of them is.
    """
    stacked = np.concatenate([np.asarray(column).astype(str) for column in (truth, mine, theirs)])
    codes, names = pd.factorize(stacked, sort=True)
    true, my_answers, their_answers = codes.reshape(3, -1)
    known = [
        _known(true, answers == true, np.arange(len(true)) if groups is None else groups)
        for answers in (their_answers, my_answers)
    ]
    classes, champion, challenger = known[0][0], known[0][1], known[1][1]
    right = np.bincount(classes[champion], minlength=len(names))
    gone = np.bincount(classes[champion & ~challenger], minlength=len(names))
    p_values, others = np.ones(len(names)), right > 0
    for place in np.flatnonzero((gone == right) & others):
        others[place] = False
        p_values[place] = _chances(right, gone, others)[min(right[place], MOST) - 1]
        others[place] = True
    return Losses([str(name) for name in names], p_values, _chances(right, gone, others))


def _known(true: Codes, hits: NDArray[np.bool_], groups: Groups) -> tuple[Codes, NDArray[np.bool_]]:
    """By group of a class: the class, and whether any of its rows was answered rightly."""
    units, place = np.unique(np.stack([true, groups]), axis=1, return_inverse=True)
    return units[0], np.bincount(place, weights=hits, minlength=units.shape[1]) > 0


def _chances(right: Codes, gone: Codes, others: NDArray[np.bool_]) -> Numbers:
    """The chance that of the classes with 1, 2, … right answers or more any is lost wholly, if like `others`.

    A single answer may always be lost by chance.
    """
    by_size = np.bincount(np.minimum(right, MOST), minlength=MOST + 1)[1:]
    every = _whole(right[others], gone[others])
    alike = np.array(
        [
            _whole(right[few], gone[few])[size - 1] if (few := others & (right <= LIKE * size)).any() else 0.0
            for size in range(1, MOST + 1)
        ]
    )
    whole = np.maximum(every, alike)
    shared = np.cumsum((by_size * whole)[::-1])[::-1]
    chances: Numbers = np.minimum(np.maximum(shared, whole), 1.0)
    chances[0] = 1.0
    return chances


def _whole(right: Codes, gone: Codes) -> Numbers:
    """The chance of losing 1, 2, … answers of a class, all of them.

    From the share that is lost of classes' right answers, and the share of pairs of these that are lost together.
    """
    pairs = right > 1
    if not pairs.any():
        return np.ones(MOST)
    share = max(float((gone / right).mean()), 1 / (right.sum() + 1))
    together = float((gone[pairs] * (gone[pairs] - 1) / (right[pairs] * (right[pairs] - 1))).mean())
    tied = float(np.clip((together - share**2) / (share - share**2), *TIED)) if share < 1 else TIED[1]
    step = np.arange(MOST)
    chances: Numbers = np.cumprod((share * (1 - tied) + step * tied) / (1 - tied + step * tied))
    return chances
