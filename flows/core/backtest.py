"""What following a probability would have brought: in the market where a rise is likelier than not, else out of it.

Pure: numbers in, numbers and tables out. Must not know models, exchanges, or what a number decides.

A position is taken at the close that its probability was made of and held to the next one; it wins what the price
does, and each change, the first one too, costs the same share. Buying and holding pays once. Positions are neither
larger than what there is nor below nothing: nobody lends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.bootstrap import LEVEL, RESAMPLES, SEED, Estimate, over_resamples
from flows.core.groups import Groups
from flows.core.resampling import Counts

Numbers: TypeAlias = NDArray[np.float64]

NAMES = ("sharpe", "excess_return")
LIKELIER = 0.5
_DAYS_A_YEAR = 365.25


@dataclass(frozen=True, slots=True, eq=False)
class Backtest:
    """A row each, in the order of the rows: net returns of following and of holding, and the position (0 or 1).

    `moments` are those at which positions are taken; a year has `per_year` of them on average. Rows of one moment are
    held side by side, each with its share.
    """

    moments: pd.Series
    position: Numbers
    followed: Numbers
    held: Numbers
    per_year: float

    @classmethod
    def run(
        cls, probability: Numbers, gains: Numbers, moments: pd.Series, symbols: pd.Series, *, cost: float
    ) -> Backtest:
        """Follow the probabilities of a rise through what each row gained, each of the symbols by itself, over time.

        Rows of a symbol follow each other in time. Raises ValueError where a gain is missing, or all are of a moment.
        """
        if missing := int((~np.isfinite(gains)).sum()):
            raise ValueError(f"what {missing} of {len(gains)} rows gained is not known: leave them out")
        position = (probability >= LIKELIER).astype(float)
        before = pd.Series(position).groupby(symbols.to_numpy()).shift(fill_value=0.0).to_numpy()
        first = ~symbols.duplicated().to_numpy()
        years = (moments.max() - moments.min()).total_seconds() / 86_400 / _DAYS_A_YEAR
        if not years:
            raise ValueError("all rows are of one moment: nothing was held over time")
        return cls(
            moments=moments.reset_index(drop=True),
            position=position,
            followed=position * gains - cost * np.abs(position - before),
            held=gains - cost * first,
            per_year=moments.nunique() / years,
        )

    def table(self) -> pd.DataFrame:
        """A row a moment, in order: moment, position (0 to 1), and of following and of holding what one unit has become
        and by which share it has fallen from its highest (0 or below)."""
        rows = pd.DataFrame(
            {"moment": self.moments, "position": self.position, "followed": self.followed, "held": self.held}
        )
        table = rows.groupby("moment", as_index=False).mean()
        for name in ("followed", "held"):
            table[name] = (1 + table[name]).cumprod()
            table[f"{name}_drawdown"] = table[name] / table[name].cummax().clip(lower=1) - 1
        return table

    def daily(self) -> Numbers:
        """What following brought at each moment, as shares."""
        returns: Numbers = pd.Series(self.followed).groupby(self.moments.to_numpy()).mean().to_numpy()
        return returns

    def measure(self, drawn: Counts) -> Numbers:
        """The measures of NAMES where each row counts so often, for a year; a ratio of 0 where no return differs."""
        rows = drawn.sum()
        mean, square = drawn @ self.followed / rows, drawn @ self.followed**2 / rows
        deviation = np.sqrt(max(square - mean**2, 0.0))
        ratio = mean / deviation * np.sqrt(self.per_year) if deviation else 0.0
        return np.array([ratio, (mean - drawn @ self.held / rows) * self.per_year])


def estimate(
    backtest: Backtest,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """sharpe and excess_return (over buying and holding, a share), both for a year, with their intervals at `level`.

    Rows of one of the `groups` are drawn together: blocks of time. Whoever was never in the market has a ratio of 0.
    Raises ValueError where all rows are of one group.
    """
    rows = len(backtest.position)
    return over_resamples(NAMES, backtest.measure, rows, groups, resamples=resamples, level=level, seed=seed)


def estimate_difference(
    mine: Backtest,
    theirs: Backtest,
    *,
    groups: Groups | None = None,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Estimate]:
    """What `mine` has over `theirs` on the same rows, by the same names: every resample takes the same for both."""

    def apart(drawn: Counts) -> Numbers:
        return mine.measure(drawn) - theirs.measure(drawn)

    rows = len(mine.position)
    return over_resamples(NAMES, apart, rows, groups, resamples=resamples, level=level, seed=seed)
