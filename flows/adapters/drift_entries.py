"""What a check for drift leaves in the history, and how it is told there.

Owns the translation of a finding into the history's entry. The history itself is `factory.records.drift_checks`; what
counts as drift is `flows.core.drift_check`, what moved over the checks `flows.core.drift_history`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from factory.contracts import ColumnDrift, LiveQuality, Trend, told_trend
from factory.records.drift_checks import DriftCheck
from factory.use_cases import clock_of
from flows.adapters.drift_report import Report
from flows.adapters.windows import Windows
from flows.core import drift, drift_history
from flows.core.drift_check import Finding
from flows.core.drift_history import PastCheck


def describe(
    model: str, windows: Windows, finding: Finding, report: Report, live: LiveQuality | None, threshold: float
) -> DriftCheck:
    """The entry of the history, with Evidently's tests beside our own numbers; `threshold` is the alarm's."""
    return DriftCheck(
        model=model,
        until=windows.until,
        looked_at=datetime.now(UTC),
        model_version=windows.version.number,
        samples=windows.current.total,
        level=finding.level.value,
        drift_score=finding.score,
        alarm=finding.alarms(threshold),
        columns=_columns(finding, report),
        live=live,
        slices={name: _told(slice_, drifted=slice_.drifted) for name, slice_ in finding.slices.columns.items()},
        shares={kind: dict(shares) for kind, shares in finding.slices.shares.items()},
        trends=_trends(finding),
    )


def with_trends(finding: Finding, windows: Windows, earlier: Sequence[DriftCheck]) -> Finding:
    """The finding with what moved slowly from the earlier checks, the oldest first, to this one."""
    past = [PastCheck(check.until, check.model_version, check.samples, check.shares) for check in earlier]
    rows = len(windows.current.rows)
    return drift_history.with_trends(finding, past, until=windows.until, version=windows.version.number, rows=rows)


def tell_trends(model: str, finding: Finding) -> list[str]:
    """The trends that are any, in words."""
    nouns = clock_of(model).nouns
    return [told for name, trend in _trends(finding).items() if (told := told_trend(name, trend, nouns))]


def explain(check: DriftCheck, finding: Finding, threshold: float) -> str:
    """The check in a sentence, with its numbers."""
    return drift_history.tell(
        finding,
        version=check.model_version,
        samples=check.samples,
        threshold=threshold,
        slowly=tell_trends(check.model, finding),
    )


def _trends(finding: Finding) -> dict[str, Trend]:
    found = {}
    for name, trend in finding.trends.items():
        numbers = {key: round(value, 5) for key, value in asdict(trend).items() if isinstance(value, float)}
        found[name] = Trend(**(asdict(trend) | numbers | {"level": trend.level.value}))
    return found


def _columns(finding: Finding, report: Report) -> dict[str, ColumnDrift]:
    drifted, columns = finding.drifted(), {}
    for name, column in finding.against_reference.columns.items():
        recent, tested = finding.recent.columns.get(name), report.tests.get(name)
        beside = {
            "recent_psi": round(recent.psi, 4) if recent else None,
            "recent_p_value": round(recent.p_value, 4) if recent else None,
            "recent_level": recent.level.value if recent else None,
            "evidently_test": tested.name if tested else None,
            "evidently_score": round(tested.score, 4) if tested else None,
            "evidently_drifted": tested.drifted if tested else None,
        }
        columns[name] = _told(column, drifted=name in drifted).model_copy(update=beside)
    return columns


def _told(column: drift.ColumnDrift, *, drifted: bool) -> ColumnDrift:
    return ColumnDrift(
        psi=round(column.psi, 4),
        chance_psi=round(column.chance_psi, 4),
        p_value=round(column.p_value, 4),
        level=column.level.value,
        drifted=drifted,
        missing=round(column.missing, 5),
        reference_missing=round(column.reference_missing, 5),
        false_alarm_rate=round(column.false_alarm_rate, 4),
    )
