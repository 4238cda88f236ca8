"""The evidence of a judgement as the catalogue keeps it.

Owns the translation. The evidence is `flows.core.evidence`, its record `factory.records.measurements`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan

from factory.records.measurements import ClassScore, CurvePoint, Interval, Measurement, NearRows
from flows.adapters.registry import Version
from flows.core.bootstrap import Estimate
from flows.core.evidence import Evidence


def as_measurement(challenger: Version, rival: Version | None, evidence: Evidence) -> Measurement:
    """The challenger's numbers, and those beside the rival that it met; it comes with the test set that decided."""
    theirs = {change.name: change for change in evidence.comparison.classes} if evidence.comparison else {}
    return Measurement(
        model=challenger.model,
        version=challenger.number,
        rival=rival.number if rival else None,
        measured_at=datetime.now(UTC),
        test_version=challenger.dataset.test_version,
        test_rows=challenger.dataset.test.rows,
        metrics={name: _interval(found) for name, found in evidence.mine.items()},
        gains={name: _interval(found) for name, found in (evidence.gains or {}).items()},
        classes=tuple(
            ClassScore(
                name=row["class"],
                rows=int(row["rows"]),
                f1=_interval(Estimate(row["f1"], row["f1_low"], row["f1_high"])),
                rival_f1=theirs[row["class"]].champion_f1 if row["class"] in theirs else None,
                fall_chance=theirs[row["class"]].p_value if row["class"] in theirs else None,
            )
            for row in evidence.classes.to_dict("records")
        ),
        curve=tuple(
            CurvePoint(
                confidence=row["confidence"],
                right=_interval(Estimate(row["right"], row["low"], row["high"])),
                rows=int(row["rows"]),
            )
            for row in evidence.curve.to_dict("records")
        ),
        calibration_error=None if (error := evidence.calibration_error) is None else _interval(error),
        probe=_probe(evidence),
    )


def _probe(evidence: Evidence) -> NearRows | None:
    found = evidence.probe
    if found is None:
        return None
    near, far = (None if each is None else _interval(each) for each in (found.near, found.far))
    return NearRows(rows=found.near_rows, near=near, far=far)


def _interval(found: Estimate) -> Interval:
    """A bound that is no number, where no resample held the class, is none: JSON has no NaN."""
    low, high = (None if isnan(bound) else float(bound) for bound in (found.low, found.high))
    return Interval(value=float(found.value), low=low, high=high)
