"""Which versions are judged beside which: what is decided before the gate looks at a number.

Pure: versions as their plain data, a verdict out. What the gate asks of a challenger is `flows.core.policy`. Must not
know the registry, the data or who asks.
"""

from __future__ import annotations

from dataclasses import dataclass

from factory.use_cases.clock import Clock
from factory.use_cases.metrics import Metric
from factory.use_cases.split import Chronological
from factory.use_cases.use_case import Gate
from flows.core import policy
from flows.core.evidence import Evidence
from flows.core.policy import Approval, Check, Costs, Verdict


@dataclass(frozen=True, slots=True)
class Contender:
    """A version as the rules see it; `rolled_back` tells whether it had to give the title back.

    Where the test set rolls on with the clock, `trained_until` is the last period that its training rows are of, and
    `tested_from` the first of its test set, both as numbers of the clock; else None.
    """

    number: str
    rolled_back: bool = False
    trained_until: int | None = None
    tested_from: int | None = None


def find_overlap(
    challenger: Contender, rival: Contender | None, *, rolling: Chronological | None, clock: Clock
) -> Check | None:
    """Whether both may be compared on the challenger's test set; None where it does not roll on, or nobody is met."""
    if rolling is None or rival is None or challenger.tested_from is None or rival.trained_until is None:
        return None
    return policy.overlap(
        rival.number,
        rival.trained_until,
        first=challenger.tested_from,
        embargo=rolling.embargo_periods,
        clock=clock,
    )


def decide(
    challenger: Contender,
    champion: Contender | None,
    evidence: Evidence,
    costs: Costs,
    *,
    metric: Metric,
    gate: Gate,
    approval: Approval,
    named: bool,
    overlap: Check | None = None,
) -> Verdict:
    """The verdict of the gate, except on a challenger that holds the title, had to give it back or met nobody.

    `named` tells whether a person named the challenger: then even one that was rolled back is judged. `overlap` is
    what `find_overlap` gives.
    """
    if champion is not None and champion.number == challenger.number:
        return policy.stay("standing", f"version {challenger.number} already is the champion")
    if challenger.rolled_back and not named:
        said = f"version {challenger.number} was rolled back: name it to promote it again"
        return policy.stay("rolled back", said)
    if overlap is not None and not overlap.passed:
        return Verdict(promoted=False, rule=overlap.rule, reason=overlap.said, checks=(overlap,))
    guards = (*([overlap] if overlap else []), *evidence.guards)
    return policy.judge(metric, evidence.mine[metric.name].value, evidence.comparison, costs, gate, approval, guards)
