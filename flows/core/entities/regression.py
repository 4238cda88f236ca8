"""Numbers of a table's entities: what the flows ask of a kind of task, answered by a regression.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. The answer
is the number as text, its `score` the number itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import pandas as pd

from factory.use_cases.metrics import MAE
from factory.use_cases.use_case import Gate
from flows.core import parts, tables
from flows.core.answers import Numbers, read_numbers
from flows.core.bootstrap import Estimate
from flows.core.comparison import RESAMPLES, beside
from flows.core.entities.base import EntityLogic, Folded, near_ids
from flows.core.evaluation import RegressionEvaluation
from flows.core.evidence import Evidence
from flows.core.policy import Check
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.tables import TableCandidate
from flows.core.tasks import regression

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, slots=True)
class RegressionLogic(EntityLogic):
    """A number for each entity."""

    def find_candidates(self, names: list[str] | None) -> tuple[TableCandidate, ...]:
        return tables.find("regression", names)

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        return self._fold(train, _truth(train["target"]), classes=False)

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        began, known, folded = time.perf_counter(), cast("TableCandidate", candidate), cast("Folded", validation)
        answers = tables.cross_validate(
            known, folded.rows, folded.truth, folded.groups, folded.columns, splits=folded.splits
        )
        told = folded.answered
        found = regression.estimate(folded.truth[told], answers[told], groups=folded.groups_of(told))
        return Score(candidate, found[self.task.metrics[0].name], answers[:, None], time.perf_counter() - began)

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate, groups = cast("TableCandidate", choice.candidate), self._groups(train)
        return tables.fit(train, _truth(train["target"]), groups, candidate, self._features(train))

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        numbers = tables.predict(model, rows, self._known(model))
        texts = pd.Series([f"{number:.6g}" for number in numbers], dtype=object)
        return pd.DataFrame({"prediction": texts, "score": numbers})

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> RegressionEvaluation:
        answers, truth, groups = self.answer(model, test), _truth(test["target"]), self._groups(test)
        numbers = answers["score"].to_numpy()
        return RegressionEvaluation(
            estimates=regression.estimate(truth, numbers, groups=groups),
            reference=self.reference(test, answers),
            near=near_ids(test, near),
            tenths=regression.by_tenths(truth, numbers),
            parts=parts.measure(abs(numbers - truth), self._parts(test, truth), groups=groups),
            points=pd.DataFrame({"truth": truth, "predicted": numbers}),
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
        truth, groups, metric = _truth(rows["target"]), self._groups(rows), self.task.metrics[0].name
        mine, rival = answers["score"].to_numpy(), None if theirs is None else theirs["score"].to_numpy()
        table = parts.measure(
            abs(mine - truth),
            self._parts(rows, truth),
            theirs=None if rival is None else abs(rival - truth),
            groups=groups,
        )
        common = {"mine": regression.estimate(truth, mine, groups=groups), "parts": table, "part_measure": MAE.title}
        if rival is None:
            return Evidence(theirs=None, gains=None, comparison=None, **common)
        champion = regression.estimate(truth, rival, groups=groups)
        sure = regression.estimate_difference(
            truth, mine, rival, groups=groups, level=2 * gate.confidence - 1, resamples=RESAMPLES
        )
        return Evidence(
            theirs=champion,
            gains=regression.estimate_difference(truth, mine, rival, groups=groups),
            comparison=beside(champion[metric], sure[metric]),
            guards=_guards(table, gate),
            **common,
        )

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        truth = _truth(rows["label"])
        if truth.min() == truth.max():
            return {}
        return regression.estimate(truth, rows["score"].to_numpy(), groups=self._groups(rows))

    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:  # noqa: ARG002
        columns = self._known(model)
        return self.task.target, lambda rows: tables.predict(model, rows, columns)

    def _told(self, train: pd.DataFrame) -> pd.Series:
        """Each tenth of the truth as a class."""
        return regression.tenths(_truth(train["target"])).astype(str)

    def _parts(self, rows: pd.DataFrame, truth: Numbers) -> pd.DataFrame:
        """The tenths of the truth, and the values of sensitive columns."""
        attributes = self._attributes(rows).reset_index(drop=True)
        return pd.DataFrame({f"{self.task.target}, by tenths": regression.tenths(truth)}).join(attributes)


def _guards(table: pd.DataFrame, gate: Gate) -> tuple[Check, ...]:
    if gate.largest_part_fall >= 1:
        return ()
    found = parts.worsened(table, gate.largest_part_fall, higher_is_better=False, what=MAE.words)
    return (Check("parts", passed=not found.refused, said=found.said),)


def _truth(values: pd.Series) -> Numbers:
    """The truths as numbers; raises ValueError naming one that is none."""
    numbers = pd.to_numeric(values, errors="coerce")
    if (strange := numbers.isna() & values.notna()).any():
        raise ValueError(f"a regression learns numbers, and here is {values[strange].iloc[0]!r}: mend the outcomes")
    return read_numbers("target", numbers)
