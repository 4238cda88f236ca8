"""What the flows ask of a kind of task: how its models are chosen, fitted, asked, measured and compared.

Owns the questions. The answers are `flows.core.texts` for classes of texts and `flows.core.entities` for what is asked
of a table's entities, a module a kind; a flow knows neither. Rows are frames with entity_id, target and group beside
what models look at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from factory.use_cases.sources import Entities
from factory.use_cases.split import Chronological
from factory.use_cases.tasks import Binary, Clusters, Direction, Multiclass, Neighbours, Regression, Task
from factory.use_cases.use_case import Declared, Gate
from flows.core.bootstrap import Estimate
from flows.core.evaluation import Evaluation
from flows.core.evidence import Evidence
from flows.core.selection import AnyCandidate, Choice, Score, Validation

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from flows.core.entities.base import EntityLogic
    from flows.core.leakage import NearDuplicates


class Logic(Protocol):
    """One kind of task over one kind of rows; pure, and the same wherever it is asked."""

    needs: ClassVar[tuple[str, ...]]
    """The distributions that a process needs in order to serve its models."""
    trusted: ClassVar[tuple[str, ...]]
    """Types beyond the library's own that a stored model may hold, by name."""
    details: ClassVar[tuple[str, ...]]
    """The columns of an answer that are kept with a prediction, beside the two that every kind has."""

    def find_candidates(self, names: list[str] | None) -> tuple[AnyCandidate, ...]:
        """The candidates of these names, all where None; raises ValueError naming those that exist."""

    def recipe(self, settings: Mapping[str, Any]) -> AnyCandidate:
        """The one candidate whose settings a caller fixes; raises ValueError where there is none."""

    def refuse_leaks(self, train: pd.DataFrame, test: pd.DataFrame, accepted: Collection[str]) -> None:
        """Nothing, when neither test rows nor targets stand in what is trained on; raises LeakageError."""

    def near_duplicates(self, train: pd.DataFrame, test: pd.DataFrame) -> NearDuplicates:
        """The test rows that nearly equal a training row."""

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Validation:
        """What candidates are compared on: the training rows in folds."""

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        """The candidate's answers on rows that it has not seen."""

    def search(
        self,
        best: Score,
        validation: Validation,
        *,
        trials: int,
        seconds: float | None,
        tell: Callable[[str], None],
    ) -> Score:
        """The best candidate with the best settings that were found within the budget."""
        from flows.core.search import search

        return search(best, lambda each: self.score(each, validation), trials=trials, seconds=seconds, tell=tell)

    def slope(self, best: Score, validation: Validation) -> float:
        """The number that makes probabilities of its scores; 1 where the fit sees to that."""

    def parameters(self, choice: Choice) -> dict[str, Any]:
        """What tells the chosen candidate from another one, besides its settings."""

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        """The chosen candidate fitted on all rows."""

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        """One row a row, in the same order: prediction (text), score (a number) and `details`."""

    def examine(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        """The answers with what `gather` wants to know of them besides; it may take much longer."""
        return self.answer(model, rows)

    def reasons(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:  # noqa: ARG002
        """What moves its answers to rows like these, a row a reason; empty where the evaluation tells it."""
        import pandas as pd

        return pd.DataFrame()

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:
        """The classes that the model may answer; none where it answers anything else."""

    def classes(self, rows: pd.DataFrame) -> pd.Series:
        """The true class of each row; none at all where the task has no classes."""

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> Evaluation:
        """The one look at the frozen test set; `near` are places of rows that nearly equal a training row."""

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,
    ) -> Evidence:
        """The evidence of a challenger's answers, and of the champion's (`theirs`), to the same test rows."""

    def discount(self, evidence: Evidence, looks: int, candidates: int, gate: Gate) -> Evidence:  # noqa: ARG002
        """The evidence with what so many looks at the test set, of so many candidates each, take off it."""
        return evidence

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        """Every metric of predictions (prediction, score) whose truth (`label`) is known by now."""


def logic_of(declared: Declared) -> Logic:
    """How the model's versions are made and judged; raises TypeError for a task that its source has no logic for."""
    if isinstance(declared.source, Entities):
        return logic_of_entities(declared)
    if isinstance(declared.model.task, Multiclass):
        from flows.core.texts import TextLogic

        return TextLogic(declared.use_case.name)
    raise TypeError(f"{declared.name}: texts have classes (Multiclass), nothing else is made of them")


def logic_of_entities(declared: Declared) -> EntityLogic:
    """The same for a table's entities, whose answers are explained; raises TypeError for a use case of texts."""
    source, task, use_case = declared.source, declared.model.task, declared.use_case
    if not isinstance(source, Entities):
        raise TypeError(f"{use_case.name} is made of texts, not of a table's entities")
    return _of_entities(task)(source, task, use_case.name, use_case.rolling)


def _of_entities(task: Task) -> Callable[[Entities, Task, str, Chronological | None], EntityLogic]:
    """The kind of task; its module is imported where it is asked for."""
    match task:
        case Multiclass():
            from flows.core.entities.multiclass import MulticlassLogic

            return MulticlassLogic
        case Direction():
            from flows.core.entities.direction import DirectionLogic

            return DirectionLogic
        case Binary():
            from flows.core.entities.binary import BinaryLogic

            return BinaryLogic
        case Regression():
            from flows.core.entities.regression import RegressionLogic

            return RegressionLogic
        case Clusters():
            from flows.core.entities.clusters import ClustersLogic

            return ClustersLogic
        case Neighbours():
            from flows.core.entities.neighbours import NeighboursLogic

            return NeighboursLogic
