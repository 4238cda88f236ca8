"""What a predicted number is worth: how much of the truth it explains, and how far from it it is.

Pure: arrays in, numbers and tables out. Must not know models, other tasks, or what a number decides.

Intervals are percentiles of a bootstrap over groups (`flows.core.bootstrap`): all metrics follow from four sums, which
a resample draws anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import read_numbers, same_rows
from flows.core.bootstrap import LEVEL, RESAMPLES, SEED, Estimate, over_resamples
from flows.core.groups import Groups
from flows.core.resampling import Counts

Numbers: TypeAlias = NDArray[np.float64]

NAMES = ("r2", "mae", "rmse")
TENTHS = 10
_FEW = "no resample of the groups holds two values of the truth: there are too few of them to say how sure it is"


def estimate(
    truth: Any,
    predicted: Any,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """r2 (at most 1), mae and rmse (both in the unit of the truth) with their intervals at `level`.

    Rows of one of the `groups` are drawn together: entities, or blocks of time where rows follow each other. The values
    are scikit-learn's own; a resample of one value alone is left out. Raises ValueError where a value is missing, where
    the truth is one value, or where all rows are of one group.
    """
    sums = _Sums.of(truth, predicted)
    return over_resamples(
        NAMES, sums.measure, len(truth), groups, resamples=resamples, level=level, seed=seed, without=_FEW
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
    """What `mine` has more than `theirs` on the same rows, by the same names; less is better in mae and rmse.

    Paired: every resample takes the same rows for both. Raises what `estimate` raises.
    """
    one, other = _Sums.of(truth, mine), _Sums.of(truth, theirs)

    def apart(drawn: Counts) -> Numbers:
        return one.measure(drawn) - other.measure(drawn)

    return over_resamples(NAMES, apart, len(truth), groups, resamples=resamples, level=level, seed=seed, without=_FEW)


def tenths(truth: Any) -> pd.Series:
    """Which tenth of the rows by their truth each is in, as ordered categories that name its bounds.

    Rows of one value stand in one; there are fewer where values are few.
    """
    values = pd.Series(read_numbers("truth", truth))
    edges = np.unique(values.quantile(np.linspace(0, 1, TENTHS + 1)[1:-1], interpolation="lower"))
    codes = np.searchsorted(edges, values, side="left")
    bounds = values.groupby(codes).agg(["min", "max"])
    names = [f"{row.min:.4g} to {row.max:.4g}" for row in bounds.itertuples()]
    places = pd.Series(range(len(names)), index=bounds.index)
    return pd.Series(pd.Categorical.from_codes(places[codes].to_numpy(), _told_apart(names), ordered=True))


def by_tenths(truth: Any, predicted: Any) -> pd.DataFrame:
    """A row for each tenth of the truth, the lowest first: tenth, rows, truth, predicted, error, mae, low, high.

    The three first numbers are means, `error` that of what the prediction has more than the truth; `low` and `high`
    hold nine tenths of the errors. All are in the unit of the truth.
    """
    same_rows(truth=truth, predicted=predicted)
    wanted, found = read_numbers("truth", truth), read_numbers("predicted", predicted)
    frame = pd.DataFrame({"truth": wanted, "predicted": found, "error": found - wanted, "mae": np.abs(found - wanted)})
    parts = frame.groupby(tenths(truth).to_numpy(), observed=True, sort=False)
    table = parts.mean().assign(
        rows=parts.size(), low=parts["error"].quantile(0.05), high=parts["error"].quantile(0.95)
    )
    ordered = table.sort_values("truth").rename_axis("tenth").reset_index()
    return ordered[["tenth", "rows", "truth", "predicted", "error", "mae", "low", "high"]]


def _told_apart(names: list[str]) -> list[str]:
    """The names, each once: bounds that look alike when they are rounded are numbered."""
    return [name if names.count(name) == 1 else f"{name} ({place + 1})" for place, name in enumerate(names)]


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """What the metrics are made of, a row each: the error's size, its square, the truth about its mean, its square."""

    terms: Numbers

    @classmethod
    def of(cls, truth: Any, predicted: Any) -> _Sums:
        same_rows(truth=truth, predicted=predicted)
        wanted, found = read_numbers("truth", truth), read_numbers("predicted", predicted)
        if wanted.min() == wanted.max():
            raise ValueError(f"truth: all {len(wanted)} rows have the value {wanted[0]:g}: there is nothing to explain")
        error, about = np.abs(found - wanted), wanted - wanted.mean()  # about the mean: squares of large numbers cancel
        return cls(np.stack([error, error**2, about, about**2]))

    def measure(self, drawn: Counts) -> Numbers:
        """The metrics of NAMES where each row counts so often; NaN where these hold one value."""
        rows = drawn.sum()
        size, square, about, spread = self.terms @ drawn
        variance = spread - about**2 / rows
        if variance <= 1e-12 * max(spread, 1e-300):
            return np.full(len(NAMES), np.nan)
        return np.array([1 - square / variance, size / rows, np.sqrt(square / rows)])
