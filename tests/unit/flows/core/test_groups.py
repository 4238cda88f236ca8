"""Rows of one group, or of equal texts, are one observation in whatever is drawn."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import bootstrap, calibration, drift
from flows.core.falls import measure_falls
from flows.core.groups import groups_of, join_groups, with_text_keys
from flows.core.resampling import Kinds


def three_times(values: np.ndarray) -> np.ndarray:
    return np.repeat(values, 3)


def test_rows_are_joined_by_group_by_text_and_over_other_rows() -> None:
    rows = pd.DataFrame({"group": [7, 7, 8, 9, None, None], "text": ["a", "b", "B!", "c", "", ""]})

    assert groups_of(rows).tolist() == [0, 0, 0, 1, 2, 3]
    assert groups_of(rows[["group"]]).tolist() == [0, 0, 1, 2, 3, 4]
    assert groups_of(pd.DataFrame({"label": ["x", "y"]})).tolist() == [0, 1]
    assert join_groups(["a", "b"], ["c", "d"]).tolist() == [0, 1]


def test_a_draw_takes_whole_groups_and_as_many_as_there_are() -> None:
    cells, groups = np.array([0, 0, 1, 1, 2]), np.array([0, 0, 1, 2, 3])

    drawn = Kinds.of(cells, groups, 3).draw(200, seed=1)

    assert set(drawn[:, 0] % 2) == {0}
    assert set(drawn[:, 0] // 2 + drawn[:, 1] + drawn[:, 2]) == {4}


def test_where_every_row_is_a_group_the_numbers_are_those_without_groups() -> None:
    random = np.random.default_rng(1)
    truth, mine, theirs = (random.integers(0, 9, 400) for _ in range(3))
    alone, right = random.permutation(400), random.random(400) < 0.7

    assert bootstrap.estimate(truth, mine) == bootstrap.estimate(truth, mine, groups=alone)
    assert bootstrap.estimate_difference(truth, mine, theirs) == bootstrap.estimate_difference(
        truth, mine, theirs, groups=alone
    )
    pd.testing.assert_frame_equal(
        bootstrap.estimate_classes(truth, mine), bootstrap.estimate_classes(truth, mine, groups=alone)
    )
    sure = random.random(400)
    assert calibration.estimate_error(sure, right) == calibration.estimate_error(sure, right, groups=np.arange(400))
    assert drift.permutation_test(truth, mine) == drift.permutation_test(truth, mine, groups=np.arange(800))


def test_rows_that_stand_three_times_under_new_ids_are_no_surer() -> None:
    random = np.random.default_rng(2)
    truth = random.integers(0, 9, 300)
    mine, theirs = (np.where(random.random(300) < 0.8, truth, random.integers(0, 9, 300)) for _ in range(2))
    sure, right = random.random(300), truth == mine
    groups = three_times(np.arange(300))
    copies = [three_times(values) for values in (truth, mine, theirs)]

    once, thrice = (
        bootstrap.estimate_difference(truth, mine, theirs),
        bootstrap.estimate_difference(*copies, groups=groups),
    )
    assert thrice["f1_weighted"].low == pytest.approx(once["f1_weighted"].low, abs=0.006)
    assert thrice["f1_macro"].high == pytest.approx(once["f1_macro"].high, abs=0.006)
    unbound = bootstrap.estimate_difference(*copies)["f1_weighted"]
    assert unbound.high - unbound.low < 0.7 * (once["f1_weighted"].high - once["f1_weighted"].low)

    errors = (
        calibration.estimate_error(sure, right),
        calibration.estimate_error(three_times(sure), three_times(right), groups=groups),
    )
    assert (errors[0].low, errors[0].high) == pytest.approx((errors[1].low, errors[1].high))
    curves = (
        calibration.calibration_curve(sure, right),
        calibration.calibration_curve(three_times(sure), three_times(right), groups=groups),
    )
    pd.testing.assert_series_equal(curves[0]["low"], curves[1]["low"])
    falls = measure_falls(truth, mine, theirs), measure_falls(*copies, groups=groups)
    assert falls[0].macro_p_value == falls[1].macro_p_value
    assert falls[0].p_values.tolist() == falls[1].p_values.tolist()


@pytest.mark.parametrize("sides", ["a group on one side", "a group on both sides"])
def test_copies_are_no_drift(sides: str) -> None:
    """Of 150 pairs without drift some 5 % reach p = .05; 19 would be more than chance (p below .001)."""
    random = np.random.default_rng(3)
    alarms = 0
    for _ in range(150):
        values, group = three_times(random.integers(0, 6, 300)), three_times(np.arange(300))
        newer = three_times(random.random(300) < 0.4)
        if sides == "a group on both sides":
            newer = random.random(900) < 0.4
        groups = np.concatenate([group[~newer], group[newer]])
        found = drift.permutation_test(values[~newer], values[newer], groups=groups, permutations=99)
        alarms += found.p_value <= 0.05
    assert alarms < 19


def test_texts_that_were_folded_before_give_the_same_groups() -> None:
    rows = pd.DataFrame({"group": ["a", "b", None, "c", "b", None], "text": ["Été!", "ete", None, "", "", "oak"]})

    assert groups_of(with_text_keys(rows)).tolist() == groups_of(rows).tolist()
    assert groups_of(with_text_keys(rows).iloc[1:]).tolist() == groups_of(rows.iloc[1:]).tolist()
