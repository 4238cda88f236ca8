"""How sure a measured number is: bootstrap intervals of metrics, and of the difference of two models on the same rows.

Pure: labels in, numbers out. Must not know models, data or what a number decides.

A bootstrap draws the test rows anew, with replacement, and measures again (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13: percentile intervals). Rows of one group are drawn together (`flows.core.resampling`): they
are one observation. A metric of a classification depends only on how many rows fall into each cell of true and
predicted class, so a resample costs a few hundred numbers, whatever the number of rows. For two models the cells are
(true, one's answer, the other's answer): the same rows are drawn for both, which makes the difference a paired one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from flows.core.groups import Groups
from flows.core.resampling import Kinds, draw_observations

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Labels: TypeAlias = "Sequence[Any] | pd.Series | NDArray[Any]"
Counts: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.float64]

RESAMPLES = 1_000
LEVEL = 0.95
SEED = 42


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured number and the interval about it."""

    value: float
    low: float
    high: float


def estimate(
    truth: Labels,
    predicted: Labels,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """f1_weighted, f1_macro and accuracy of one model, each 0 to 1, with their intervals at `level`.

    Rows of one of the `groups` are drawn together; without them every row is drawn alone, here and below. Labels are
    compared as text. The values are scikit-learn's own (a class that was never predicted counts as 0); in
    a resample, macro F1 is the mean over the classes that occur in it. Intervals are freed of the bias that resamples
    show. Raises ValueError without rows.
    """
    cells = _Cells.of(truth, predicted, groups=groups)
    drawn = cells.draw(resamples, seed)
    measured, spread = _metrics(cells.counts[None, :], cells, 0), _metrics(drawn, cells, 0)
    return {name: _unbiased(float(measured[name][0]), spread[name], level) for name in measured}


def estimate_difference(
    truth: Labels,
    predicted: Labels,
    other: Labels,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """What `predicted` has over `other` on the same rows, in f1_weighted, f1_macro and accuracy (-1 to 1).

    Paired: every resample takes the same rows for both. Raises ValueError without rows.
    """
    cells = _Cells.of(truth, predicted, other, groups=groups)
    drawn, whole = cells.draw(resamples, seed), cells.counts[None, :]
    mine, theirs = _metrics(whole, cells, 0), _metrics(whole, cells, 1)
    my_spread, their_spread = _metrics(drawn, cells, 0), _metrics(drawn, cells, 1)
    return {
        name: interval(float(mine[name][0] - theirs[name][0]), my_spread[name] - their_spread[name], level)
        for name in mine
    }


def estimate_classes(
    truth: Labels,
    predicted: Labels,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> pd.DataFrame:
    """One row a class, sorted by it: class, rows, precision, recall, f1, f1_low and f1_high (all but rows 0 to 1).

    A class that was neither drawn nor predicted in a resample has no F1 there and is left out of its interval.
    """
    cells = _Cells.of(truth, predicted, groups=groups)
    hits, true, said = (values[0] for values in _by_class(cells.counts[None, :], cells, 0))
    low, high = _class_bounds(_class_f1(cells.draw(resamples, seed), cells, 0), level)
    return pd.DataFrame(
        {
            "class": cells.classes,
            "rows": true,
            "precision": hits / np.maximum(said, 1),
            "recall": hits / np.maximum(true, 1),
            "f1": 2 * hits / np.maximum(true + said, 1),
            "f1_low": low,
            "f1_high": high,
        }
    )


def over_resamples(
    names: Sequence[str],
    measure: Callable[[Counts], Numbers],
    rows: int,
    groups: Groups | None = None,
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
    without: str = "nothing can be measured on any resample",
) -> dict[str, Estimate]:
    """What is measured on all rows, each once, and on resamples of the groups, by its name.

    `measure` is told how often each row counts and gives as many numbers as there are names, or NaN where it cannot;
    such resamples are left out. Raises ValueError with the words of `without` where all are, and where all rows are of
    one group.
    """
    drawn = draw_observations(rows, groups, resamples, seed)
    with threadpool_limits(limits=1):  # sums of so few numbers gain nothing from a second thread, and wait for it
        values = measure(np.ones(rows, dtype=np.int64))
        spread = np.array([measure(counts) for counts in drawn])
    whole = spread[np.isfinite(spread).all(axis=1)]
    if not len(whole):
        raise ValueError(without)
    return {name: interval(float(value), part, level) for name, value, part in zip(names, values, whole.T, strict=True)}


def interval(value: float, spread: Numbers, level: float) -> Estimate:
    """The value with the percentiles of what resamples gave; raises ValueError unless `level` lies between 0 and 1."""
    low, high = np.quantile(spread, _tails(level))
    return Estimate(value, float(low), float(high))


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """The cells that occur, one row each: the codes of the true class and of every model's answer, and its count."""

    classes: list[str]
    codes: Counts
    counts: Counts
    kinds: Kinds

    @classmethod
    def of(cls, *columns: Labels, groups: Groups | None = None) -> _Cells:
        lengths = {len(column) for column in columns}
        if len(lengths) != 1 or not lengths.pop():
            raise ValueError("an interval needs at least one row, and as many predictions as true classes")
        stacked = np.concatenate([np.asarray(column).astype(str) for column in columns])
        codes, classes = pd.factorize(stacked, sort=True)
        table = codes.reshape(len(columns), -1).T
        places = np.ravel_multi_index(tuple(table.T), (len(classes),) * len(columns))
        found, cell, counts = np.unique(places, return_inverse=True, return_counts=True)
        cells = np.stack(np.unravel_index(found, (len(classes),) * len(columns)), axis=1)
        kinds = Kinds.of(cell.astype(np.int64), groups, len(found))
        return cls([str(name) for name in classes], cells.astype(np.int64), counts.astype(np.int64), kinds)

    def draw(self, resamples: int, seed: int) -> Counts:
        """Counts of the cells in every resample, resamples down."""
        return self.kinds.draw(resamples, seed)


def _by_class(counts: Counts, cells: _Cells, model: int) -> tuple[Numbers, Numbers, Numbers]:
    """Hits, true rows and answers by class (columns) in every resample (rows)."""
    true, said = cells.codes[:, 0], cells.codes[:, model + 1]
    hit = np.flatnonzero(true == said)
    values = counts.astype(float)  # sums of whole numbers below 2**53: exact, and faster than in integers
    return (
        _summed(values[:, hit], _membership(true[hit], cells)),
        _summed(values, _membership(true, cells)),
        _summed(values, _membership(said, cells)),
    )


def _membership(classes: Counts, cells: _Cells) -> csr_array:
    """1 where a cell (rows) is of the class (columns)."""
    from scipy.sparse import csr_array

    places = np.arange(len(classes))
    return csr_array((np.ones(len(classes)), (places, classes)), shape=(len(classes), len(cells.classes)))


def _summed(values: Numbers, membership: csr_array) -> Numbers:
    return np.ascontiguousarray(values @ membership)


def _metrics(counts: Counts, cells: _Cells, model: int) -> dict[str, Numbers]:
    hits, true, said = _by_class(counts, cells, model)
    f1 = 2 * hits / np.maximum(true + said, 1)
    rows = true.sum(axis=1)
    return {
        "f1_weighted": (f1 * true).sum(axis=1) / rows,
        "f1_macro": f1.sum(axis=1) / (true + said > 0).sum(axis=1),
        "accuracy": hits.sum(axis=1) / rows,
    }


def _class_f1(counts: Counts, cells: _Cells, model: int) -> Numbers:
    hits, true, said = _by_class(counts, cells, model)
    return np.where(true + said > 0, 2 * hits / np.maximum(true + said, 1), np.nan)


def _class_bounds(spread: Numbers, level: float) -> Numbers:
    """The lower and upper bound by class; 0 and 0 for a class that no resample holds."""
    empty = np.isnan(spread).all(axis=0)
    filled = np.where(empty, 0.0, spread)
    bounds: Numbers = np.nanquantile(filled, _tails(level), axis=0)
    return bounds


def _unbiased(value: float, spread: Numbers, level: float) -> Estimate:
    """The percentile interval, moved by the bias that is seen twice over (Efron and Tibshirani, 1993, section 10.2).

    F1 of a class of a handful of rows lies too high, in the rows against the truth as in a resample against the rows:
    over 1,000 such classes by more than a standard error.
    """
    found = interval(value, spread, level)
    moved = 2 * (float(spread.mean()) - value)
    low, high = (float(np.clip(bound - moved, 0.0, 1.0)) for bound in (found.low, found.high))
    return Estimate(value, min(low, value), max(high, value))


def _tails(level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"an interval's level lies between 0 and 1, not {level}")
    return (1 - level) / 2, (1 + level) / 2
