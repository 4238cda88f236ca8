"""The candidates of a training: which terms they look at, which classifier they are, and how one is fitted.

Owns the declared list. Pure; must not know how candidates are compared or what a search does with their settings.

Every candidate is linear: a score for each class is a weighted sum of a text's TF-IDF terms. So each of them ends as
one form, `Scorer`, whatever fitted it: small, quick, explained by its own weights, and calibrated by one number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from flows.core.terms import Terms

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

Numbers: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]

SEED = 42
RECIPE = "recipe"
"""Name of the one candidate whose settings a caller gives by hand."""

WORDS = Terms("word", 1, 2, max_features=100_000)
FEWER_WORDS = Terms("word", 1, 2, max_features=5_000)
CHARACTERS = Terms("char_wb", 2, 4, max_features=60_000)


@dataclass(frozen=True, slots=True, eq=False)
class Scorer:
    """Scores of a text are `terms @ weights.T + offsets`, one a class; the highest one wins."""

    weights: Numbers
    offsets: Numbers

    def score(self, matrix: csr_matrix) -> Numbers:
        """Scores of every row of the matrix (rows) for every class (columns)."""
        scores: Numbers = np.asarray(matrix @ self.weights.T) + self.offsets
        return scores


Fit: TypeAlias = "Callable[[csr_matrix, Codes, Mapping[str, Any]], Scorer]"


class Named(Protocol):
    """Whatever is found by its name."""

    @property
    def name(self) -> str: ...


AnyNamed = TypeVar("AnyNamed", bound=Named)


@dataclass(frozen=True, slots=True)
class Range:
    """What a search may try for a setting: from `low` to `high`, evenly in the logarithm."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunable:
    """What every kind of candidate has: `ranges` says which of the `settings` a search may alter."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    least_rows: int = 0
    """Of fewer training rows it would learn by heart, and take long: it is not tried unless it is asked for."""

    def altered(self, **settings: Any) -> Self:
        """The same candidate with other settings."""
        return replace(self, settings={**self.settings, **settings})


@dataclass(frozen=True, slots=True)
class Candidate(Tunable):
    """One way to a classifier of texts."""

    name: str
    title: str
    terms: Terms
    fit: Fit


def fit_svm(matrix: csr_matrix, codes: Codes, settings: Mapping[str, Any]) -> Scorer:
    """A linear support vector machine, one class against the rest (liblinear); `C` is the inverse regularisation."""
    from sklearn.svm import LinearSVC

    return _scorer(LinearSVC(random_state=SEED, **settings).fit(matrix, codes))


def fit_sgd(matrix: csr_matrix, codes: Codes, settings: Mapping[str, Any]) -> Scorer:
    """A linear model by stochastic gradient descent, one class against the rest, for a fixed number of passes."""
    from sklearn.linear_model import SGDClassifier

    return _scorer(SGDClassifier(random_state=SEED, tol=None, **settings).fit(matrix, codes))


def fit_logistic(matrix: csr_matrix, codes: Codes, settings: Mapping[str, Any]) -> Scorer:
    """A multinomial logistic regression (lbfgs); `C` is the inverse regularisation."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):  # sparse rows gain nothing from more, and the order of sums would depend on it
        return _scorer(LogisticRegression(**settings).fit(matrix, codes))


def fit_naive_bayes(matrix: csr_matrix, codes: Codes, settings: Mapping[str, Any]) -> Scorer:
    """Complement naive Bayes (Rennie et al., 2003), made for classes of unequal size; `alpha` smooths."""
    from sklearn.naive_bayes import ComplementNB

    model = ComplementNB(**settings).fit(matrix, codes)
    return Scorer(model.feature_log_prob_, np.zeros(len(model.classes_)))


CANDIDATES = (
    Candidate(
        "naive-bayes-words",
        "Complement naive Bayes over words and word pairs",
        WORDS,
        fit_naive_bayes,
        settings={"alpha": 0.3},
        ranges={"alpha": Range(0.01, 3)},
    ),
    Candidate(
        "sgd-words",
        "Logistic loss by stochastic gradient descent over words and word pairs",
        WORDS,
        fit_sgd,
        settings={"loss": "log_loss", "alpha": 1e-5, "max_iter": 5},
        ranges={"alpha": Range(1e-7, 1e-3)},
    ),
    Candidate(
        "svm-words",
        "Linear support vector machine over words and word pairs",
        WORDS,
        fit_svm,
        settings={"C": 1.0},
        ranges={"C": Range(0.01, 10)},
    ),
    Candidate(
        "svm-words-balanced",
        "Linear support vector machine over words and word pairs, small classes weighing as much as large ones",
        WORDS,
        fit_svm,
        settings={"C": 1.0, "class_weight": "balanced"},
        ranges={"C": Range(0.01, 10)},
    ),
    Candidate(
        "logistic-words",
        "Logistic regression over the 5,000 most frequent words and word pairs",
        FEWER_WORDS,
        fit_logistic,
        settings={"C": 3.0, "class_weight": "balanced", "max_iter": 100, "tol": 1e-3},
        ranges={"C": Range(0.1, 30)},
    ),
    Candidate(
        "sgd-characters",
        "Logistic loss by stochastic gradient descent over groups of 2 to 4 characters",
        CHARACTERS,
        fit_sgd,
        settings={"loss": "log_loss", "alpha": 1e-5, "max_iter": 5},
        ranges={"alpha": Range(1e-7, 1e-3)},
    ),
    Candidate(
        "svm-characters",
        "Linear support vector machine over groups of 2 to 4 characters",
        CHARACTERS,
        fit_svm,
        settings={"C": 0.3},
        ranges={"C": Range(0.01, 10)},
    ),
)
"""Quick ones first: of candidates that are as good, the first is taken."""


def recipe(max_features: int | None = None, C: float | None = None) -> Candidate:  # noqa: N803
    """The logistic regression whose settings a caller fixes: 5,000 terms and C = 1 where one of them is not given."""
    return Candidate(
        RECIPE,
        "Logistic regression over words and word pairs, settings given",
        Terms("word", 1, 2, max_features=5_000 if max_features is None else max_features),
        fit_logistic,
        settings={"C": 1.0 if C is None else C, "class_weight": "balanced", "max_iter": 300},
    )


def find(names: list[str] | None) -> tuple[Candidate, ...]:
    """The candidates of these names, all where None; raises ValueError naming those that exist."""
    return pick(CANDIDATES, names)


def pick(candidates: Sequence[AnyNamed], names: Sequence[str] | None) -> tuple[AnyNamed, ...]:
    """Those of these names, in their order, all where None; raises ValueError naming those that exist."""
    if names is None:
        return tuple(candidates)
    known = {candidate.name: candidate for candidate in candidates}
    if unknown := [name for name in names if name not in known] or not names:
        raise ValueError(f"no candidate {unknown or names!r}: there are {', '.join(known)}")
    return tuple(known[name] for name in names)


def _scorer(model: Any) -> Scorer:
    """The fitted model as one score a class; with two classes scikit-learn keeps the second one's alone."""
    weights, offsets = np.asarray(model.coef_, dtype=float), np.asarray(model.intercept_, dtype=float)
    if len(model.classes_) == 2:
        weights, offsets = np.vstack([-weights, weights]) / 2, np.concatenate([-offsets, offsets]) / 2
    return Scorer(weights, offsets)
