"""Similar ones among a table's entities: what the flows ask of a kind of task, answered by a search for neighbours.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. The answer
is the id of the nearest, its `score` the cosine between both (-1 to 1); `nearest` holds the ids of all k.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd

from factory.use_cases.columns import Column
from factory.use_cases.metrics import PRECISION_AT_K, RECALL_AT_K
from factory.use_cases.tasks import Neighbours
from factory.use_cases.use_case import Gate
from flows.core import parts, similarity, tables
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate
from flows.core.comparison import RESAMPLES, beside
from flows.core.entities.base import EntityLogic, Folded, near_ids
from flows.core.evaluation import NeighboursEvaluation
from flows.core.evidence import Evidence
from flows.core.policy import Check
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.similarity import Neighbourhood, SimilarityCandidate
from flows.core.tasks import neighbours
from flows.core.tasks.neighbours import Found

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FOUND = ("nearest", "exact", "relevant")
"""The columns of examined answers that hold a list of k a row; `wanted` holds what the row itself bears."""


@dataclass(frozen=True, slots=True)
class NeighboursLogic(EntityLogic):
    """The k entities that are most like each."""

    trusted: ClassVar[tuple[str, ...]] = (*tables.TRUSTED, *similarity.TRUSTED)
    details: ClassVar[tuple[str, ...]] = ("nearest",)

    @property
    def _asked(self) -> Neighbours:
        return cast("Neighbours", self.task)

    def find_candidates(self, names: list[str] | None) -> tuple[SimilarityCandidate, ...]:
        return similarity.find(names)

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        return self._fold(train, np.zeros(len(train)), classes=False)

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        """How relevant neighbours are that stand in other folds than the row itself."""
        began, known, folded = time.perf_counter(), cast("SimilarityCandidate", candidate), cast("Folded", validation)
        told = folded.answered
        found = similarity.cross_validate(
            known, folded.rows, folded.columns, folded.splits, k=self._asked.k, relevant_by=self._asked.relevant_by
        )
        value = neighbours.estimate(found, groups=folded.groups_of(told))
        return Score(candidate, value[self.task.metrics[0].name], found.hits[:, None], time.perf_counter() - began)

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate = cast("SimilarityCandidate", choice.candidate)
        return similarity.fit(
            train, candidate, self._features(train), k=self._asked.k, relevant_by=self._asked.relevant_by
        )

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            empty = pd.Series(dtype=object)
            return pd.DataFrame({"prediction": empty, "score": pd.Series(dtype=float), "nearest": empty})
        return _as_answers(self._ask(model, rows, exact=False))

    def examine(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        asked = self._ask(model, rows, exact=True)
        lists = {name: getattr(asked.found, name).tolist() for name in FOUND}
        return _as_answers(asked).assign(**lists, wanted=asked.found.wanted)

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> NeighboursEvaluation:
        answers, groups = self.examine(model, test), self._groups(test)
        found = _found(answers)
        return NeighboursEvaluation(
            estimates=neighbours.estimate(found, groups=groups),
            reference=self.reference(test, answers),
            near=near_ids(test, near),
            by_k=neighbours.by_k(found),
            parts=self._parts(found, None, test),
        )

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,  # noqa: ARG002 - to find an equal row is what is asked for
    ) -> Evidence:
        groups, metric, mine = self._groups(rows), self.task.metrics[0].name, _found(answers)
        rival = None if theirs is None else _found(theirs)
        table, own = self._parts(mine, rival, rows), neighbours.estimate(mine, groups=groups)
        common: dict[str, Any] = {"mine": own, "parts": table, "part_measure": PRECISION_AT_K.title}
        recalled = _recalled(own[RECALL_AT_K.name], gate)
        if rival is None:
            return Evidence(theirs=None, gains=None, comparison=None, guards=recalled, **common)
        champion = neighbours.estimate(rival, groups=groups)
        sure = neighbours.estimate_difference(
            mine, rival, groups=groups, level=2 * gate.confidence - 1, resamples=RESAMPLES
        )
        return Evidence(
            theirs=champion,
            gains=neighbours.estimate_difference(mine, rival, groups=groups),
            comparison=beside(champion[metric], sure[metric]),
            guards=(*recalled, *_unfallen(table, gate)),
            **common,
        )

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:  # noqa: ARG002 - no truth arrives
        return {}

    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:
        """The cosine to the nearest that was found for the row, whatever is nearest to others."""
        columns = self._known(model)
        nearest = self.answer(model, row)["prediction"].iloc[0]
        return f"cosine to {nearest}", lambda rows: similarity.cosine_to(model, rows, columns, str(nearest))

    def _declared(self) -> tuple[Column, ...]:
        return tuple(column for column in self.source.features if column.name != self._asked.relevant_by)

    def _ask(self, model: BaseEstimator, rows: pd.DataFrame, *, exact: bool) -> Neighbourhood:
        return similarity.ask(
            model, rows, self._known(model), k=self._asked.k, relevant_by=self._asked.relevant_by, exact=exact
        )

    def _parts(self, mine: Found, theirs: Found | None, rows: pd.DataFrame) -> pd.DataFrame:
        """Precision by what makes relevant, for the rows that bear it."""
        bears = np.isfinite(mine.hits)
        by = pd.DataFrame({self._asked.relevant_by: pd.Series(mine.wanted[bears], dtype=object)})
        rival = None if theirs is None else theirs.hits[bears]
        groups = np.unique(self._groups(rows)[bears], return_inverse=True)[1]
        return parts.measure(mine.hits[bears], by, theirs=rival, groups=groups)


def _as_answers(asked: Neighbourhood) -> pd.DataFrame:
    nearest = asked.found.nearest
    return pd.DataFrame({"prediction": nearest[:, 0], "score": asked.cosine[:, 0], "nearest": nearest.tolist()})


def _found(answers: pd.DataFrame) -> Found:
    """What was found, of examined answers."""
    lists = {name: np.array(answers[name].tolist(), dtype=object) for name in FOUND}
    return Found(**lists, wanted=answers["wanted"].to_numpy(dtype=object))


def _recalled(recall: Estimate, gate: Gate) -> tuple[Check, ...]:
    """As many of the nearest are found as the gate asks for, or chance explains the rest."""
    if gate.least_recall <= 0:
        return ()
    passed = recall.high >= gate.least_recall
    said = (
        f"of an exhaustive search's nearest {recall.value:.3f} ({recall.low:.3f} to {recall.high:.3f}) are found, "
        f"{'enough' if passed else 'too few'}: at least {gate.least_recall:.3f} are asked for"
    )
    return (Check("recall", passed=passed, said=said),)


def _unfallen(table: pd.DataFrame, gate: Gate) -> tuple[Check, ...]:
    if gate.largest_part_fall >= 1:
        return ()
    found = parts.worsened(table, gate.largest_part_fall, higher_is_better=True, what=PRECISION_AT_K.words)
    return (Check("parts", passed=not found.refused, said=found.said),)
