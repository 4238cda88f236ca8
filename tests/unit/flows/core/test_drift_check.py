"""A check compares with the reference and the days before, and alarms on many drifted columns or a critical one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import drift
from flows.core.drift_check import Finding, check_drift, sampling_error

WORDS = np.array([f"word{number}" for number in range(300)])


def predictions(rows: int, seed: int, *, classes: int = 21, longer: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "prediction": random.integers(0, classes, rows).astype(str),
            "score": random.beta(5, 2, rows),
            "text_length": random.integers(20, 200, rows) + longer,
            "text": [" ".join(random.choice(WORDS, 8)) for _ in range(rows)],
        }
    )


def checked(current: pd.DataFrame, before: pd.DataFrame, before_of_version: pd.DataFrame | None = None) -> Finding:
    mine = before if before_of_version is None else before_of_version
    return check_drift(predictions(1100, seed=1), current, before, mine, min_samples=100)


def test_a_week_like_the_others_is_stable() -> None:
    found = checked(predictions(300, seed=2), predictions(900, seed=3))

    assert set(found.recent.columns) == set(found.against_reference.columns) == set(drift.COLUMNS)
    assert (found.level, found.score, found.drifted()) == (drift.Level.STABLE, 0, [])
    assert not found.alarms(0.0)


def test_a_sudden_change_shows_against_the_days_before_although_the_reference_was_left_long_ago() -> None:
    """Texts have been longer than the reference's for weeks: that is known; that they became short again is not."""
    found = check_drift(
        predictions(1100, seed=1, longer=300),
        predictions(300, seed=2, longer=300),
        predictions(900, seed=3),
        predictions(900, seed=3),
        min_samples=100,
    )

    assert found.against_reference.drifted() == []
    assert found.recent.drifted() == ["text_length"]
    assert found.drifted() == ["text_length"]
    assert found.level is drift.Level.CRITICAL


def test_another_models_answers_are_no_drift() -> None:
    """The days before were another version's: its answers are not compared, the products are."""
    before = predictions(900, seed=3, classes=2)

    found = checked(predictions(300, seed=2), before, before.iloc[:50])

    assert set(found.recent.columns) == set(drift.DATA_COLUMNS)
    assert found.level is drift.Level.STABLE


def test_too_few_days_before_leave_the_reference_alone() -> None:
    assert checked(predictions(300, seed=2), predictions(99, seed=3)).recent.columns == {}


def test_one_critical_column_is_an_alarm_and_one_at_alert_is_not() -> None:
    def finding(level: drift.Level) -> Finding:
        moved = drift.ColumnDrift(0.25, 0.0, 0.0005, level)
        still = drift.ColumnDrift(0.0, 0.0, 1.0, drift.Level.STABLE)
        columns = {"text": moved, "score": still, "text_length": still, "prediction": still}
        return Finding(drift.Drift(columns), drift.Drift({}))

    assert finding(drift.Level.ALERT).score == 0.25
    assert not finding(drift.Level.ALERT).alarms(0.3)
    assert finding(drift.Level.ALERT).alarms(0.2)
    assert finding(drift.Level.CRITICAL).alarms(0.3)


@pytest.mark.parametrize(("drawn", "total", "error"), [(100, 100, 0.0), (20_000, 10**6, 0.00686), (500, 1_000, 0.031)])
def test_the_error_of_a_sample(drawn: int, total: int, error: float) -> None:
    assert sampling_error(drawn, total) == pytest.approx(error, abs=1e-4)


def test_samples_stay_within_their_error_nineteen_times_in_twenty() -> None:
    """Of 400 samples of a population that is half and half: 20 beyond on average, three deviations either way."""
    random = np.random.default_rng(4)
    drawn, total = 500, 2_000
    shares = random.hypergeometric(total // 2, total // 2, drawn, size=400) / drawn

    beyond = int((np.abs(shares - 0.5) > sampling_error(drawn, total)).sum())

    assert 7 <= beyond <= 33


STILL = drift.ColumnDrift(psi=0.0, chance_psi=0.0, p_value=1.0, level=drift.Level.STABLE)


@pytest.mark.parametrize(
    ("levels", "alert"),
    [
        ({"score": drift.Level.WARNING, "a": drift.Level.STABLE}, "LOW"),
        (
            {"score": drift.Level.STABLE, **dict.fromkeys("abcdefg", drift.Level.STABLE), "h": drift.Level.CRITICAL},
            "LOW",
        ),
        ({"prediction": drift.Level.ALERT, **dict.fromkeys("abcdefghi", drift.Level.STABLE)}, "MEDIUM"),
        ({"score": drift.Level.STABLE, "a": drift.Level.ALERT, **dict.fromkeys("bc", drift.Level.STABLE)}, "MEDIUM"),
        ({"score": drift.Level.CRITICAL, **dict.fromkeys("abcdefghi", drift.Level.STABLE)}, "HIGH"),
        ({"score": drift.Level.STABLE, "a": drift.Level.ALERT}, "HIGH"),
    ],
)
def test_the_alert_follows_from_the_share_of_columns_and_from_the_answers(
    levels: dict[str, drift.Level], alert: str
) -> None:
    columns = {name: drift.ColumnDrift(0.5, 0.0, 0.0, level) for name, level in levels.items()}

    assert Finding(drift.Drift(columns), drift.Drift({})).alert.value == alert
    assert Finding(drift.Drift(dict.fromkeys(columns, STILL)), drift.Drift(columns)).alert.value == alert
