"""What a message says of a look: levels, columns, live F1 and what became of the retraining."""

from __future__ import annotations

from typing import Any

from factory.contracts import ColumnDrift, LiveQuality, MonitorResult

QUIET = ColumnDrift(psi=0.02, chance_psi=0.02, p_value=0.4, level="stable", drifted=False)
MOVED = ColumnDrift(psi=1.8, chance_psi=0.02, p_value=0.0005, level="critical", drifted=True)


def result(**changes: Any) -> MonitorResult:
    told: dict[str, Any] = {
        "status": "ok",
        "reason": "stable over 2,500 predictions",
        "drift_detected": False,
        "drift_score": 0.0,
        "threshold": 0.3,
        "retrained": False,
        "drift_metrics": {"score": QUIET, "text": QUIET},
        "retrain_result": None,
        "notification": "",
        "use_case": "products",
        "samples": 2500,
    }
    return MonitorResult(**(told | changes))


def test_a_quiet_week_has_no_reservation() -> None:
    assert result().reservations() == []
    assert result().facts()["Drift"].startswith("stable, score 0.00")


def test_an_alarm_is_told_with_what_became_of_the_retraining() -> None:
    alarm = result(
        status="drift",
        reason="critical over 2,500 predictions",
        drift_detected=True,
        drift_score=0.5,
        level="critical",
        drift_metrics={"score": QUIET, "text": MOVED},
        retraining="retrained on week 3: version 4 promoted",
        report_url="http://mlflow.test/report",
        chart_url="http://mlflow.test/chart",
    )

    assert alarm.reservations() == [
        "Drift: critical over 2,500 predictions",
        "Retraining: retrained on week 3: version 4 promoted",
    ]
    assert alarm.facts()["PSI"] == "text 1.80, score 0.02"
    assert set(alarm.links()) == {"Drift report", "Drift by week"}


def test_a_warning_is_told_although_it_is_no_alarm() -> None:
    assert result(level="warning").reservations() == ["Drift: stable over 2,500 predictions"]


def test_live_f1_is_told_beside_the_promise_and_reserved_below_it() -> None:
    live = LiveQuality(f1_weighted=0.7, low=0.68, high=0.72, labelled=900, promised=0.8, promised_low=0.78)

    assert result(live=live).facts()["Live F1"] == "0.700 (0.680 to 0.720), promised 0.800"
    (said,) = result(live=live).reservations()
    assert "Live F1 0.700 over 900 labelled predictions is below the promised 0.800" in said
    assert result(live=live.model_copy(update={"high": 0.79})).reservations() == []


def test_what_asks_nothing_of_anybody_is_news() -> None:
    skipped = result(status="skipped", reason="no prediction is logged yet")
    assert (skipped.reservations(), skipped.news()) == ([], ["Monitoring skipped: no prediction is logged yet"])
    forced = result(retraining="retrained on week 3: version 4 promoted")
    assert (forced.reservations(), forced.news()) == ([], ["Retraining: retrained on week 3: version 4 promoted"])
    alarm = result(level="critical", retraining="no newer snapshot")
    assert len(alarm.reservations()) == 2
    assert alarm.news() == []
