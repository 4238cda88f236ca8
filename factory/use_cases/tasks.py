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

    target: str


@dataclass(frozen=True, slots=True)
class Binary:
    """The probability that the target is `positive`."""

    metrics: ClassVar[tuple[Metric, ...]] = metrics.BINARY
    by_class: ClassVar[bool] = False
    candidates: ClassVar[tuple[str, ...]] = ("logistic-table", "boosting-table")

    target: str
    positive: str


Task: TypeAlias = Multiclass | Binary
