"""Where a model does well and where it does not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from flows.core.slices import languages_of, measure_slices

ENGLISH = "Pure-bred breeding horses and other live animals of the field"
FRENCH = "Lot de deux coussins pour chaise de jardin avec leur housse"


def rows_of(texts: list[str], described: list[bool]) -> tuple[pd.DataFrame, pd.DataFrame]:
    truth = ["a" if index % 2 else "b" for index in range(len(texts))]
    rows = pd.DataFrame({"text": texts, "target": truth, "described": described})
    rng = np.random.default_rng(7)
    wrong = rng.random(len(texts)) < np.where(described, 0.05, 0.5)
    answers = [("b" if label == "a" else "a") if miss else label for label, miss in zip(truth, wrong, strict=True)]
    confidence = np.where(described, 0.9, 0.4)
    return rows, pd.DataFrame({"prediction": answers, "score": confidence})


def test_each_slice_has_its_own_f1_with_an_interval() -> None:
    rows, predicted = rows_of([ENGLISH, FRENCH + " et coton"] * 100, [True] * 120 + [False] * 80)

    found = measure_slices(rows, predicted).set_index("slice")

    without = rows["described"].eq(other=False)
    f1 = f1_score(rows.loc[without, "target"], predicted.loc[without, "prediction"], average="weighted")
    assert found.loc["without description", "f1"] == pytest.approx(f1)
    assert found.loc["without description", "high"] < found.loc["with description", "low"]
    assert (found["low"] <= found["f1"]).all()
    assert (found["f1"] <= found["high"]).all()
    assert dict(found.groupby("kind")["rows"].sum()) == dict.fromkeys(found["kind"], 200)
    assert {"English", "French", "unsure: confidence below 50 %", "sure: 80 % and more"} <= set(found.index)


def test_what_does_not_divide_the_rows_is_left_out() -> None:
    rows, predicted = rows_of([ENGLISH] * 40, [True] * 40)

    assert measure_slices(rows, predicted).empty


def test_a_slice_of_a_few_rows_is_left_out() -> None:
    rows, predicted = rows_of([ENGLISH] * 195 + [FRENCH] * 5, [True] * 120 + [False] * 80)

    kinds = set(measure_slices(rows, predicted)["kind"])

    assert "Language" not in kinds
    assert "Description" in kinds


def test_a_language_is_told_where_there_is_enough_to_tell_it_by() -> None:
    told = languages_of(pd.Series([ENGLISH, FRENCH, "Canon"]))

    assert list(told) == ["English", "French", "too short to tell"]
