"""What a probability of one class is worth: how well it ranks, and how near to the truth it is.

Pure: arrays in, numbers and tables out. Must not know models, other tasks, or what a number decides. Whether a
probability means what it says is `flows.core.calibration`'s.

Intervals are percentiles of a bootstrap over groups (`flows.core.bootstrap`). The rows are sorted once; in a resample
each counts as often as it was drawn, so AUC and average precision of it are sums along the sorted rows. Rows of equal
probability are one step of the curve: AUC gives them half, as the chance of ranking a pair rightly does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import read_classes, read_flags, read_probabilities, same_rows
from flows.core.bootstrap import LEVEL, RESAMPLES, SEED, Estimate, over_resamples
from flows.core.groups import Groups
from flows.core.resampling import Counts

Numbers: TypeAlias = NDArray[np.float64]

NAMES = ("auc", "average_precision", "brier", "log_loss", "lift")
THRESHOLD = 0.5
_FEW = "no resample of the groups holds both classes: there are too few of them to say how sure it is"


def estimate(
    truth: Any,
    probability: Any,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """auc, average_precision, brier (each 0 to 1), log_loss (nats) and lift, with their intervals at `level`.

    Lift is that of the first tenth, as `deciles` has it; the others are scikit-learn's own. `truth` is 0 or 1,
    `probability` that of 1. Rows of one of the `groups` are drawn together; a resample that holds one class alone is
    left out. Raises ValueError where a value is missing, where the truth is of one class, or where all rows are of one
    group.
    """
    ranked = _Ranked.of(truth, probability)
    return over_resamples(
        NAMES, ranked.measure, len(truth), groups, resamples=resamples, level=level, seed=seed, without=_FEW
    )


def estimate_difference(
    truth: Any,
    mine: Any,
    theirs: Any,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """What `mine` has more than `theirs` on the same rows, by the same names; less is better in brier and log_loss.

    Paired: every resample takes the same rows for both. Raises what `estimate` raises.
    """
    one, other = _Ranked.of(truth, mine), _Ranked.of(truth, theirs)

    def apart(drawn: Counts) -> Numbers:
        return one.measure(drawn) - other.measure(drawn)

    return over_resamples(NAMES, apart, len(truth), groups, resamples=resamples, level=level, seed=seed, without=_FEW)


def deciles(truth: Any, probability: Any) -> pd.DataFrame:
    """A row for each tenth of the rows, those of the highest probability first.

    decile (1 to 10), rows, their mean probability, the share that is positive, and its lift over that of all. Rows of
    equal probability stand in one. Without a positive row the lift is NaN.
    """
    same_rows(truth=truth, probability=probability)
    frame = pd.DataFrame(
        {"probability": read_probabilities("probability", probability), "positive": read_flags("truth", truth)}
    )
    above = frame["probability"].rank(ascending=False, pct=True)
    parts = frame.assign(decile=np.ceil(above * 10 - 1e-9).astype(int)).groupby("decile")
    table = parts.agg(
        rows=("positive", "size"), probability=("probability", "mean"), positive=("positive", "mean")
    ).reset_index()
    overall = float(frame["positive"].mean())
    return table.assign(lift=table["positive"] / overall if overall else np.nan)


def roc_curve(truth: Any, probability: Any) -> pd.DataFrame:
    """The curve's corners: threshold (the first one above every probability), false and true positive rate."""
    from sklearn import metrics

    same_rows(truth=truth, probability=probability)
    found = metrics.roc_curve(read_classes("truth", truth), read_probabilities("probability", probability))
    false_positives, true_positives, thresholds = found
    return pd.DataFrame(
        {"threshold": thresholds, "false_positive_rate": false_positives, "true_positive_rate": true_positives}
    )


def confusion(truth: Any, probability: Any, *, threshold: float = THRESHOLD) -> pd.DataFrame:
    """Counts of rows by truth (index, 0 and 1) and by whether the probability reaches the threshold (columns)."""
    same_rows(truth=truth, probability=probability)
    wanted = pd.Series(read_flags("truth", truth).astype(int), name="truth")
    selected = pd.Series((read_probabilities("probability", probability) >= threshold).astype(int), name="predicted")
    return pd.crosstab(wanted, selected).reindex(index=[0, 1], columns=[0, 1], fill_value=0)


@dataclass(frozen=True, slots=True, eq=False)
class _Ranked:
    """The rows by descending probability; `steps` are the places at which a run of equal probabilities ends.

    `errors` are each row's squared and logarithmic error. `room` is worked in: fresh memory for each of a thousand
    resamples takes longer than all the sums.
    """

    order: NDArray[np.int64]
    positive: Numbers
    steps: NDArray[np.int64]
    errors: Numbers
    room: Numbers

    @classmethod
    def of(cls, truth: Any, probability: Any) -> _Ranked:
        same_rows(truth=truth, probability=probability)
        wanted, sure = read_classes("truth", truth), read_probabilities("probability", probability)
        order = np.argsort(-sure, kind="stable")
        wanted, sure = wanted[order], sure[order]
        steps = np.flatnonzero(np.diff(sure, append=-1.0))
        smallest = np.finfo(float).eps  # as scikit-learn does: a row that was certain, and wrong, costs 36 nats
        given = np.clip(np.where(wanted == 1, sure, 1 - sure), smallest, 1 - smallest)
        return cls(order, wanted, steps, np.stack([(sure - wanted) ** 2, -np.log(given)]), np.empty((3, len(order))))

    def measure(self, drawn: Counts) -> Numbers:
        """The metrics of NAMES where each row counts so often; NaN where one of the classes does not."""
        selected, hits, shares = self.room
        selected[:] = drawn[self.order]
        errors = self.errors @ selected
        np.cumsum(np.multiply(selected, self.positive, out=hits), out=hits)
        np.cumsum(selected, out=selected)
        if len(self.steps) < len(self.order):
            selected, hits, shares = selected[self.steps], hits[self.steps], shares[: len(self.steps)]
        positive, rows = hits[-1], selected[-1]
        if positive in (0, rows):
            return np.full(len(NAMES), np.nan)
        # the trapezoids under the curve of hits over misses, multiplied out
        pairs = positive * (rows - positive)
        area = (pairs + selected[1:] @ hits[:-1] - selected[:-1] @ hits[1:]) / 2
        first = self._first_tenth(selected, rows)
        lift = hits[first] / selected[first] / (positive / rows)
        np.divide(hits, np.maximum(selected, 1, out=shares), out=shares)  # precision at each step, times the gain
        precision = shares @ hits - shares[1:] @ hits[:-1]
        return np.array([area / pairs, precision / positive, *(errors / rows), lift])

    @staticmethod
    def _first_tenth(selected: Numbers, rows: float) -> int:
        """The last step whose rows stand in the first tenth by their mean rank; the first with any where none does."""
        ranks = (np.concatenate([[0.0], selected[:-1]]) + selected + 1) / 2
        inside = int(np.searchsorted(ranks, rows / 10, side="right")) - 1
        return max(inside, int(np.searchsorted(selected, 0, side="right")))
