"""What a column moved is told exactly of a linear model, adds up of any, and is nothing where the row is typical."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from factory.use_cases.columns import Column
from flows.core.logic import logic_of_entities
from flows.core.selection import Choice
from flows.core.table_explanation import explain, log_odds, mean_parts, typical_row
from tests.unit.flows.core.entities.songs import ALIKE, ENERGY, GENRE, SIMILAR, declare, songs

COLUMNS = (Column("loudness", "number"), Column("tempo", "number"), Column("genre", "category"))
TYPICAL = pd.DataFrame({"loudness": [1.0], "tempo": [2.0], "genre": ["pop"]})
ROW = pd.DataFrame({"loudness": [3.0], "tempo": [2.0], "genre": ["metal"]})


def linear(rows: pd.DataFrame) -> np.ndarray:
    return 5 + 2 * rows["loudness"].to_numpy(float) + 7 * rows["tempo"].to_numpy(float) - 3 * (rows["genre"] == "metal")


def tangled(rows: pd.DataFrame) -> np.ndarray:
    """Loudness counts in metal alone."""
    return np.where(rows["genre"] == "metal", rows["loudness"].to_numpy(float), 0.0)


def test_the_parts_of_a_linear_answer_are_its_weights() -> None:
    base, value, table = explain(linear, ROW, TYPICAL, COLUMNS)

    assert (base, value) == (21.0, 22.0)
    assert dict(zip(table["column"], table["contribution"], strict=True)) == pytest.approx(
        {"loudness": 4.0, "genre": -3.0, "tempo": 0.0}
    )
    assert table["column"].tolist() == ["loudness", "genre", "tempo"]
    assert table.iloc[0][["value", "typical"]].tolist() == ["3", "1"]


def test_what_two_columns_do_together_is_shared_between_them() -> None:
    base, value, table = explain(tangled, ROW, TYPICAL, COLUMNS)
    parts = dict(zip(table["column"], table["contribution"], strict=True))

    assert value - base == pytest.approx(sum(parts.values()))
    assert parts["genre"] == pytest.approx(2.0)
    assert parts["loudness"] == pytest.approx(1.0)


def test_a_typical_row_has_no_reasons() -> None:
    base, value, table = explain(linear, TYPICAL, TYPICAL, COLUMNS)

    assert base == value == 21
    assert table["contribution"].tolist() == [0.0, 0.0, 0.0]


def test_a_typical_row_has_medians_and_the_most_frequent_values() -> None:
    rows = pd.DataFrame({"loudness": [1.0, 2.0, 9.0, np.nan], "tempo": [np.nan] * 4, "genre": ["a", "b", "b", None]})

    found = typical_row(rows, COLUMNS)

    assert found["loudness"].tolist() == [2.0]
    assert found["genre"].tolist() == ["b"]
    assert found["tempo"].isna().all()


def test_a_missing_value_is_told_as_missing_and_counts_as_itself() -> None:
    row = ROW.assign(tempo=np.nan)
    _, _, table = explain(lambda rows: rows["tempo"].isna().to_numpy(float), row, TYPICAL, COLUMNS)

    assert table.iloc[0][["column", "value", "contribution"]].tolist() == ["tempo", "missing", 1.0]


def test_on_average_a_column_moves_the_mean_size_of_its_parts() -> None:
    quiet = ROW.assign(loudness=-1.0, genre="pop")
    found = mean_parts([explain(linear, each, TYPICAL, COLUMNS)[2] for each in (ROW, quiet)])

    assert found["column"].tolist() == ["loudness", "genre", "tempo"]
    assert found["moved"].tolist() == pytest.approx([4.0, 1.5, 0.0])
    assert found["share"].tolist() == pytest.approx([8 / 11, 3 / 11, 0.0])


def test_certain_answers_have_finite_odds() -> None:
    assert log_odds(np.array([0.5, 0.75]))[1] == pytest.approx(np.log(3))
    assert np.isfinite(log_odds(np.array([0.0, 1.0]))).all()


@pytest.mark.parametrize(
    ("task", "candidate", "target"),
    [
        (ENERGY, "ridge-table", "energy"),
        (ENERGY, "boosting-regression", "energy"),
        (GENRE, "logistic-table", "genre"),
        (ALIKE, "k-means-table", ""),
        (ALIKE, "mixture-table", ""),
        (SIMILAR, "cosine-tree", ""),
    ],
)
def test_every_kind_of_task_says_what_made_its_answer(task: object, candidate: str, target: str) -> None:
    logic, rows = logic_of_entities(declare(task)), songs(300, target=target)
    chosen = logic.find_candidates([candidate])[0]
    model = logic.fit(rows, Choice(chosen.altered(clusters=3) if task is ALIKE else chosen))
    loud = songs(20, first=9_000, target=target)
    row = loud.assign(loudness=9.0, valence=rows["valence"].median()).head(1)

    found, whole = logic.explain(model, row, rows), logic.reasons(model, rows)

    assert set(whole["column"]) == set(model.feature_names_in_)
    assert whole["share"].sum() == pytest.approx(1)
    assert whole["moved"].is_monotonic_decreasing
    assert found.value - found.base == pytest.approx(found.columns["contribution"].sum())
    assert found.entity_id == row["entity_id"].iloc[0]
    assert set(found.columns["column"]) == set(model.feature_names_in_)
    assert found.columns.set_index("column").loc["valence", "contribution"] == 0
    if task is ENERGY:
        assert found.columns["column"].iloc[0] == whole["column"].iloc[0] == "loudness"
        assert found.measure == "energy"
        assert found.value == pytest.approx(found.score)
