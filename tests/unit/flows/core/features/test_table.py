"""Features of tables: whatever a table lacks or holds anew, the fitted transformers answer, and lose nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeRegressor

from factory.use_cases.columns import Column
from flows.core.features.table import as_table, distance_features, linear_features, tree_features

COLUMNS = (
    Column("months", "number"),
    Column("charge", "number", nullable=True),
    Column("contract", "category"),
    Column("partner", "flag", nullable=True),
)
NUMBERS = COLUMNS[:2]


def table(rows: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "months": random.integers(0, 72, rows),
            "charge": np.where(random.random(rows) < 0.1, np.nan, random.normal(60, 20, rows)),
            "contract": random.choice(["month", "year", "two years"], rows),
            "partner": random.choice(["yes", "no", None], rows),
        }
    )


pytestmark = pytest.mark.filterwarnings("ignore:.* is constant:UserWarning", "ignore:Bins whose:UserWarning")


@pytest.fixture(params=[linear_features, tree_features], ids=["linear", "tree"])
def fitted(request: pytest.FixtureRequest) -> ColumnTransformer:
    return request.param(COLUMNS).fit(as_table(table(), COLUMNS))


def linear(columns: Sequence[Column], fitted_on: pd.DataFrame, asked: Mapping[str, Any]) -> np.ndarray:
    """What the linear features of the columns are for rows that are asked."""
    transformer = linear_features(columns).fit(as_table(fitted_on, columns))
    found = transformer.transform(as_table(pd.DataFrame(asked), columns))
    return np.asarray(found.todense() if hasattr(found, "todense") else found)


def dense(transformer: ColumnTransformer, rows: pd.DataFrame) -> np.ndarray:
    found = transformer.transform(as_table(rows, COLUMNS))
    return np.asarray(found.todense() if hasattr(found, "todense") else found)


def test_a_table_is_read_as_declared() -> None:
    rows = pd.DataFrame({"charge": ["12.5", None, "inf"], "contract": [1, None, "year"], "other": 0}, index=[7, 8, 9])

    read = as_table(rows, COLUMNS)

    assert list(read.columns) == ["months", "charge", "contract", "partner"]
    assert list(read.index) == [7, 8, 9]
    assert read["charge"].tolist() == pytest.approx([12.5, np.nan, np.nan], nan_ok=True)
    assert read["contract"].tolist() == ["1", pytest.approx(np.nan, nan_ok=True), "year"]
    assert read["months"].isna().all()
    assert read["months"].dtype == float
    assert read["partner"].isna().all()
    assert read["partner"].dtype == object


def test_a_number_that_is_none_is_named_with_its_column() -> None:
    with pytest.raises(ValueError, match=r"'charge' is declared as a number, and holds .*soon"):
        as_table(pd.DataFrame({"charge": ["12", "soon"]}), NUMBERS)


@pytest.mark.parametrize(
    ("features", "learner"), [(linear_features, Ridge()), (tree_features, DecisionTreeRegressor())]
)
def test_a_text_tells_by_how_it_is_written_and_a_missing_one_is_empty(features: Any, learner: Any) -> None:
    column = (Column("title", "text", nullable=True),)
    titles = [*[f"Song {place} - Remix" for place in range(60)], *[f"Sonata {place}" for place in range(60)]]
    model = make_pipeline(features(column), learner).fit(
        as_table(pd.DataFrame({"title": titles}), column), [1.0] * 60 + [0.0] * 60
    )

    asked = pd.DataFrame({"title": ["Song 99 - Remix", "Sonata 77", None, "歌"]})
    remix, sonata, *others = model.predict(as_table(asked, column))

    assert remix > 0.8
    assert sonata < 0.2
    assert np.isfinite(others).all()


def test_a_moment_is_a_number_of_years_and_what_is_none_is_missing() -> None:
    given = pd.DataFrame({"since": ["2019", "2019-07-02", "2019-07-02 12:00", None, "soon"]})

    read = as_table(given, (Column("since", "moment"),))

    assert read["since"].tolist() == pytest.approx([2019, 2019.5, 2019.5, np.nan, np.nan], abs=0.01, nan_ok=True)


def test_rows_have_no_distance_by_a_text() -> None:
    with pytest.raises(ValueError, match=r"no distance by a text \(title\): name the model's features"):
        distance_features((Column("months", "number"), Column("title", "text")))


def test_no_column_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="without a column"):
        linear_features(())


@pytest.mark.parametrize("lost", ["months", "charge", "contract", "partner"])
def test_a_column_that_is_wholly_missing_at_scoring_is_answered(fitted: ColumnTransformer, lost: str) -> None:
    before = dense(fitted, table())

    after = dense(fitted, table().drop(columns=lost))

    assert after.shape == before.shape
    assert not np.array_equal(after, before, equal_nan=True)


@pytest.mark.parametrize("lost", ["months", "charge", "contract", "partner"])
def test_a_column_that_was_missing_when_fitted_fails_neither_way(lost: str) -> None:
    for features in (linear_features, tree_features):
        transformer = features(COLUMNS).fit(as_table(table().drop(columns=lost), COLUMNS))
        assert len(dense(transformer, table())) == 200


def test_a_constant_number_and_one_row_are_answered(fitted: ColumnTransformer) -> None:
    constant = table().assign(months=3, charge=0.0)
    for features in (linear_features, tree_features):
        transformer = features(COLUMNS).fit(as_table(constant, COLUMNS))
        assert np.isfinite(dense(transformer, constant).astype(float)).sum() > 0
    assert dense(fitted, table().head(1)).shape[0] == 1


def test_linear_features_are_finite_whatever_is_scored() -> None:
    transformer = linear_features(COLUMNS).fit(as_table(table(), COLUMNS))
    strange = pd.DataFrame(
        {"months": [-5, 1e9, None], "charge": [None] * 3, "contract": ["", "weekly", None], "partner": "maybe"}
    )

    assert np.isfinite(dense(transformer, strange)).all()


def test_an_unknown_category_counts_as_a_rare_one_where_there_are_such_else_as_none() -> None:
    contracts = ["month"] * 100 + ["year"] * 80 + ["weekly"] * 12 + ["daily"] * 8
    column = (Column("contract", "category"),)

    found = linear(column, pd.DataFrame({"contract": contracts}), {"contract": ["weekly", "hourly", "year"]})

    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
    assert found.shape[1] == 3


def test_trees_are_told_that_a_value_is_missing_or_unknown() -> None:
    transformer = tree_features(COLUMNS).fit(as_table(table(), COLUMNS))
    row = pd.DataFrame({"months": [3], "charge": [None], "contract": ["hourly"], "partner": [None]})

    assert dense(transformer, row).tolist() == [pytest.approx([3, np.nan, np.nan, np.nan], nan_ok=True)]


def test_a_missing_number_has_a_mark_of_its_own_for_linear_models() -> None:
    filled, missing = linear(NUMBERS, table(), {"months": [3, 3], "charge": [table()["charge"].median(), None]})

    assert np.flatnonzero(filled != missing).tolist() == [len(filled) - 1]


@pytest.mark.parametrize("features", [linear_features, tree_features])
def test_parts_of_a_whole_have_their_sum_beside_them(features: Callable[..., ColumnTransformer]) -> None:
    random = np.random.default_rng(5)
    rows = pd.DataFrame({name: random.uniform(0, 50, 300) for name in ("day", "night")})
    parts = [Column(name, "number", part_of="charge") for name in rows]

    alone, summed = (
        features(columns).fit(as_table(rows, columns)).transform(as_table(rows.head(1), columns)).shape[1]
        for columns in ([Column(name, "number") for name in rows], parts)
    )

    assert summed > alone
    if features is tree_features:
        found = features(parts).fit(as_table(rows, parts)).transform(as_table(rows, parts))
        assert found[:, 2] == pytest.approx(rows.sum(axis=1))


@pytest.mark.parametrize("charge", [0.1, 1e-9])
def test_a_number_is_told_in_steps_whatever_its_unit(charge: float) -> None:
    """In millionths of a cent, or by rounding alone: bins that a discretizer finds too narrow are left out."""
    known = table()
    known["charge"] = known["months"] * charge
    same = known.assign(charge=[0.1 + 0.2, 0.3] * (len(known) // 2))

    def steps(rows: pd.DataFrame) -> np.ndarray:
        return linear(NUMBERS[1:], rows, {"charge": rows["charge"]})

    assert steps(known).shape[1] == linear(NUMBERS[:1], known, {"months": known["months"]}).shape[1]
    assert np.isfinite(steps(same)).all()
