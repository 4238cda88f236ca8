"""Texts into classes: what the flows ask of a kind of task, answered by the classifier of texts.

Pure. Owns nothing but the way to the modules that do the work.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pandas as pd

from factory.use_cases.use_case import Gate
from flows.core import bootstrap, candidates, evaluation, evidence, leakage, models, selection
from flows.core.bootstrap import Estimate
from flows.core.calibration import fit_slope
from flows.core.candidates import Candidate
from flows.core.evaluation import TextEvaluation
from flows.core.evidence import Evidence
from flows.core.groups import groups_of
from flows.core.leakage import NearDuplicates
from flows.core.logic import Logic
from flows.core.selection import AnyCandidate, Choice, CrossValidation, Score, Validation

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class TextLogic(Logic):
    """Classes of texts; rows hold entity_id, text, target, group and described."""

    needs: ClassVar[tuple[str, ...]] = ("scikit-learn", "skops", "numpy")
    trusted: ClassVar[tuple[str, ...]] = ()
    details: ClassVar[tuple[str, ...]] = ()

    use_case: str

    def find_candidates(self, names: list[str] | None) -> tuple[Candidate, ...]:
        return candidates.find(names)

    def recipe(self, settings: Mapping[str, Any]) -> Candidate:
        if strange := sorted(set(settings) - {"max_features", "C"}):
            raise ValueError(f"{', '.join(strange)} fix another kind of model: name candidates instead")
        return candidates.recipe(settings.get("max_features"), settings.get("C"))

    def refuse_leaks(self, train: pd.DataFrame, test: pd.DataFrame, accepted: Collection[str]) -> None:
        leakage.refuse_leaks(train, test, accepted=accepted, use_case=self.use_case)

    def near_duplicates(self, train: pd.DataFrame, test: pd.DataFrame) -> NearDuplicates:
        return leakage.near_duplicates(train["text"], test["text"])

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> CrossValidation:
        _, codes = models.encode(train["target"])
        return selection.prepare(train["text"], codes, groups_of(train), cast("Sequence[Candidate]", candidates))

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        return selection.score_candidate(cast("Candidate", candidate), cast("CrossValidation", validation))

    def slope(self, best: Score, validation: Validation) -> float:
        return fit_slope(best.scores, cast("CrossValidation", validation).folds.codes)

    def parameters(self, choice: Choice) -> dict[str, Any]:
        terms = cast("Candidate", choice.candidate).terms
        told = f"{terms.analyzer} {terms.shortest} to {terms.longest}, at most {terms.max_features}"
        return {"candidate_terms": told, "candidate_slope": choice.slope}

    def fit(self, train: pd.DataFrame, choice: Choice) -> Pipeline:
        return models.fit(train["text"], train["target"], cast("Candidate", choice.candidate), slope=choice.slope)

    def answer(self, model: Pipeline, rows: pd.DataFrame) -> pd.DataFrame:
        return models.predict(model, rows["text"])

    def outcomes(self, model: Pipeline) -> frozenset[str]:
        return frozenset(str(name) for name in model.classes_)

    def classes(self, rows: pd.DataFrame) -> pd.Series:
        return rows["target"]

    def evaluate(self, model: Pipeline, test: pd.DataFrame, near: Sequence[int]) -> TextEvaluation:
        return evaluation.evaluate(model, test, near=near)

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,
    ) -> Evidence:
        return evidence.gather(rows, answers, theirs, gate=gate, near=near)

    def estimate(self, rows: pd.DataFrame) -> dict[str, Estimate]:
        return bootstrap.estimate(rows["label"], rows["prediction"], groups=groups_of(rows))
