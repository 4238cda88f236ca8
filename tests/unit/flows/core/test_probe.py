"""The probe: what a model is worth on test rows that nearly equal a training row, beside the others."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core.probe import measure

TRUTH = pd.Series(["a", "b"] * 100)
NEAR = np.arange(200) < 80


def test_a_model_that_remembers_is_told_apart_from_one_that_knows() -> None:
    guessed = TRUTH.where(NEAR | (np.arange(200) % 3 > 0), "a")

    found = measure(TRUTH, guessed, NEAR, groups=np.arange(200))

    assert (found.near_rows, found.far_rows) == (80, 120)
    assert found.near is not None
    assert found.far is not None
    assert found.near.value == 1.0
    assert found.far.low < found.far.value < found.far.high < 1
    assert found.flatters
    assert "40% of the test rows nearly equal a training row: weighted F1 is 1.000" in found.sentence()
    assert found.sentence().endswith("on new texts it will do less well than all of them promise")
    assert found.numbers()["f1_weighted_far"] == pytest.approx(found.far.value)


def test_where_both_are_as_good_nothing_is_said_against_the_model() -> None:
    found = measure(TRUTH, TRUTH, NEAR, groups=np.arange(200))

    assert not found.flatters
    assert found.sentence().endswith("(1.000 to 1.000) on the others")


@pytest.mark.parametrize("near", [np.zeros(200, bool), np.ones(200, bool)])
def test_one_kind_of_rows_alone_is_told_without_a_comparison(near: np.ndarray) -> None:
    found = measure(TRUTH, TRUTH, near, groups=np.arange(200))

    assert found.sentence() == f"{near.sum()} of 200 test rows nearly equal a training row"
    assert len(found.numbers()) == 3
