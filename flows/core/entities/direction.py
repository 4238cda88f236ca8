"""The direction of a price, bar by bar: what the flows ask of a kind of task, answered by a probability to be followed.

Pure. Everything that is true of a probability is `flows.core.entities.binary`'s. Here is what it is worth to follow it,
after costs, and which guards of the gate ask for that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, cast

import pandas as pd

from factory.use_cases.metrics import EXCESS_RETURN
from factory.use_cases.tasks import Direction
from factory.use_cases.use_case import Gate
from flows.core import backtest, luck
from flows.core.backtest import Backtest
from flows.core.bootstrap import Estimate
from flows.core.comparison import RESAMPLES
from flows.core.entities.binary import BinaryLogic
from flows.core.evaluation import DirectionEvaluation
from flows.core.evidence import Evidence
from flows.core.policy import Check

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, slots=True)
class DirectionLogic(BinaryLogic):
    """Whether the next bar closes higher, for each bar."""

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> DirectionEvaluation:
        found = BinaryLogic.evaluate(self, model, test, near)
        followed = self._follow(test, self.answer(model, test))
        told = {field.name: getattr(found, field.name) for field in fields(found)}
        estimates = {**found.estimates, **backtest.estimate(followed, groups=self._groups(test))}
        return DirectionEvaluation(**{**told, "estimates": estimates}, backtest=followed.table())

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,
    ) -> Evidence:
        evidence = BinaryLogic.gather(self, rows, answers, theirs, gate=gate, near=near)
        groups, level, mine = self._groups(rows), 2 * gate.confidence - 1, self._follow(rows, answers)
        evidence = replace(
            evidence,
            mine={**evidence.mine, **backtest.estimate(mine, groups=groups)},
            backtest=mine.table(),
            followed=mine.daily(),
        )
        if theirs is None:
            over = backtest.estimate(mine, groups=groups, level=level, resamples=RESAMPLES)
            return replace(evidence, guards=(*evidence.guards, _worth(over, gate, "buying and holding", mine)))
        rival = self._follow(rows, theirs)
        over = backtest.estimate_difference(mine, rival, groups=groups, level=level, resamples=RESAMPLES)
        return replace(
            evidence,
            theirs={**(evidence.theirs or {}), **backtest.estimate(rival, groups=groups)},
            gains={**(evidence.gains or {}), **backtest.estimate_difference(mine, rival, groups=groups)},
            guards=(*evidence.guards, _worth(over, gate, "the champion", mine)),
        )

    def discount(self, evidence: Evidence, looks: int, candidates: int, gate: Gate) -> Evidence:
        found = luck.deflate(evidence.followed, looks * candidates)
        passed = found.chance >= gate.confidence
        said = (
            f"the deflated Sharpe ratio is {found.chance:.2f}, {'no less' if passed else 'less'} than the "
            f"{gate.confidence:.2f} that luck does not explain: {looks} looks at days of this test set by "
            f"{candidates} candidates each are {found.trials} trials, of which the best without any skill is expected "
            f"to show {found.expected:.3f} a day, and this one shows {found.sharpe:.3f}"
        )
        return replace(evidence, guards=(*evidence.guards, Check("luck", passed=passed, said=said)))

    def _follow(self, rows: pd.DataFrame, answers: pd.DataFrame) -> Backtest:
        task = cast("Direction", self.task)
        return Backtest.run(
            answers["score"].to_numpy(),
            rows[task.gains].to_numpy(dtype=float),
            rows["moment"],
            rows["entity_id"].str.rpartition("@")[0],
            cost=task.cost,
        )


def _worth(estimates: Mapping[str, Estimate], gate: Gate, whom: str, mine: Backtest) -> Check:
    """What following it brings after costs is surely more than `whom`."""
    over, invested = estimates[EXCESS_RETURN.name], mine.position.mean()
    if over.low == over.value == over.high == 0:
        said = f"it is in the market on {invested:.0%} of the days, just as {whom}: there is nothing to gain by it"
        return Check("costs", passed=False, said=said)
    passed, sure = over.low > 0, f"with {gate.confidence:.0%} confidence"
    needed = "" if passed else " (needed: more than 0)"
    said = (
        f"after fees and slippage it brings {over.value:+.1%} a year beside {whom}, {sure} "
        f"{'' if passed else 'only '}more than {over.low:+.1%}{needed}, in the market on {invested:.0%} of the days"
    )
    return Check("costs", passed=passed, said=said)
