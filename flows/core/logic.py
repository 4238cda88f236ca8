"""What the flows ask of a kind of task: how its models are chosen, fitted, asked, measured and compared.

Owns the questions. The answers are `flows.core.texts` for classes of texts and `flows.core.entities` for the outcomes
of a table's entities; a flow knows neither. Rows are frames with entity_id, target and group beside what models look
at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared, Gate
from flows.core.bootstrap import Estimate
from flows.core.evaluation import Evaluation
from flows.core.evidence import Evidence
from flows.core.selection import AnyCandidate, Choice, Score, Validation

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from flows.core.leakage import NearDuplicates


class Logic(Protocol):
    """One kind of task over one kind of rows; pure, and the same wherever it is asked."""

    needs: ClassVar[tuple[str, ...]]
    """The distributions that a process needs in order to serve its models."""
    trusted: ClassVar[tuple[str, ...]]
    """Types beyond the library's own that a stored model may hold, by name."""

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

    def slope(self, best: Score, validation: Validation) -> float:
        """The number that makes probabilities of its scores; 1 where the fit sees to that."""

    def parameters(self, choice: Choice) -> dict[str, Any]:
        """What tells the chosen candidate from another one, besides its settings."""

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        """The chosen candidate fitted on all rows."""

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        """One row a row, in the same order: predicted_class (text) and confidence (0 to 1)."""

    def outcomes(self, model: BaseEstimator) -> frozenset[str]:
        """What the model may answer."""

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

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:
        """Every metric of predictions (predicted_class, confidence) whose truth (`label`) is known by now."""


def logic_of(declared: Declared) -> Logic:
    """How the model's versions are made and judged."""
    source = declared.source
    if isinstance(source, Entities):
        from flows.core.entities import EntityLogic

        return EntityLogic(source, declared.model.task, declared.use_case.name, declared.use_case.rolling)
    from flows.core.texts import TextLogic

    return TextLogic(declared.use_case.name)
