"""Whether a model selects people of one group more often than those of another, and errs on them more often.

Pure. Must not know columns, models or the gate. The rates are fairlearn's; intervals are Wilson's, and of a difference
of two rates Newcombe's (Interval Estimation for the Difference Between Independent Proportions, 1998, method 10): they
hold for few rows and for rates of 0 and 1, where a resample of the rows would always be the same. Rows of one of the
`groups` are one observation.

Of many values the two that differ most do so by chance too. So the widest difference is at least what any pair surely
differs by, where the error is shared by all pairs (Bonferroni), and at most what any may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flows.core.answers import read_flags, same_rows
from flows.core.bootstrap import LEVEL, Estimate
from flows.core.calibration import wilson
from flows.core.groups import Groups

Flags: TypeAlias = NDArray[np.float64]

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
LEAST_OBSERVATIONS = 30
"""A value of fewer is told and decides nothing."""
NOT_GIVEN = "not given"
"""The rows that lack the attribute: told, and no group of people."""
AGES = (30, 45, 60)


def age_bands(ages: pd.Series, edges: Sequence[float] = AGES) -> pd.Series:
    """Ages in bands that begin at the edges, as ordered categories; a missing age stays missing."""
    bounds = [-np.inf, *edges, np.inf]
    between = [f"{low:g} to below {high:g}" for low, high in pairwise(edges)]
    labels = [f"below {edges[0]:g}", *between, f"{edges[-1]:g} and above"]
    return pd.cut(pd.to_numeric(ages), bounds, right=False, labels=labels)


def measure(
    truth: Any, predicted: Any, attributes: pd.DataFrame, *, groups: Groups | None = None, level: float = LEVEL
) -> pd.DataFrame:
    """One row for each value of each attribute: attribute, value, rows, decides, and RATES with _low and _high.

    `truth` and `predicted` are 0 or 1, `attributes` holds text, flags or categories. A rate is NaN where no row of the
    value could have it (no positive one for the true positive rate). `decides` is False for values of fewer than
    LEAST_OBSERVATIONS, and for rows that lack the attribute. Raises ValueError naming what is missing.
    """
    same_rows(truth=truth, predicted=predicted, attributes=attributes)
    wanted, chosen = read_flags("truth", truth), read_flags("predicted", predicted)
    tables = [_measure(name, attributes[name], wanted, chosen, groups, level) for name in attributes.columns]
    if not tables:
        return pd.DataFrame(columns=["attribute", "value", "rows", "decides"]).astype({"decides": bool})
    return pd.concat(tables, ignore_index=True)


def differences(table: pd.DataFrame, *, level: float = LEVEL) -> pd.DataFrame:
    """One row an attribute of which two values decide: the widest difference of RATES, of a table that `measure` gave.

    attribute, then `selection_rate` (demographic parity) and `equalised_odds` (the wider one of the two error rates'),
    each 0 to 1 with _low and _high; NaN where fewer than two values have LEAST_OBSERVATIONS that could have the rate.
    `most` and `least` are the values that are selected most and least often.
    """
    rows = []
    for attribute, values in table[table["decides"]].groupby("attribute", sort=False):
        if len(values) < 2:
            continue
        selection = _widest(values, "selection_rate", level)
        errors = [_widest(values, rate, level) for rate in RATES[1:]]
        odds = max(errors, key=lambda found: np.nan_to_num(found.value, nan=-1.0))
        by_rate = values.set_index("value")["selection_rate"]
        rows.append(
            {
                "attribute": attribute,
                "most": by_rate.idxmax(),
                "least": by_rate.idxmin(),
                **_columns("selection_rate", selection),
                **_columns("equalised_odds", odds),
            }
        )
    names = [f"{name}{end}" for name in ("selection_rate", "equalised_odds") for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["attribute", "most", "least", *names])


@dataclass(frozen=True, slots=True)
class Unfairness:
    """What is to be said of one attribute, and whether it stands against the model."""

    attribute: str
    refused: bool
    said: str


def worsened(mine: pd.DataFrame, theirs: pd.DataFrame | None, limit: float) -> list[Unfairness]:
    """Whether the shares that are selected differ by more than `limit` (0 to 1) beyond chance, attribute by attribute.

    Both are tables of `differences`, on the same rows; `theirs` is None where there is no champion. Where the champion
    differs as much or more, the challenger is told and not refused: to refuse it would keep what is worse.
    """
    before = {} if theirs is None else dict(zip(theirs["attribute"], theirs["selection_rate"], strict=True))
    return [_judge(row, before.get(row.attribute), limit) for row in mine.itertuples(index=False)]


def _judge(row: Any, before: float | None, limit: float) -> Unfairness:
    said = (
        f"by {row.attribute}, {row.most!r} is selected {row.selection_rate:.2f} more often than {row.least!r} "
        f"({row.selection_rate_low:.2f} to {row.selection_rate_high:.2f})"
    )
    if not row.selection_rate_low > limit:
        known = "within" if row.selection_rate <= limit else "by chance or not more than"
        return Unfairness(row.attribute, refused=False, said=f"{said}: {known} the limit of {limit:.2f}")
    beyond = f"{said}: beyond the limit of {limit:.2f}"
    if before is not None and before >= row.selection_rate:
        return Unfairness(row.attribute, refused=False, said=f"{beyond}, and the champion's {before:.2f} is no better")
    return Unfairness(row.attribute, refused=True, said=beyond)


def _measure(
    attribute: str, column: pd.Series, truth: Flags, predicted: Flags, groups: Groups | None, level: float
) -> pd.DataFrame:
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    values, order = _texts(column)
    metrics = dict(zip(RATES, (selection_rate, true_positive_rate, false_positive_rate), strict=True))
    frame = MetricFrame(metrics=metrics, y_true=truth, y_pred=predicted, sensitive_features=values).by_group
    table = frame.reindex(order).rename_axis("value").reset_index()
    table.insert(0, "attribute", attribute)
    codes = pd.Categorical(values, categories=order).codes.astype(np.int64)
    table["rows"] = np.bincount(codes, minlength=len(order))
    among = (np.ones(len(truth)), truth, 1 - truth)
    observed = [_observations(codes[of == 1], None if groups is None else groups[of == 1], len(order)) for of in among]
    table["decides"] = (observed[0] >= LEAST_OBSERVATIONS) & (table["value"] != NOT_GIVEN)
    for rate, observations in zip(RATES, observed, strict=True):
        table[rate] = table[rate].astype(float).where(observations > 0)
        table[f"{rate}_low"], table[f"{rate}_high"] = wilson(table[rate].to_numpy(), observations, level)
        table[f"{rate}_observations"] = observations
    return table


def _texts(column: pd.Series) -> tuple[NDArray[np.object_], list[str]]:
    """Each row's value as text, and the values in their order."""
    ordered = isinstance(column.dtype, pd.CategoricalDtype)
    texts = [NOT_GIVEN if pd.isna(value) else str(value) for value in column]
    there = set(texts)
    known = [str(each) for each in column.cat.categories if str(each) in there] if ordered else sorted(there)
    order = [each for each in known if each != NOT_GIVEN] + ([NOT_GIVEN] if NOT_GIVEN in there else [])
    return np.array(texts, dtype=object), order


def _observations(codes: NDArray[np.int64], groups: Groups | None, size: int) -> NDArray[np.int64]:
    """How many groups have rows of each value."""
    pairs = codes if groups is None else np.unique(np.stack([codes, groups]), axis=1)[0]
    return np.bincount(pairs, minlength=size)


def _widest(values: pd.DataFrame, rate: str, level: float) -> Estimate:
    """The widest difference of the rate between two values, with Newcombe's bounds shared out among all pairs."""
    known = values[values[f"{rate}_observations"] >= LEAST_OBSERVATIONS]
    share, observations = known[rate].to_numpy(dtype=float), known[f"{rate}_observations"].to_numpy()
    if len(share) < 2:
        return Estimate(np.nan, 0.0, 1.0)
    pairs = list(permutations(range(len(share)), 2))
    shared = 1 - (1 - level) / (len(pairs) / 2)
    low, high = wilson(share, observations, shared)
    below, above = share - low, high - share
    bounds = [(share[a] - share[b], np.hypot(below[a], above[b]), np.hypot(above[a], below[b])) for a, b in pairs]
    return Estimate(
        value=float(max(apart for apart, _, _ in bounds)),
        low=float(max(0.0, *(apart - down for apart, down, _ in bounds))),
        high=float(min(1.0, max(apart + up for apart, _, up in bounds))),
    )


def _columns(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
