"""What slowly takes its share of the traffic: a line through the weeks, where no week differs from the one before.

Pure: shares by week in, numbers out. Must not know where looks are kept or what an alarm sets off.

Each kind of share (languages, sources, classes) is one question: does the share of any value rise or fall with time?
A value's slope is divided by its standard deviation under reordering of the weeks, and the largest of all values is
compared with the largest of each reordering (Westfall and Young, Resampling-Based Multiple Testing, 1993), so that the
number of values costs nothing. Weeks are what is reordered, not rows: the rows of a week may be of few groups. How far
it went is the PSI between both ends of the lines, with the levels of every other column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.drift import P_VALUE, Level, level_of
from flows.core.stability import stability_index

FEWEST_WEEKS = 7
"""Six weeks have 720 orders: two in 720 is no error that several kinds can share."""
MOST_WEEKS = 26
MOST_VALUES = 12
"""The most frequent values are looked at; all others together are one."""
RECURRING = 3
"""A value of fewer weeks is one of the others: the name of a week's file has no course over the weeks."""
REORDERINGS = 1_999
OTHERS = "all others"
SEED = 42


@dataclass(frozen=True, slots=True)
class Week:
    """The `rows` that were looked at on a `day` (counted from any), and by kind each value's share of them (0 to 1)."""

    day: float
    rows: int
    shares: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Trend:
    """The value that moved most surely over `weeks`, its share at both ends of its line, and what all of them moved.

    `p_value` is the chance (0 to 1) that any value's share moves as surely where the order of the weeks means nothing.
    """

    value: str
    first: float
    last: float
    weeks: int
    psi: float
    p_value: float
    level: Level


def find_trends(weeks: Sequence[Week]) -> dict[str, Trend]:
    """The trends of every kind that FEWEST_WEEKS or more of the weeks know, with one error of .01 for all together."""
    known = {
        kind: found
        for kind in dict.fromkeys(kind for week in weeks for kind in week.shares)
        if len(found := [week for week in weeks if kind in week.shares][-MOST_WEEKS:]) >= FEWEST_WEEKS
    }
    return {kind: _trend([(week, week.shares[kind]) for week in found], len(known)) for kind, found in known.items()}


def _trend(weeks: Sequence[tuple[Week, Mapping[str, float]]], tests: int) -> Trend:
    shares = _bounded(pd.DataFrame([dict(shares) for _, shares in weeks]).fillna(0.0))
    days, values = np.array([week.day for week, _ in weeks]), shares.to_numpy()
    slopes = _slopes(days, values)
    drawn = _reordered(days, values)
    deviation = drawn.std(axis=0)
    moving = deviation > 0
    sure = np.divide(np.abs(slopes), deviation, out=np.zeros(len(slopes)), where=moving)
    surest = np.divide(np.abs(drawn), deviation, out=np.zeros(drawn.shape), where=moving).max(axis=1)
    p_value = float((1 + (surest >= sure.max() - 1e-9).sum()) / (REORDERINGS + 1))
    reach = slopes * (days.max() - days.min()) / 2
    middle = values.mean(axis=0) + slopes * ((days.max() + days.min()) / 2 - days.mean())
    ends = np.clip(np.stack([middle - reach, middle + reach]), 0.0, 1.0)
    ends /= ends.sum(axis=1, keepdims=True)
    rows = min(week.rows for week, _ in weeks)
    psi = float(stability_index(ends[0] * rows, ends[1] * rows))
    most = int(sure.argmax())
    level = level_of(psi, p_value, P_VALUE / tests)
    first, last = map(float, ends[:, most])
    return Trend(str(shares.columns[most]), first, last, len(weeks), psi, p_value, level)


def _bounded(shares: pd.DataFrame) -> pd.DataFrame:
    recurring = shares.loc[:, (shares > 0).sum() >= RECURRING]
    frequent = recurring.mean().sort_values(ascending=False, kind="stable").index[:MOST_VALUES]
    kept = recurring[frequent]
    return kept.assign(**{OTHERS: (1.0 - kept.sum(axis=1)).clip(lower=0.0)})


def _slopes(days: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """By column, the least squares' change a day."""
    away = days - days.mean()
    slopes: NDArray[np.float64] = away @ values / (away @ away)
    return slopes


def _reordered(days: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The slopes by column after each reordering of the weeks (rows)."""
    order = np.random.default_rng(SEED).permuted(np.tile(np.arange(len(days)), (REORDERINGS, 1)), axis=1)
    away = (days - days.mean())[order]
    slopes: NDArray[np.float64] = away @ values / ((days - days.mean()) @ (days - days.mean()))
    return slopes
