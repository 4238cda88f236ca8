"""Why a model of a table answered as it did: what each column moved, from a typical row to the one that was asked.

Pure. Owns what counts as a reason. Must not know kinds of task, or where rows come from.

Columns are changed one after another from a typical row's values to those that the row has, in many orders; what the
answer moves on average at a column is its part (Štrumbelj and Kononenko, Explaining prediction models and individual
predictions with feature contributions, 2014: sampled Shapley values). So parts add up to what lies between both
answers, whatever the model is. Of a model that is linear in its columns they are exact, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column

Numbers: TypeAlias = NDArray[np.float64]

ORDERS = 32
"""So many orders and their reverses: of 30 columns some 2,000 rows are asked, within a second."""
MANY_ROWS, FEW_ORDERS = 24, 4
"""What columns move on average is asked of so many rows in so few orders: their number makes up for these."""
SEED = 42


@dataclass(frozen=True, slots=True, eq=False)
class TableExplanation:
    """An answer and its reasons.

    `measure` names the number that is explained, `base` is that of a typical row and `value` that of the row itself.
    `columns` has one row a column, the strongest first: column, value, typical (both as text) and contribution, which
    add up to `value` less `base`.
    """

    entity_id: str
    prediction: str
    score: float
    measure: str
    value: float
    base: float
    columns: pd.DataFrame


def typical_row(reference: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """One row: the median of numbers, and of anything else the most frequent value; none where a column holds none."""
    return pd.DataFrame({column.name: [_typical(reference[column.name], column)] for column in columns})


def explain(
    measure: Callable[[pd.DataFrame], Numbers],
    row: pd.DataFrame,
    typical: pd.DataFrame,
    columns: Sequence[Column],
    *,
    orders: int = ORDERS,
    seed: int = SEED,
) -> tuple[float, float, pd.DataFrame]:
    """The measure of a typical row, that of the row, and what each column moves, as `TableExplanation` has them.

    `measure` is asked for many rows at once. A column in which the row is typical moves nothing.
    """
    names = [column.name for column in columns if not _same(row[column.name].iloc[0], typical[column.name].iloc[0])]
    random = np.random.default_rng(seed)
    drawn = [random.permutation(len(names)) for _ in range(orders)]
    paths = [path for order in drawn for path in (order, order[::-1])]
    asked = pd.concat([_walk(row, typical, names, path) for path in paths] or [typical], ignore_index=True)
    answers = np.asarray(measure(asked), dtype=float).reshape(max(len(paths), 1), -1)
    steps = np.diff(answers, axis=1)
    parts = np.zeros(len(names))
    for path, moved in zip(paths, steps, strict=True):
        parts[path] += moved / len(paths)
    table = pd.DataFrame(
        {
            "column": [column.name for column in columns],
            "value": [_told(row[column.name].iloc[0]) for column in columns],
            "typical": [_told(typical[column.name].iloc[0]) for column in columns],
        }
    )
    table["contribution"] = table["column"].map(dict(zip(names, parts, strict=True))).fillna(0.0).astype(float)
    order = table["contribution"].abs().sort_values(ascending=False, kind="stable").index
    return float(answers[0, 0]), float(answers[0, -1]), table.loc[order].reset_index(drop=True)


def mean_parts(explained: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """What each column moved on average in answers that were explained, the strongest first.

    column, moved (the mean size of its contributions) and share (0 to 1) of what all columns moved.
    """
    sizes = pd.concat(explained).groupby("column", sort=False)["contribution"].agg(lambda parts: parts.abs().mean())
    table = sizes.rename("moved").reset_index()
    table["share"] = table["moved"] / max(float(table["moved"].sum()), np.finfo(float).tiny)
    return table.sort_values("moved", ascending=False, kind="stable", ignore_index=True)


def log_odds(probability: Numbers) -> Numbers:
    """The natural logarithm of how many times likelier than not; probabilities of 0 and 1 are kept finite."""
    smallest = np.finfo(float).eps
    kept = np.clip(probability, smallest, 1 - smallest)
    odds: Numbers = np.log(kept / (1 - kept))
    return odds


def _walk(row: pd.DataFrame, typical: pd.DataFrame, names: Sequence[str], order: NDArray[np.int64]) -> pd.DataFrame:
    """The typical row, then with one column more as the row has it, in that order."""
    walk = pd.concat([typical] * (len(names) + 1), ignore_index=True).astype(object)
    for step, place in enumerate(order, start=1):
        walk.loc[step:, names[place]] = row[names[place]].iloc[0]
    return walk


def _typical(values: pd.Series, column: Column) -> object:
    known = values.dropna()
    if known.empty:
        return None
    return float(known.astype(float).median()) if column.kind == "number" else known.mode().iloc[0]


def _same(one: object, other: object) -> bool:
    return bool(one == other) or (pd.isna(one) and pd.isna(other))


def _told(value: object) -> str:
    if pd.isna(value):
        return "missing"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
