"""The features of tables: how declared columns become numbers within a fitted pipeline.

Pure. Both ways are ColumnTransformers of scikit-learn's own types, fitted with the model and kept in one file with it:
training, scoring and serving cannot differ. Must not know which columns a use case has, or which model follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from factory.use_cases.columns import Column

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer

LEAST_ROWS = 20
"""Categories of fewer rows are one together: of each alone nothing could be learned."""
KNOTS = 6
"""A number's curve has so many knots, at its quantiles; cubic between them, flat beyond the outer ones."""


def as_table(rows: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The rows as both transformers take them: the columns in their order, numbers as float64, the others as text.

    A missing value, or number that is not finite, is NaN; of a column that the rows lack all are. Raises ValueError naming a column of a kind that no feature can be made of, or one that holds no
    numbers.
    """
    return pd.DataFrame({column.name: _read(rows, column) for column in columns}, index=rows.index)


def linear_features(columns: Sequence[Column]) -> ColumnTransformer:
    """For linear models: a smooth curve of each number, 0 or 1 for each category, 0 or 1 where a number is missing.

    Numbers are scaled after the median has stood in for what is missing. A category that was not seen counts as one of
    the rare ones, or as none at all.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator, SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler

    curves = Pipeline(
        [
            ("filled", SimpleImputer(strategy="median", keep_empty_features=True)),
            ("curve", SplineTransformer(KNOTS, knots="quantile", extrapolation="constant", include_bias=False)),
            ("scaled", StandardScaler()),
        ]
    )
    missing = MissingIndicator(error_on_new=False)
    categories = OneHotEncoder(min_frequency=LEAST_ROWS, handle_unknown="infrequent_if_exist")
    numbers, others = _by_kind(columns)
    parts = [("numbers", curves, numbers), ("missing", missing, numbers), ("categories", categories, others)]
    return ColumnTransformer([part for part in parts if part[2]])


def tree_features(columns: Sequence[Column]) -> ColumnTransformer:
    """For trees: numbers as they are, a code for each category; what is missing, or was not seen, stays missing."""
    from sklearn.compose import ColumnTransformer
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        min_frequency=LEAST_ROWS,
    )
    numbers, others = _by_kind(columns)
    parts = [("numbers", "passthrough", numbers), ("categories", codes, others)]
    return ColumnTransformer([part for part in parts if part[2]])


def _read(rows: pd.DataFrame, column: Column) -> pd.Series:
    missing_here = column.name not in rows.columns
    if not _is_number(column):
        values = [None] * len(rows) if missing_here else rows[column.name]
        read = [np.nan if pd.isna(value) else str(value) for value in values]  # encoders know no None beside texts
        return pd.Series(read, rows.index, dtype=object)
    if missing_here:
        return pd.Series(np.nan, rows.index)
    try:
        numbers = pd.to_numeric(rows[column.name]).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {column.name!r} is declared as a number, and holds {error}") from error
    return numbers.where(np.isfinite(numbers))


def _by_kind(columns: Sequence[Column]) -> tuple[list[str], list[str]]:
    """The names of numbers, and of the others."""
    if not columns:
        raise ValueError("a table without a column has no features: declare some")
    numbers = [column.name for column in columns if _is_number(column)]
    return numbers, [column.name for column in columns if column.name not in numbers]


def _is_number(column: Column) -> bool:
    if column.kind not in ("number", "category", "flag"):
        raise ValueError(
            f"column {column.name!r} is a {column.kind}: features of tables are numbers, categories, flags"
        )
    return column.kind == "number"
