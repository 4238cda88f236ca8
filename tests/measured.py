"""What versions were measured at, for tests of what is made of it. Imports neither orchestrator."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from factory.records.measurements import ClassScore, CurvePoint, Interval, Measurement

CLASSES = ("food", "metals", "textiles")


def measurement(number: int, rival: int = 0, **more: Any) -> Measurement:
    """Version `number`, better by .01 than the one before, but for the class of textiles."""
    f1 = 0.8 + number / 100

    def around(value: float, width: float = 0.02) -> Interval:
        return Interval(value=round(value, 4), low=round(value - width, 4), high=round(value + width, 4))

    told = {
        "model": "products",
        "version": str(number),
        "rival": str(rival) if rival else None,
        "measured_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=number),
        "test_version": "test/v1",
        "test_rows": 1100,
        "metrics": {"f1_weighted": around(f1), "f1_macro": around(f1 - 0.1), "accuracy": around(f1 + 0.01)},
        "gains": {"f1_weighted": around(0.01, 0.009)} if rival else {},
        "classes": tuple(
            ClassScore(
                name=name,
                rows=10 * (place + 1),
                f1=around(f1 - (0.2 * number if name == "textiles" else 0.01 * place), 0.05),
                rival_f1=f1 if rival else None,
                fall_chance=0.001 if rival and name == "textiles" else 0.4 if rival else None,
            )
            for place, name in enumerate(CLASSES)
        ),
        "curve": tuple(
            CurvePoint(confidence=share / 10, right=around(min(1.0, share / 10 - 0.05 / number)), rows=40 * share)
            for share in (5, 7, 9)
        ),
        "calibration_error": around(0.05 / number, 0.01),
    }
    return Measurement(**{**told, **more})
