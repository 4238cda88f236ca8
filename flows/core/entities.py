"""Outcomes of a table's entities: what the flows ask of a kind of task, answered for yes or no.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. A
`confidence` is the probability of the positive outcome here, and the answer is the likelier one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import NO, YES, Column
from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological
from factory.use_cases.tasks import Binary, Task
from factory.use_cases.use_case import Gate
from flows.core import calibration, fairness, models, table_leakage, tables
from flows.core.bootstrap import Estimate
from flows.core.comparison import RESAMPLES
from flows.core.evaluation import TableEvaluation
from flows.core.evidence import Evidence
from flows.core.groups import Groups, join_groups
from flows.core.leakage import NearDuplicates
from flows.core.policy import Check, Comparison
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.splits import Splits, time_splits
from flows.core.tables import TableCandidate
from flows.core.tasks import binary

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

LIKELIER = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Folded:
    """What candidates are compared on: the rows, 0 or 1 for each, its group, and the features that hold values."""

    rows: pd.DataFrame
    truth: NDArray[np.int64]
    groups: Groups
    columns: tuple[Column, ...]
    splits: Splits | None = None
    """Of rows that are judged by time; else they are folded by groups."""


@dataclass(frozen=True, slots=True)
class EntityLogic:
    """Yes or no for each entity; rows hold entity_id, target, group and the columns that the source declares."""

    needs: ClassVar[tuple[str, ...]] = ("scikit-learn", "skops", "numpy", "pandas")
    trusted: ClassVar[tuple[str, ...]] = tables.TRUSTED

    source: Entities
    task: Task
    use_case: str
    rolling: Chronological | None = None

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

    def recipe(self, settings: Mapping[str, Any]) -> AnyCandidate:
        raise ValueError(f"{', '.join(settings)} fix a model of texts: name candidates instead")

    def refuse_leaks(self, train: pd.DataFrame, test: pd.DataFrame, accepted: Collection[str]) -> None:
        table_leakage.refuse_leaks(
            train,
            test,
            train["target"],
            self._features(train),
            accepted=accepted,
            groups=join_groups(train["group"]),
            use_case=self.use_case,
        )

    def near_duplicates(self, train: pd.DataFrame, test: pd.DataFrame) -> NearDuplicates:
        """The test rows whose features all equal those of a training row."""
        rows = table_leakage.equal_rows(train, test, self._features(train))
        return NearDuplicates(share=len(rows) / max(len(test), 1), pairs=(), rows=tuple(rows.tolist()))

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        groups, splits = join_groups(train["group"]), None
        if self.rolling:
            splits = time_splits(train["period"], embargo=self.rolling.embargo_periods)
            if not splits:
                raise ValueError(
                    f"{train['period'].nunique()} periods to train on are too few to compare candidates by time with "
                    f"an embargo of {self.rolling.embargo_periods}: train on a later one"
                )
        return Folded(train, self._truth(train["target"]), groups, self._features(train), splits)

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        began, known, folded = time.perf_counter(), cast("TableCandidate", candidate), cast("Folded", validation)
        answers = tables.cross_validate(
            known, folded.rows, folded.truth, folded.groups, folded.columns, splits=folded.splits
        )
        told = np.isfinite(answers)  # by time, the oldest rows are learnt from alone
        groups = np.unique(folded.groups[told], return_inverse=True)[1]
        found = binary.estimate(folded.truth[told], answers[told], groups=groups)[self.task.metrics[0].name]
        return Score(candidate, found, answers[:, None], time.perf_counter() - began)

    def search(
        self,
        best: Score,
        validation: Validation,
        *,
        trials: int,
        seconds: float | None,
        tell: Callable[[str], None],
    ) -> Score:
        from flows.core.search import search

        return search(best, lambda each: self.score(each, validation), trials=trials, seconds=seconds, tell=tell)

    def slope(self, best: Score, validation: Validation) -> float:  # noqa: ARG002 - the fit calibrates
        return 1.0

    def parameters(self, choice: Choice) -> dict[str, Any]:  # noqa: ARG002 - its settings tell all
        return {}

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate, groups = cast("TableCandidate", choice.candidate), join_groups(train["group"])
        return tables.fit(train, self._truth(train["target"]), groups, candidate, self._features(train))

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            return pd.DataFrame({"predicted_class": pd.Series(dtype=str), "confidence": pd.Series(dtype=float)})
        known = set(model.feature_names_in_)
        probability = tables.predict(model, rows, [column for column in self.source.features if column.name in known])
        likelier = np.where(probability >= LIKELIER, self.positive, self.negative)
        return pd.DataFrame({"predicted_class": likelier.astype(object), "confidence": probability})

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:  # noqa: ARG002 - whatever it was fitted on
        return frozenset([self.positive, self.negative])

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> TableEvaluation:
        answers, truth, groups = self.answer(model, test), self._truth(test["target"]), join_groups(test["group"])
        probability = answers["confidence"].to_numpy()
        features = test[[column.name for column in self.source.features]].reset_index(drop=True)
        return TableEvaluation(
            estimates=binary.estimate(truth, probability, groups=groups),
            calibration_error=calibration.estimate_error(probability, truth, groups=groups),
            reference=answers.assign(group=test["group"].to_numpy()).join(features),
            confusion=models.confusion(test["target"], answers["predicted_class"]),
            curve=calibration.calibration_curve(probability, truth, groups=groups),
            near=tuple(test["entity_id"].iloc[list(near)].astype(str)),
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
        truth, groups = self._truth(rows["target"]), join_groups(rows["group"])
        mine = answers["confidence"].to_numpy()
        rival = None if theirs is None else theirs["confidence"].to_numpy()
        error = calibration.estimate_error(mine, truth, groups=groups)
        by_group = self._by_group(rows, answers, truth, groups)
        their_groups = None if theirs is None else self._by_group(rows, theirs, truth, groups)
        return Evidence(
            mine=binary.estimate(truth, mine, groups=groups),
            theirs=None if rival is None else binary.estimate(truth, rival, groups=groups),
            gains=None if rival is None else binary.estimate_difference(truth, mine, rival, groups=groups),
            comparison=None if rival is None else self._compare(truth, mine, rival, groups, gate),
            classes=pd.DataFrame(),
            slices=pd.DataFrame(),
            curve=calibration.calibration_curve(mine, truth, groups=groups),
            calibration_error=error,
            guards=(*_calibrated(error, gate), *self._fair(by_group, their_groups, gate)),
            groups=by_group,
            deciles=binary.deciles(truth, mine),
        )

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        truth = self._truth(rows["label"])
        if len(np.unique(truth)) < 2:
            return {}
        return binary.estimate(truth, rows["confidence"].to_numpy(), groups=join_groups(rows["group"]))

    def _truth(self, outcomes: pd.Series) -> NDArray[np.int64]:
        truth: NDArray[np.int64] = (outcomes == self.positive).to_numpy(dtype=np.int64)
        return truth

    def _features(self, rows: pd.DataFrame) -> tuple[Column, ...]:
        """Those that hold any value: a source may lack columns that are declared."""
        return tuple(column for column in self.source.features if rows[column.name].notna().any())

    def _attributes(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The sensitive columns that hold values, numbers in bands."""
        held = [column for column in self.source.sensitive if rows[column.name].notna().any()]
        return pd.DataFrame(
            {
                column.name: fairness.age_bands(rows[column.name]) if column.kind == "number" else rows[column.name]
                for column in held
            },
            index=rows.index,
        )

    def _by_group(
        self, rows: pd.DataFrame, answers: pd.DataFrame, truth: NDArray[np.int64], groups: Groups
    ) -> pd.DataFrame:
        attributes = self._attributes(rows)
        if attributes.empty:
            return pd.DataFrame()
        return fairness.measure(truth, self._truth(answers["predicted_class"]), attributes, groups=groups)

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
        champion = binary.estimate(truth, theirs, groups=groups)[metric]
        return Comparison(champion=champion.value, gain=gain.value, low=gain.low, classes=(), by_class=False)


def _calibrated(error: Estimate, gate: Gate) -> tuple[Check, ...]:
    """Probabilities are as far from the truth as the gate allows, or chance explains the rest."""
    limit = gate.largest_calibration_error
    if limit >= 1:
        return ()
    passed = error.low <= limit
    said = (
        f"probabilities are {error.value:.3f} ({error.low:.3f} to {error.high:.3f}) from the truth on average, "
        f"{'within' if passed else 'above'} the limit of {limit:.2f}"
    )
    return (Check("calibration", passed=passed, said=said),)
