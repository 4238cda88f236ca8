"""Classes of a table's entities: what the flows ask of a kind of task, answered by the probability of each class.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. The answer
is the likeliest class, its `score` the probability of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pandas as pd

from factory.use_cases.use_case import Gate
from flows.core import bootstrap, calibration, evidence, models, tables
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate
from flows.core.entities.base import EntityLogic, Folded, calibration_guard, near_ids
from flows.core.evaluation import ClassesEvaluation
from flows.core.evidence import Evidence
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.table_explanation import log_odds
from flows.core.tables import TableCandidate

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator


@dataclass(frozen=True, slots=True)
class MulticlassLogic(EntityLogic):
    """One of several classes for each entity."""

    def find_candidates(self, names: list[str] | None) -> tuple[TableCandidate, ...]:
        return tables.find("multiclass", names)

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        codes, _ = pd.factorize(self.classes(train), sort=True)
        folded = self._fold(train, codes.astype(float), classes=True)
        return replace(folded, truth=self.classes(folded.rows))

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        began, known, folded = time.perf_counter(), cast("TableCandidate", candidate), cast("Folded", validation)
        names, answers = tables.cross_validate_classes(known, folded.rows, folded.truth, folded.columns, folded.splits)
        likeliest, told = np.array(names)[answers.argmax(axis=1)], folded.answered
        found = bootstrap.estimate(folded.truth[told], likeliest[told], groups=folded.groups_of(told))
        return Score(candidate, found[self.task.metrics[0].name], answers, time.perf_counter() - began)

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate, groups = cast("TableCandidate", choice.candidate), self._groups(train)
        return tables.fit(train, self.classes(train), groups, candidate, self._features(train))

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            return pd.DataFrame({"prediction": pd.Series(dtype=str), "score": pd.Series(dtype=float)})
        probabilities = tables.predict_classes(model, rows, self._known(model))
        likeliest = np.asarray(model.classes_, dtype=object)[probabilities.argmax(axis=1)]
        return pd.DataFrame({"prediction": likeliest, "score": probabilities.max(axis=1)})

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:
        return frozenset(str(name) for name in model.classes_)

    def classes(self, rows: pd.DataFrame) -> pd.Series:
        return rows["target"].astype(str)

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> ClassesEvaluation:
        answers, truth, groups = self.answer(model, test), self.classes(test), self._groups(test)
        predicted, sure = answers["prediction"], answers["score"]
        right = truth.to_numpy() == predicted.to_numpy()
        return ClassesEvaluation(
            estimates=bootstrap.estimate(truth, predicted, groups=groups),
            reference=self.reference(test, answers),
            near=near_ids(test, near),
            calibration_error=calibration.estimate_error(sure, right, groups=groups),
            confusion=models.confusion(truth, predicted),
            curve=calibration.calibration_curve(sure, right, groups=groups),
            classes=bootstrap.estimate_classes(truth, predicted, groups=groups),
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
        found = evidence.gather(rows, answers, theirs, gate=gate)
        error = found.calibration_error
        return found if error is None else replace(found, guards=calibration_guard(error, gate))

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        return bootstrap.estimate(rows["label"], rows["prediction"], groups=self._groups(rows))

    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:
        columns = self._known(model)
        place = int(tables.predict_classes(model, row, columns)[0].argmax())
        return (
            f"log odds of {model.classes_[place]!s}",
            lambda rows: log_odds(tables.predict_classes(model, rows, columns)[:, place]),
        )

    def _told(self, train: pd.DataFrame) -> pd.Series:
        return self.classes(train)
