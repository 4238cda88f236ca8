"""The kinds of task that a model may have, and what each is measured by.

How one is trained and measured is the model side's business, which finds it by the type of the declaration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from factory.use_cases import metrics
from factory.use_cases.metrics import Metric


@dataclass(frozen=True, slots=True)
class Multiclass:
    """One of several classes for each row."""

    metrics: ClassVar[tuple[Metric, ...]] = metrics.MULTICLASS
    by_class: ClassVar[bool] = True
    """Whether models are told class by class, and a confidence is that of the class which is answered."""
    candidates: ClassVar[tuple[str, ...]] = (
        *("naive-bayes-words", "sgd-words", "svm-words", "svm-words-balanced", "logistic-words"),
        *("sgd-characters", "svm-characters"),
    )
    """The names of those that a training compares; what they are is the model side's business too."""
    of_classes: ClassVar[bool] = True
    """Whether what is true of a row is one of a few classes."""
    few_answers: ClassVar[bool] = True
    """Whether an answer is one of a few, so that a change of their shares can be seen."""
    default_threshold: ClassVar[bool] = True
    """Whether the threshold that holds by default says anything of its metric: of a share of right answers it does."""

    target: str


@dataclass(frozen=True, slots=True)
class Binary:
    """The probability that the target is `positive`."""

    metrics: ClassVar[tuple[Metric, ...]] = metrics.BINARY
    by_class: ClassVar[bool] = False
    candidates: ClassVar[tuple[str, ...]] = ("logistic-table", "boosting-table", "boosting-large-table")
    of_classes: ClassVar[bool] = True
    few_answers: ClassVar[bool] = True
    default_threshold: ClassVar[bool] = True

    target: str
    positive: str


@dataclass(frozen=True, slots=True)
class Direction(Binary):
    """The probability that a price rises, judged by what following it would bring besides.

    Column `gains` tells what a row that is followed wins, as a share; `fee` and `slippage` (shares, too) are paid on
    each change between being in the market and out of it.
    """

    metrics: ClassVar[tuple[Metric, ...]] = metrics.DIRECTION
    default_threshold: ClassVar[bool] = False
    """Nobody foretells a direction nearly as often."""

    gains: str = ""
    fee: float = 0.0
    slippage: float = 0.0

    @property
    def cost(self) -> float:
        """The share that a change costs."""
        return self.fee + self.slippage


@dataclass(frozen=True, slots=True)
class Regression:
    """The target as a number: what becomes of an entity, or one of its own columns, which is no feature then."""

    metrics: ClassVar[tuple[Metric, ...]] = metrics.REGRESSION
    by_class: ClassVar[bool] = False
    candidates: ClassVar[tuple[str, ...]] = ("ridge-table", "boosting-regression", "boosting-large-regression")
    of_classes: ClassVar[bool] = False
    few_answers: ClassVar[bool] = False
    default_threshold: ClassVar[bool] = False

    target: str


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which rows are alike: two to `most` clusters, as many as the rows show."""

    metrics: ClassVar[tuple[Metric, ...]] = metrics.CLUSTERS
    by_class: ClassVar[bool] = False
    candidates: ClassVar[tuple[str, ...]] = ("k-means-table", "mixture-table")
    of_classes: ClassVar[bool] = False
    few_answers: ClassVar[bool] = True
    default_threshold: ClassVar[bool] = False
    target: ClassVar[str] = ""
    """Nothing is told of a row beforehand."""

    most: int = 10


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The `k` rows that are most like each; one is relevant to another where both have the same `relevant_by`.

    Rows are not compared by that column itself.
    """

    metrics: ClassVar[tuple[Metric, ...]] = metrics.NEIGHBOURS
    by_class: ClassVar[bool] = False
    candidates: ClassVar[tuple[str, ...]] = ("cosine-tree", "cosine-exhaustive")
    of_classes: ClassVar[bool] = False
    few_answers: ClassVar[bool] = False
    default_threshold: ClassVar[bool] = False
    target: ClassVar[str] = ""

    k: int
    relevant_by: str


Task: TypeAlias = Multiclass | Binary | Direction | Regression | Clusters | Neighbours
