"""The chart shows every column and alarm, and live F1 where it is known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from factory.contracts import ColumnDrift, LiveQuality, Trend
from factory.records.drift_checks import DriftCheck
from flows.adapters.drift_chart import draw_weeks


def drift_check(week: int, *, psi: float = 0.03, alarm: bool = False, live: bool = False) -> DriftCheck:
    level = "critical" if alarm else "stable"
    column = ColumnDrift(psi=psi, chance_psi=0.02, p_value=0.4, level=level, drifted=alarm)
    quality = LiveQuality(f1_weighted=0.8, low=0.78, high=0.82, labelled=900, promised=0.81)
    return DriftCheck(
        model="products",
        until=datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=week),
        looked_at=datetime(2026, 11, 21, tzinfo=UTC),
        model_version="3",
        samples=2_500,
        level=level,
        drift_score=1.0 if alarm else 0.0,
        alarm=alarm,
        columns={"text": column, "score": column},
        live=quality if live else None,
    )


def test_each_column_has_a_line_and_each_alarm_a_mark() -> None:
    checks = [*(drift_check(week) for week in range(5)), drift_check(5, psi=2.0, alarm=True)]

    (axes,) = draw_weeks(checks).axes

    drawn = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert drawn["text"] == [0.03] * 5 + [2.0]
    assert drawn["score"] == drawn["text"]
    assert next(list(line.get_xdata()) for line in axes.lines if line.get_label() == "alarm") == [5]
    assert axes.get_ylim()[1] > 2.0


@pytest.mark.parametrize("weeks", [1, 60])
def test_live_f1_has_a_panel_of_its_own_and_any_number_of_weeks_is_drawn(weeks: int, tmp_path: Path) -> None:
    figure = draw_weeks([drift_check(week, live=True) for week in range(weeks)])
    figure.savefig(tmp_path / "chart.png")

    assert [axes.get_ylabel() for axes in figure.axes] == ["PSI against the reference", "weighted F1"]
    named = [label for label in figure.axes[1].get_xticklabels() if label.get_visible()]
    assert 1 <= len(named) <= 16
    assert named[-1].get_text() == f"{drift_check(weeks - 1).until:%d %b %Y}"


def test_the_farthest_slice_is_a_line_and_what_moves_slowly_a_panel_of_its_share() -> None:
    slices = {
        "language": drift_check(0, psi=0.4, alarm=True).columns["text"],
        "class a": drift_check(0, psi=0.6).columns["text"],
    }
    trend = Trend(value="fr", first=0.0, last=0.3, weeks=7, psi=0.5, p_value=0.001, level="critical")
    checks = [
        drift_check(week, live=True).model_copy(update={"slices": slices, "shares": {"language": {"fr": week / 20}}})
        for week in range(1, 7)
    ]
    checks = [
        drift_check(0),
        *checks,
        checks[-1].model_copy(update={"until": drift_check(7).until, "trends": {"language": trend}}),
    ]

    drift, shares, live = draw_weeks(checks).axes

    farthest = next(line for line in drift.lines if line.get_label() == "farthest slice")
    assert list(farthest.get_ydata())[1:] == [0.4] * 7
    (line,) = shares.lines
    assert line.get_label() == "language fr"
    assert list(line.get_ydata()) == [week / 20 for week in (1, 2, 3, 4, 5, 6, 6)]
    assert live.get_ylabel() == "weighted F1"
