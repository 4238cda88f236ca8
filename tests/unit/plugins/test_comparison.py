"""Two versions side by side, made of what was kept when each was judged."""

from __future__ import annotations

import pytest

from plugins.control_page.comparison_views import compare, versions_of
from tests.measured import measurement
from tests.unit.plugins.test_overview import decision

KEPT = {"intervals": {"f1_weighted": (0.8, 0.84)}}


def test_versions_that_were_judged_against_each_other_differ_by_an_interval_and_a_tested_fall() -> None:
    it = compare("1", "2", [], [measurement(2, rival=1), measurement(1)])
    assert [row.words for row in it.metrics] == ["Weighted F1", "Macro F1", "Accuracy"]
    gain = it.metrics[0].change
    assert gain is not None
    assert (gain.value, gain.low, gain.high) == (0.01, 0.001, 0.019)
    assert it.classes[0].name == "textiles"
    assert it.classes[0].change == pytest.approx(-0.19)
    assert [row.is_beyond_chance for row in it.classes] == [True, False, False]
    assert [curve.version for curve in it.curves] == ["1", "2"]
    assert all(0 <= point.y <= 100 for curve in it.curves for point in curve.points)
    assert it.remarks == ()


def test_turned_round_the_gain_is_a_loss() -> None:
    gain = compare("2", "1", [], [measurement(2, rival=1), measurement(1)]).metrics[0].change
    assert gain is not None
    assert (gain.value, gain.low, gain.high) == (-0.01, -0.019, -0.001)


def test_versions_that_never_met_stand_beside_each_other_with_that_said() -> None:
    it = compare("1", "3", [], [measurement(3, rival=2), measurement(1)])
    change = it.metrics[0].change
    assert change is not None
    assert (round(change.value, 4), change.low) == (0.02, None)
    assert {row.is_beyond_chance for row in it.classes} == {None}
    assert "never judged against each other" in it.remarks[0]
    other = compare("1", "3", [], [measurement(3), measurement(1, test_version="test/v0")])
    assert "different test sets, test/v0 and test/v1" in other.remarks[0]


def test_a_version_of_before_measurements_were_kept_has_the_numbers_of_its_decision() -> None:
    made = [decision(2, **KEPT), decision(1)]
    assert versions_of(made, [measurement(10)]) == ["10", "2", "1"]
    it = compare("1", "2", made, [])
    assert it.metrics[0].second is not None
    assert (it.metrics[0].second.value, it.metrics[0].second.low) == (0.82, 0.8)
    assert it.classes == it.curves == ()
    assert len([said for said in it.remarks if "model card" in said]) == 2
    met = compare("1", "2", made, [measurement(2, rival=1)])  # the rival's F1 by class was kept with the challenger's
    assert [row.first is not None for row in met.classes] == [True, True, True]
