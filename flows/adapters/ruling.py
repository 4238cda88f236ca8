"""From a case and its evidence to the result that is published.

Owns which verdicts need no judging, and how a decision is put into the contract's words. Must not read or write
anything: `flows.promotion` does, in its order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from math import isnan

from factory import use_cases
from factory.approval import is_asked_for
from factory.contracts import DatasetRef, GateCheck, PromotionResult
from factory.records.measurements import ClassScore, CurvePoint, Interval, Measurement, NearRows
from factory.settings import Settings
from factory.use_cases.metrics import declared
from factory.use_cases.use_case import Declared, Gate
from flows.adapters.decisions import PREVIOUS_TAG, ROLLED_BACK_TAG
from flows.adapters.exam import Report
from flows.adapters.initiator import Initiator
from flows.adapters.registry import Version
from flows.core import policy
from flows.core.bootstrap import Estimate
from flows.core.evidence import Evidence
from flows.core.policy import Approval, Check, Costs, Verdict


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be decided, by which rules and for whom.

    `named` tells whether the challenger was named by its number: then even one that was rolled back is judged.
    """

    model: str
    gate: Gate
    approval: Approval
    initiator: Initiator
    named: bool
    rehearsal: bool

    @property
    def declared(self) -> Declared:
        """What the model and its use case say of themselves."""
        return use_cases.get_model(self.model)

    @property
    def use_case(self) -> str:
        """The use case's name."""
        return self.declared.use_case.name

    @property
    def lock(self) -> str:
        """The lock under which one decision is taken at a time."""
        return f"promotion/{self.model}"


@dataclass(frozen=True, slots=True)
class Links:
    """Where people look at the version, at its card and at all trainings; None when no web interface is known."""

    mlflow_url: str | None
    card_url: str | None
    experiment_url: str | None


def asked(
    settings: Settings, gate: Gate, approved_by: str | None, rejected_by: str | None, *, rehearsal: bool
) -> Approval:
    """What people said, where nothing was said stands for None; raises ValueError for a yes and a no at once."""
    if approved_by and rejected_by:
        raise ValueError(f"{approved_by} approved and {rejected_by} refused the same promotion: give one of the two")
    required = is_asked_for(settings, gate) and not rehearsal
    return Approval(required, approved_by or None, rejected_by or None)


def find_overlap(case: Case, challenger: Version, rival: Version | None) -> Check | None:
    """Whether both may be compared on the challenger's test set; None where it does not roll on, or nobody is met."""
    rolling, span = case.declared.use_case.rolling, challenger.dataset.span
    known = rival.dataset.span if rival else None
    if rolling is None or span is None or rival is None or known is None:
        return None
    return policy.overlap(
        rival.number,
        known.trained_until,
        first=span.first,
        embargo=rolling.embargo_periods,
        clock=case.declared.use_case.clock,
    )


def rule(
    case: Case,
    challenger: Version,
    champion: Version | None,
    evidence: Evidence,
    costs: Costs,
    overlap: Check | None = None,
) -> Verdict:
    """The verdict of the policy, except on a challenger that holds the title, had to give it back or met nobody.

    `overlap` is what `find_overlap` gives.
    """
    if champion is not None and champion.number == challenger.number:
        return policy.stay("standing", f"version {challenger.number} already is the champion")
    if not case.named and challenger.tags.get(ROLLED_BACK_TAG):
        said = f"version {challenger.number} was rolled back: name it to promote it again"
        return policy.stay("rolled back", said)
    if overlap is not None and not overlap.passed:
        return Verdict(promoted=False, rule=overlap.rule, reason=overlap.said, checks=(overlap,))
    metric, guards = case.declared.model.metric, (*([overlap] if overlap else []), *evidence.guards)
    value = evidence.mine[metric.name].value
    return policy.judge(metric, value, evidence.comparison, costs, case.gate, case.approval, guards)


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


def measured(case: Case, challenger: Version, rival: Version | None, evidence: Evidence) -> Measurement:
    """The evidence as the catalogue keeps it."""
    theirs = {change.name: change for change in evidence.comparison.classes} if evidence.comparison else {}
    return Measurement(
        model=case.model,
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
