"""What is to be decided on a champion: by which rules and for whom, and versions as the rules see them.

Owns what a run of the promotion asks. The rules are `flows.core.eligibility` and `flows.core.policy`.
"""

from __future__ import annotations

from dataclasses import dataclass

from factory import use_cases
from factory.approval import is_asked_for
from factory.settings import Settings
from factory.use_cases.use_case import Declared, Gate
from flows.adapters.decisions import ROLLED_BACK_TAG
from flows.adapters.initiator import Initiator
from flows.adapters.registry import Version
from flows.core import eligibility
from flows.core.eligibility import Contender
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
    use_case = case.declared.use_case
    return eligibility.find_overlap(
        _contender(challenger),
        None if rival is None else _contender(rival),
        rolling=use_case.rolling,
        clock=use_case.clock,
    )


def judge(
    case: Case,
    challenger: Version,
    champion: Version | None,
    evidence: Evidence,
    costs: Costs,
    overlap: Check | None = None,
) -> Verdict:
    """The verdict on the challenger; `overlap` is what `find_overlap` gives."""
    return eligibility.decide(
        _contender(challenger),
        None if champion is None else _contender(champion),
        evidence,
        costs,
        metric=case.declared.model.metric,
        gate=case.gate,
        approval=case.approval,
        named=case.named,
        overlap=overlap,
    )


def _contender(version: Version) -> Contender:
    """The version as the rules see it."""
    span = version.dataset.span
    return Contender(
        number=version.number,
        rolled_back=bool(version.tags.get(ROLLED_BACK_TAG)),
        trained_until=span.trained_until if span else None,
        tested_from=span.first if span else None,
    )
