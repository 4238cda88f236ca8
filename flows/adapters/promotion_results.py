"""From a verdict, a rollback or a title that was mended to the result that is published.

Owns how a decision is put into the contract's words. Must not read or write anything: `flows.promotion` does, in its
order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from factory.contracts import DatasetRef, GateCheck, PromotionResult
from factory.use_cases.metrics import declared
from factory.use_cases.use_case import Gate
from flows.adapters.decisions import PREVIOUS_TAG
from flows.adapters.exam import Report
from flows.adapters.promotion_case import Case
from flows.adapters.registry import Version
from flows.core import policy
from flows.core.bootstrap import Estimate
from flows.core.evidence import Evidence
from flows.core.policy import Costs, Verdict


@dataclass(frozen=True, slots=True)
class Links:
    """Where people look at the version, at its card and at all trainings; None when no web interface is known."""

    mlflow_url: str | None
    card_url: str | None
    experiment_url: str | None


def verdict_result(
    case: Case,
    challenger: Version,
    champion: Version | None,
    verdict: Verdict,
    evidence: Evidence,
    costs: Costs,
    links: Links,
    report: Report,
) -> PromotionResult:
    """The verdict as a result; the challenger comes with the test set that decided, `report` tells of it."""
    holder = champion.number if champion else None
    before = challenger.tags.get(PREVIOUS_TAG) or None if verdict.rule == "standing" else holder
    comparison = evidence.comparison
    return PromotionResult(
        use_case=case.use_case,
        model=case.model,
        promoted=verdict.promoted,
        reason=verdict.reason,
        rule=verdict.rule,
        challenger_version=challenger.number,
        challenger_metrics=_values(evidence.mine),
        intervals={name: (found.low, found.high) for name, found in evidence.mine.items()},
        champion_version=challenger.number if verdict.promoted and not case.rehearsal else holder,
        previous_champion_version=before,
        previous_champion_metrics=_values(evidence.theirs) if evidence.theirs else None,
        threshold=case.gate.floor,
        test_version=challenger.dataset.test_version,
        test_rows=challenger.dataset.test.rows,
        rehearsal=case.rehearsal,
        checks=_checks(verdict, case.gate, report),
        warnings=tuple(policy.warnings_of(comparison, case.gate)) if comparison else (),
        test_looks=report.looks,
        test_remarks=report.remarks(),
        gain=comparison.gain if comparison else None,
        gain_at_least=comparison.low if comparison else None,
        costs={name: float(value) for name, value in asdict(costs).items()},
        approved_by=case.approval.approved_by,
        rejected_by=case.approval.rejected_by,
        decided_by=case.initiator.name,
        mlflow_url=links.mlflow_url,
        card_url=links.card_url,
        experiment_url=links.experiment_url,
    )


def rollback_result(case: Case, leaving: Version, returning: Version, links: Links) -> PromotionResult:
    """The rollback as a result; its numbers are those that the versions were registered with."""
    return PromotionResult(
        use_case=case.use_case,
        model=case.model,
        promoted=False,
        reason=f"rolled back from version {leaving.number} to version {returning.number}",
        rule="rolled back",
        challenger_version=leaving.number,
        challenger_metrics=recorded(leaving),
        champion_version=returning.number,
        previous_champion_version=leaving.number,
        previous_champion_metrics=recorded(leaving),
        threshold=case.gate.floor,
        test_version=leaving.dataset.test_version,
        test_rows=leaving.dataset.test.rows,
        rolled_back=True,
        decided_by=case.initiator.name,
        mlflow_url=links.mlflow_url,
        card_url=links.card_url,
        experiment_url=links.experiment_url,
    )


def mended_result(
    case: Case, holder: Version | None, before: str | None, dataset: DatasetRef, links: Links
) -> PromotionResult:
    """The title as a person set it, as a result: to `holder` or to nobody, after `before` by the record."""
    number = holder.number if holder else None
    said = f"by hand: version {number} is the champion" if number else "by hand: there is no champion"
    return PromotionResult(
        use_case=case.use_case,
        model=case.model,
        promoted=holder is not None,
        reason=f"{said}, after {f'version {before}' if before else 'none'}",
        rule="by hand",
        challenger_version=number or before or "none",
        challenger_metrics=recorded(holder) if holder else {},
        champion_version=number,
        previous_champion_version=before,
        previous_champion_metrics=None,
        threshold=case.gate.floor,
        test_version=dataset.test_version,
        test_rows=dataset.test.rows,
        decided_by=case.initiator.name,
        mlflow_url=links.mlflow_url,
        card_url=links.card_url,
    )


def _checks(verdict: Verdict, gate: Gate, report: Report) -> tuple[GateCheck, ...]:
    """That of the test set, which stops a judgement before it begins, and those of the policy, where it was asked."""
    if not verdict.checks:
        return ()
    within = f"{report.difference.sentence()} (limit {gate.largest_test_change:.2%})"
    return GateCheck(rule="test set", passed=True, said=within), *(
        GateCheck(**asdict(check)) for check in verdict.checks
    )


def _values(estimates: Mapping[str, Estimate]) -> dict[str, float]:
    return {name: found.value for name, found in estimates.items()}


def recorded(version: Version) -> dict[str, float]:
    """The metrics that the version was registered with."""
    return {name: float(version.tags[name]) for name in (metric.name for metric in declared(version.tags))}
