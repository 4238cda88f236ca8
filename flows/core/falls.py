"""Whether a challenger lost what the champion knew: one test over all classes, of macro F1 and of the worst class.

Pure: labels in, numbers out. Must not know models, or what follows from the numbers.

Two models that are equally good could have given each other's answers. So both models' answers are swapped, a whole
group at a time and at random, and what falls is measured again: how often chance makes macro F1 fall as far, and how
often it makes *any* class fall as surely, is counted rather than assumed (a paired permutation test: Good, Permutation,
Parametric and Bootstrap Tests of Hypotheses, 2005, chapter 3; the maximum over classes: Westfall and Young,
Resampling-Based Multiple Testing, 1993). Both p-values hold for any number of classes and for classes of any size.

Only groups on which the answers differ can be swapped to any effect: a table of those and of the classes that their
answers touch is all that a permutation costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from flows.core.groups import Groups
from flows.core.resampling import draw_swaps

PERMUTATIONS = 1_999
SEED = 42
TIE = 1e-9
"""Falls that differ by less are equal but for rounding."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Falls:
    """By class in the order of `names`: test rows, both models' F1 (0 to 1), and the p-value of a fall like its own.

    A class's p-value is the chance that any class at all falls beyond the limit and as surely, between two models that
    are equally good. `macro_fall` is the champion's macro F1 less the challenger's, with a p-value of its own.
    """

    names: list[str]
    rows: NDArray[np.int64]
    f1: Numbers
    champion_f1: Numbers
    p_values: Numbers
    macro_fall: float
    macro_p_value: float


def measure_falls(
    truth: pd.Series,
    mine: pd.Series,
    theirs: pd.Series,
    *,
    groups: Groups | None = None,
    limit: float = 0.0,
    permutations: int = PERMUTATIONS,
    seed: int = SEED,
) -> Falls:
    """The falls from the champion's answers (`theirs`) to the challenger's (`mine`) to the same rows.

    A class takes part in the maximum where its F1 falls by more than `limit` (0 to 1): what the gate allows anyway
    does not count against a class that was lost. A class's fall is as sure as its lost answers less the won ones,
    divided by their standard deviation under swapping; an answer about a class is right where it gives the class and
    should, or does not and should not.
    """
    table = _Table.of(truth, mine, theirs, np.arange(len(truth)) if groups is None else groups)
    as_given = np.ones((1, table.hits.shape[0]))
    found, sure = table.scores(as_given), table.sureness(as_given)[0]
    surest, macro = [], []
    for swaps in draw_swaps(table.hits.shape[0], permutations, seed):
        f1, theirs_f1 = scores = table.scores(swaps)
        fallen = theirs_f1 - f1 > limit + TIE
        surest.append(np.where(fallen, table.sureness(swaps), -np.inf).max(axis=1, initial=-np.inf))
        macro.append(table.macro_fall(swaps, scores))
    macro_fall = table.macro_fall(as_given, found)
    p_values = np.ones(len(table.names))
    p_values[table.touched] = np.where(sure > 0, _chances(np.concatenate(surest), sure), 1.0)
    return Falls(
        names=table.names,
        rows=table.true.astype(np.int64),
        f1=table.f1(0),
        champion_f1=table.f1(1),
        p_values=p_values,
        macro_fall=float(macro_fall[0]),
        macro_p_value=float(_chances(np.concatenate(macro), macro_fall)[0]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """What a swap changes: by group (rows) and touched class (columns), my hits and answers less the champion's.

    `true`, `hit` and `said` are by class, over all rows; `hit` and `said` hold a row for each model.
    """

    names: list[str]
    true: Numbers
    hit: Numbers
    said: Numbers
    touched: NDArray[np.int64]
    hits: csr_array
    answers: csr_array

    @classmethod
    def of(cls, truth: pd.Series, mine: pd.Series, theirs: pd.Series, groups: Groups) -> _Table:
        stacked = np.concatenate([np.asarray(column).astype(str) for column in (truth, mine, theirs)])
        codes, classes = pd.factorize(stacked, sort=True)
        true, *models = codes.reshape(3, -1)
        size = len(classes)
        differ = np.flatnonzero(models[0] != models[1])
        touched = np.unique(np.concatenate([column[differ] for column in (true, *models)]))
        swapped, group = np.unique(groups[differ], return_inverse=True)
        place = np.searchsorted(touched, np.stack([column[differ] for column in (true, *models)]))
        shape = (len(swapped), len(touched))
        right = [place[0] == said for said in place[1:]]
        hits = _signed(shape, *((group[hit], said[hit]) for hit, said in zip(right, place[1:], strict=True)))
        answers = _signed(shape, *((group, said) for said in place[1:]))
        return cls(
            [str(name) for name in classes],
            np.bincount(true, minlength=size).astype(float),
            np.array([np.bincount(said[true == said], minlength=size) for said in models], dtype=float),
            np.array([np.bincount(said, minlength=size) for said in models], dtype=float),
            touched,
            hits,
            answers,
        )

    def scores(self, swaps: Numbers) -> tuple[Numbers, Numbers]:
        """Both models' F1 by touched class (columns) after each draw of swaps (rows)."""
        gained, more = swaps @ self.hits, swaps @ self.answers
        hit, said = (values[:, self.touched].sum(axis=0) for values in (self.hit, self.said))
        true = self.true[self.touched]
        # half of what both have together, and half of what one has over the other
        f1 = [(hit + sign * gained) / np.maximum(true + (said + sign * more) / 2, 0.5) for sign in (1, -1)]
        return f1[0], f1[1]

    def sureness(self, swaps: Numbers) -> Numbers:
        """Lost answers less won ones over their standard deviation, by touched class (columns) and draw (rows)."""
        lost = self.answers - 2 * self.hits
        deviation = np.sqrt(lost.power(2).sum(axis=0))
        sureness: Numbers = (swaps @ lost) / np.where(deviation > 0, deviation, 1.0)
        return sureness

    def macro_fall(self, swaps: Numbers, scores: tuple[Numbers, Numbers]) -> Numbers:
        """Macro F1, over the classes that occur in the truth or the model's answers: the champion's less mine."""
        more = swaps @ self.answers
        said, true = self.said[:, self.touched].sum(axis=0), self.true[self.touched]
        macro = []
        for model, sign in enumerate((1, -1)):
            f1 = self.f1(model)
            occurs = self.true + self.said[model] > 0
            f1[self.touched], occurs[self.touched] = 0.0, False
            number = occurs.sum() + (true + (said + sign * more) / 2 > 0).sum(axis=1)
            macro.append((f1.sum() + scores[model].sum(axis=1)) / number)
        fall: Numbers = macro[1] - macro[0]
        return fall

    def f1(self, model: int) -> Numbers:
        """A model's F1 by class, of all classes."""
        f1: Numbers = 2 * self.hit[model] / np.maximum(self.true + self.said[model], 1)
        return f1


def _signed(
    shape: tuple[int, int], plus: tuple[NDArray[np.int64], ...], minus: tuple[NDArray[np.int64], ...]
) -> csr_array:
    """1 at every one of the places `plus` and -1 at those of `minus`, summed."""
    values = np.repeat([1.0, -1.0], [len(plus[1]), len(minus[1])])
    places = tuple(np.concatenate(pair) for pair in zip(plus, minus, strict=True))
    table = csr_array((values, places), shape=shape)
    table.sum_duplicates()
    return table


def _chances(drawn: Numbers, found: Numbers) -> Numbers:
    """The share of draws, the one that was found among them, that reach each of `found`."""
    reached = len(drawn) - np.searchsorted(np.sort(drawn), found - TIE)
    chances: Numbers = (reached + 1) / (len(drawn) + 1)
    return chances
