"""A check for drift among those before it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.core.drift import ColumnDrift, Drift, Level
from flows.core.drift_check import Finding
from flows.core.drift_history import PastCheck, tell, with_trends
from flows.core.slice_drift import Slices

NOW = datetime(2026, 3, 2, tzinfo=UTC)
STILL = ColumnDrift(psi=0.01, chance_psi=0.01, p_value=0.5, level=Level.STABLE)
MOVED = ColumnDrift(psi=0.4, chance_psi=0.01, p_value=0.0005, level=Level.CRITICAL)


def finding(share: float) -> Finding:
    """A check in which so many of the texts were French, and as many of the predictions tools."""
    shares = {"language": {"fr": share, "en": 1 - share}, "prediction": {"tools": share, "toys": 1 - share}}
    slices = Slices({"language": MOVED, "source": STILL}, shares)
    return Finding(Drift({"prediction": MOVED, "text": STILL}), Drift({}), slices)


def rising(weeks: int, *, version: str = "3") -> list[PastCheck]:
    """Checks of the weeks before, in which French and tools rise by four points a week, to a half."""
    return [
        PastCheck(NOW - timedelta(weeks=back), version, 400, finding(0.5 - 0.04 * back).slices.shares)
        for back in range(weeks, 0, -1)
    ]


def test_what_moved_week_by_week_is_a_trend() -> None:
    found = with_trends(finding(0.5), rising(9), until=NOW, version="3", rows=400).trends
    assert set(found) == {"language", "prediction"}
    english = found["language"]
    assert (english.value, english.weeks) == ("en", 10)
    assert (english.first, english.last) == pytest.approx((0.86, 0.5), abs=0.001)
    assert found["prediction"].level is not Level.STABLE


def test_what_another_version_predicted_is_no_trend_of_this_one() -> None:
    found = with_trends(finding(0.5), rising(9, version="2"), until=NOW, version="3", rows=400).trends
    assert set(found) == {"language"}


def test_too_few_checks_show_no_trend() -> None:
    assert not with_trends(finding(0.5), rising(3), until=NOW, version="3", rows=400).trends


def test_a_check_is_told_with_its_numbers() -> None:
    assert tell(finding(0.5), version="3", samples=2_500, threshold=0.3, slowly=["language 'fr' rose"]) == (
        "critical over 2,500 predictions of version 3: drift score 0.50 (prediction) is above 0.30"
        "; drifted slices: language; slowly language 'fr' rose"
    )
    assert "is not above 0.50" in tell(finding(0.5), version="3", samples=9, threshold=0.5)
