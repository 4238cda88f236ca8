"""The features of tables: how declared columns become numbers within a fitted pipeline.

Pure. All ways are ColumnTransformers of scikit-learn's own types, fitted with the model and kept in one file with it:
training, scoring and serving cannot differ. Must not know which columns a use case has, or which model follows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from factory.use_cases.columns import Column

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import FunctionTransformer

LEAST_ROWS = 20
"""Categories of fewer rows are one together: of each alone nothing could be learned."""
TEXT_HASHES = 2**12
"""Groups of characters of a text fall into so many places; more would tell little apart in titles and names."""
TEXT_COMPONENTS = 12
"""To trees a text is told by so many numbers: they would need many steps to look at single groups of characters."""
DAYS_IN_A_YEAR = 366
SEED = 42
STEPS = 12
"""A number is told in so many steps of as many rows each, besides straight: a linear model can follow a curve then."""
STEP_DIGITS = 7
"""Of a standard deviation: numbers that differ by less stand in one step."""


def as_table(rows: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """The rows as every transformer takes them: the columns in their order, numbers as float64, the others as text.

    A missing value, or number that is not finite, is NaN; of a column that the rows lack all are. A missing text is an
    empty one, and a moment is a number of years. Raises ValueError naming a column that holds no numbers.
    """
    return pd.DataFrame({column.name: _read(rows, column) for column in columns}, index=rows.index)


def linear_features(columns: Sequence[Column]) -> ColumnTransformer:
    """For linear models: each number straight and in STEPS, 0 or 1 for each category and where a number is missing.

    Numbers are scaled after the median has stood in for what is missing; numbers that are parts of one whole have their
    sum beside them. A category that was not seen counts as one of the rare ones, or as none at all.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import MissingIndicator
    from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
    from sklearn.preprocessing import FunctionTransformer, KBinsDiscretizer, OneHotEncoder, StandardScaler

    def curves(*first: Any) -> Pipeline:
        # bins that are narrow are left out, and of small numbers, or those that differ by rounding alone, all would be
        evened = FunctionTransformer(np.round, kw_args={"decimals": STEP_DIGITS})
        bins = KBinsDiscretizer(STEPS, quantile_method="averaged_inverted_cdf")
        steps = make_pipeline(StandardScaler(), evened, bins)
        return make_pipeline(*first, FeatureUnion([("straight", StandardScaler()), ("steps", steps)]))

    numbers, others, texts = _by_kind(columns)
    parts = [
        ("numbers", curves(_fill()), numbers),
        *((f"{whole}, summed", curves(*_sum()), names) for whole, names in _wholes(columns).items()),
        ("missing", MissingIndicator(features="all"), numbers),
        ("categories", OneHotEncoder(min_frequency=LEAST_ROWS, handle_unknown="infrequent_if_exist"), others),
        *((f"{name}, written", make_pipeline(*_written()), name) for name in texts),
    ]
    return ColumnTransformer([part for part in parts if part[2]])


def tree_features(columns: Sequence[Column]) -> ColumnTransformer:
    """For trees: numbers as they are, a code for each category; what is missing, or was not seen, stays missing.

    Numbers that are parts of one whole have their sum beside them: a tree would need many steps to find it. A text is
    told by the components of how it is written.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.decomposition import TruncatedSVD
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=np.nan,
        encoded_missing_value=np.nan,
        min_frequency=LEAST_ROWS,
    )
    numbers, others, texts = _by_kind(columns)
    components = TruncatedSVD(TEXT_COMPONENTS, random_state=SEED)
    parts = [
        ("numbers", "passthrough", numbers),
        *((f"{whole}, summed", make_pipeline(*_sum()), names) for whole, names in _wholes(columns).items()),
        ("categories", codes, others),
        *((f"{name}, written", make_pipeline(*_written(), components), name) for name in texts),
    ]
    return ColumnTransformer([part for part in parts if part[2]])


def distance_features(columns: Sequence[Column]) -> ColumnTransformer:
    """For distances: each number in its standard deviations, 0 or 1 for each category; what is missing is as the
    median.

    Nothing is told twice, or it would count twice. Raises ValueError naming a text, which has no place in it.
    """
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers, others, texts = _by_kind(columns)
    if texts:
        raise ValueError(f"rows have no distance by a text ({', '.join(texts)}): name the model's features")
    codes = OneHotEncoder(min_frequency=LEAST_ROWS, handle_unknown="infrequent_if_exist", sparse_output=False)
    parts = [("numbers", make_pipeline(_fill(), StandardScaler()), numbers), ("categories", codes, others)]
    return ColumnTransformer([part for part in parts if part[2]])


def _fill() -> SimpleImputer:
    from sklearn.impute import SimpleImputer

    return SimpleImputer(strategy="median", keep_empty_features=True)


def _sum() -> tuple[SimpleImputer, FunctionTransformer]:
    from sklearn.preprocessing import FunctionTransformer

    return _fill(), FunctionTransformer(np.sum, kw_args={"axis": 1, "keepdims": True})


def _written() -> tuple[HashingVectorizer, TfidfTransformer]:
    """The groups of two to four characters within words: whatever language or script a text is written in."""
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    hashes = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=TEXT_HASHES, alternate_sign=False)
    return hashes, TfidfTransformer(sublinear_tf=True)


def _wholes(columns: Sequence[Column]) -> dict[str, list[str]]:
    """The names of numbers that are parts of a whole, by it."""
    wholes: dict[str, list[str]] = {}
    for column in columns:
        if column.part_of and _is_number(column):
            wholes.setdefault(column.part_of, []).append(column.name)
    return {whole: names for whole, names in wholes.items() if len(names) > 1}


def _read(rows: pd.DataFrame, column: Column) -> pd.Series:
    missing_here = column.name not in rows.columns
    if not _is_number(column):
        missing = "" if column.kind == "text" else np.nan  # encoders know no None beside texts
        values = [None] * len(rows) if missing_here else rows[column.name]
        read = [missing if pd.isna(value) else str(value) for value in values]
        return pd.Series(read, rows.index, dtype=object)
    if missing_here:
        return pd.Series(np.nan, rows.index)
    if column.kind == "moment":
        moments = pd.to_datetime(rows[column.name], utc=True, errors="coerce", format="mixed")
        return moments.dt.year + moments.dt.dayofyear.sub(1) / DAYS_IN_A_YEAR
    try:
        numbers = pd.to_numeric(rows[column.name]).astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"column {column.name!r} is declared as a number, and holds {error}") from error
    return numbers.where(np.isfinite(numbers))


def _by_kind(columns: Sequence[Column]) -> tuple[list[str], list[str], list[str]]:
    """The names of numbers, of what has few values, and of texts."""
    if not columns:
        raise ValueError("a table without a column has no features: declare some")
    numbers = [column.name for column in columns if _is_number(column)]
    texts = [column.name for column in columns if column.kind == "text"]
    return numbers, [column.name for column in columns if column.name not in (*numbers, *texts)], texts


def _is_number(column: Column) -> bool:
    return column.kind in ("number", "moment")
