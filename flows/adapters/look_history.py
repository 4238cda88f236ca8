"""What a look at drift leaves in the history, and how it is told.

Owns the translation of a finding into the history's entry. The history itself is `factory.drift_history`; what counts
as drift is `flows.core.look`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from factory.contracts import ColumnDrift, LiveQuality
from factory.drift_history import Look
from flows.adapters.drift_report import Report
from flows.adapters.windows import Windows
from flows.core import drift
from flows.core.look import Finding


def describe_look(
    use_case: str, windows: Windows, finding: Finding, report: Report, live: LiveQuality | None, threshold: float
) -> Look:
    """The entry of the history, with Evidently's tests beside our own numbers; `threshold` is the alarm's."""
    return Look(
        use_case=use_case,
        until=windows.until,
        looked_at=datetime.now(UTC),
        model_version=windows.version.number,
        samples=windows.current.total,
        level=finding.level.value,
        drift_score=finding.score,
        alarm=finding.alarms(threshold),
        columns=_columns(finding, report),
        live=live,
    )


def explain_look(look: Look, finding: Finding, threshold: float) -> str:
    """The look in a sentence, with its numbers."""
    drifted = finding.drifted()
    columns = f" ({', '.join(drifted)})" if drifted else ""
    slices = finding.slices.drifted()
    among = f"; drifted slices: {', '.join(slices)}" if slices else ""
    relation = "above" if look.drift_score > threshold else "not above"
    return (
        f"{look.level} over {look.samples:,} predictions of version {look.model_version}: "
        f"drift score {look.drift_score:.2f}{columns} is {relation} {threshold:.2f}{among}"
    )


def describe_slices(finding: Finding) -> dict[str, ColumnDrift]:
    """The slices as the result tells them."""
    return {name: _told(slice_, drifted=slice_.drifted) for name, slice_ in finding.slices.columns.items()}


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
