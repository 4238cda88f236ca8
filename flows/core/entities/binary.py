"""Yes or no of a table's entities: what the flows ask of a kind of task, answered by its probability.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. A
`score` is the probability of the positive outcome here, and the answer is the likelier one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import NO, YES
from factory.use_cases.tasks import Binary
from factory.use_cases.use_case import Gate
from flows.core import calibration, fairness, models, tables
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate
from flows.core.comparison import RESAMPLES, beside
from flows.core.entities.base import EntityLogic, Folded, calibration_guard, near_ids
from flows.core.evaluation import TableEvaluation
from flows.core.evidence import Evidence
from flows.core.groups import Groups
from flows.core.policy import Check, Comparison
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.table_explanation import log_odds
from flows.core.tables import TableCandidate
from flows.core.tasks import binary

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

LIKELIER = 0.5


@dataclass(frozen=True, slots=True)
class BinaryLogic(EntityLogic):
    """Yes or no for each entity."""

    @property
    def positive(self) -> str:
        """The outcome whose probability is told."""
        return cast("Binary", self.task).positive

    @property
    def negative(self) -> str:
        """The other outcome."""
        return YES if self.positive == NO else NO

    def find_candidates(self, names: list[str] | None) -> tuple[TableCandidate, ...]:
        return tables.find("binary", names)

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        return self._fold(train, self._truth(train["target"]), classes=True)

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        began, known, folded = time.perf_counter(), cast("TableCandidate", candidate), cast("Folded", validation)
        answers = tables.cross_validate(
            known, folded.rows, folded.truth, folded.groups, folded.columns, splits=folded.splits
        )
        told = folded.answered
        found = binary.estimate(folded.truth[told], answers[told], groups=folded.groups_of(told))
        decides = found[self.task.metrics[0].name]
        return Score(candidate, decides, answers[:, None], time.perf_counter() - began)

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate, groups = cast("TableCandidate", choice.candidate), self._groups(train)
        return tables.fit(train, self._truth(train["target"]), groups, candidate, self._features(train))

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            return pd.DataFrame({"prediction": pd.Series(dtype=str), "score": pd.Series(dtype=float)})
        probability = tables.predict(model, rows, self._known(model))
        likelier = np.where(probability >= LIKELIER, self.positive, self.negative)
        return pd.DataFrame({"prediction": likelier.astype(object), "score": probability})

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:  # noqa: ARG002 - whatever it was fitted on
        return frozenset([self.positive, self.negative])

    def classes(self, rows: pd.DataFrame) -> pd.Series:
        return rows["target"].astype(str)

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> TableEvaluation:
        answers, truth, groups = self.answer(model, test), self._truth(test["target"]), self._groups(test)
        probability = answers["score"].to_numpy()
        return TableEvaluation(
            estimates=binary.estimate(truth, probability, groups=groups),
            calibration_error=calibration.estimate_error(probability, truth, groups=groups),
            reference=self.reference(test, answers),
            confusion=models.confusion(test["target"], answers["prediction"]),
            curve=calibration.calibration_curve(probability, truth, groups=groups),
            near=near_ids(test, near),
            deciles=binary.deciles(truth, probability),
            groups=self._by_group(test, answers, truth, groups),
            roc=binary.roc_curve(truth, probability),
        )

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,  # noqa: ARG002 - equal rows are counted, no memory of theirs is judged
    ) -> Evidence:
        truth, groups = self._truth(rows["target"]), self._groups(rows)
        mine = answers["score"].to_numpy()
        rival = None if theirs is None else theirs["score"].to_numpy()
        error = calibration.estimate_error(mine, truth, groups=groups)
        by_group = self._by_group(rows, answers, truth, groups)
        their_groups = None if theirs is None else self._by_group(rows, theirs, truth, groups)
        return Evidence(
            mine=binary.estimate(truth, mine, groups=groups),
            theirs=None if rival is None else binary.estimate(truth, rival, groups=groups),
            gains=None if rival is None else binary.estimate_difference(truth, mine, rival, groups=groups),
            comparison=None if rival is None else self._compare(truth, mine, rival, groups, gate),
            curve=calibration.calibration_curve(mine, truth, groups=groups),
            calibration_error=error,
            guards=(*calibration_guard(error, gate), *self._fair(by_group, their_groups, gate)),
            groups=by_group,
            deciles=binary.deciles(truth, mine),
        )

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        truth = self._truth(rows["label"])
        if len(np.unique(truth)) < 2:
            return {}
        return binary.estimate(truth, rows["score"].to_numpy(), groups=self._groups(rows))

    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:  # noqa: ARG002
        columns = self._known(model)
        return f"log odds of {self.positive!r}", lambda rows: log_odds(tables.predict(model, rows, columns))

    def _told(self, train: pd.DataFrame) -> pd.Series:
        return train["target"]

    def _truth(self, outcomes: pd.Series) -> NDArray[np.int64]:
        truth: NDArray[np.int64] = (outcomes == self.positive).to_numpy(dtype=np.int64)
        return truth

    def _by_group(
        self, rows: pd.DataFrame, answers: pd.DataFrame, truth: NDArray[np.int64], groups: Groups
    ) -> pd.DataFrame:
        attributes = self._attributes(rows)
        if attributes.empty:
            return pd.DataFrame()
        return fairness.measure(truth, self._truth(answers["prediction"]), attributes, groups=groups)

    def _fair(self, mine: pd.DataFrame, theirs: pd.DataFrame | None, gate: Gate) -> tuple[Check, ...]:
        """No group is selected more often than another by more than the gate allows and chance explains.

        `mine` and `theirs` are both models' tables of `_by_group`.
        """
        if gate.largest_group_difference >= 1:
            return ()
        if mine.empty:
            return (Check("fairness", passed=True, said="no sensitive column holds values: groups are not compared"),)
        before = None if theirs is None else fairness.differences(theirs)
        found = fairness.worsened(fairness.differences(mine), before, gate.largest_group_difference)
        refused = [each for each in found if each.refused]
        said = "; ".join(each.said for each in refused or found) or "no two groups are large enough to be compared"
        return (Check("fairness", passed=not refused, said=said),)

    def _compare(
        self,
        truth: NDArray[np.int64],
        mine: NDArray[np.float64],
        theirs: NDArray[np.float64],
        groups: Groups,
        gate: Gate,
    ) -> Comparison:
        metric, level = self.task.metrics[0].name, 2 * gate.confidence - 1
        gain = binary.estimate_difference(truth, mine, theirs, groups=groups, level=level, resamples=RESAMPLES)[metric]
        return beside(binary.estimate(truth, theirs, groups=groups)[metric], gain)
