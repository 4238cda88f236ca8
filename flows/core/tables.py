"""The candidates of a training over a table: which features they look at, what they are, how one is fitted.

Owns the declared lists. Pure; must not know a use case's columns, or what a candidate's answers are worth.

A model is one scikit-learn estimator that takes the rows as `as_table` gives them, features and calibration included.
Every fit is done on one thread: the order of sums, and so the model, would depend on the machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column
from flows.core.answers import read_classes, read_names, read_numbers
from flows.core.candidates import SEED, Range, Tunable, pick
from flows.core.features.table import as_table, linear_features, tree_features
from flows.core.groups import Groups
from flows.core.splits import Splits, group_splits

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.compose import ColumnTransformer
    from threadpoolctl import ThreadpoolController

THREADED = ("scipy.linalg", "sklearn.ensemble")
"""They bring the threads that a fit would take: those of linear algebra, and those of trees."""

Numbers: TypeAlias = NDArray[np.float64]
Task: TypeAlias = Literal["binary", "multiclass", "regression"]

TRUSTED = (
    "numpy.dtype",
    "numpy.round",
    "numpy.sum",
    "sklearn._loss._loss.CyHalfBinomialLoss",
    "sklearn._loss._loss.CyHalfMultinomialLoss",
    "sklearn._loss._loss.CyHalfSquaredError",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
"""What skops must be told to trust to load one of these models; none of them runs code of a file's own.

scikit-learn does not check the places in a tree's nodes: a file that somebody forged could end the process that asks
it. Models are read from the registry alone, whose files this project wrote.
"""


@dataclass(frozen=True, slots=True)
class TableCandidate(Tunable):
    """One way to a model of a table."""

    name: str
    title: str
    task: Task
    features: Callable[[Sequence[Column]], ColumnTransformer]
    learner: Callable[..., BaseEstimator]


def _logistic(**settings: Any) -> BaseEstimator:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=2_000, **settings)


def _ridge(**settings: Any) -> BaseEstimator:
    from sklearn.linear_model import Ridge

    return Ridge(**settings)


def _boosting_classifier(**settings: Any) -> BaseEstimator:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(early_stopping=False, random_state=SEED, **settings)


def _boosting_regressor(**settings: Any) -> BaseEstimator:
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(early_stopping=False, random_state=SEED, **settings)


_BOOSTING = {"learning_rate": 0.05, "max_iter": 200, "max_leaf_nodes": 8, "l2_regularization": 1.0}
_BOOSTING_RANGES = {"learning_rate": Range(0.02, 0.2), "l2_regularization": Range(0.1, 100)}

_LARGE_BOOSTING = {
    "learning_rate": 0.05,
    "max_iter": 400,
    "max_leaf_nodes": 31,
    "l2_regularization": 5.0,
    "max_features": 0.5,
}
LARGE_ROWS = 10_000

BINARY_CANDIDATES = (
    TableCandidate(
        "logistic-table",
        "Regularised logistic regression, numbers straight and in steps",
        "binary",
        linear_features,
        _logistic,
        settings={"C": 0.1},
        ranges={"C": Range(0.001, 10)},
    ),
    TableCandidate(
        "boosting-table",
        "Gradient boosting of 200 small trees",
        "binary",
        tree_features,
        _boosting_classifier,
        settings=_BOOSTING,
        ranges=_BOOSTING_RANGES,
    ),
    TableCandidate(
        "boosting-large-table",
        "Gradient boosting of 400 larger trees, each split by half of the columns",
        "binary",
        tree_features,
        _boosting_classifier,
        settings=_LARGE_BOOSTING,
        ranges=_BOOSTING_RANGES,
        least_rows=LARGE_ROWS,
    ),
)
"""The simple one first: of candidates that are as good, the first is taken."""

MULTICLASS_CANDIDATES = tuple(replace(each, task="multiclass") for each in BINARY_CANDIDATES)
"""The same: both learn several classes as they learn two."""

REGRESSION_CANDIDATES = (
    TableCandidate(
        "ridge-table",
        "Ridge regression, numbers straight and in steps",
        "regression",
        linear_features,
        _ridge,
        settings={"alpha": 3.0},
        ranges={"alpha": Range(0.01, 1_000)},
    ),
    TableCandidate(
        "boosting-regression",
        "Gradient boosting of 200 small trees",
        "regression",
        tree_features,
        _boosting_regressor,
        settings=_BOOSTING,
        ranges=_BOOSTING_RANGES,
    ),
    TableCandidate(
        "boosting-large-regression",
        "Gradient boosting of 400 larger trees, each split by half of the columns",
        "regression",
        tree_features,
        _boosting_regressor,
        settings=_LARGE_BOOSTING,
        ranges=_BOOSTING_RANGES,
        least_rows=LARGE_ROWS,
    ),
)


CANDIDATES: Mapping[Task, tuple[TableCandidate, ...]] = {
    "binary": BINARY_CANDIDATES,
    "multiclass": MULTICLASS_CANDIDATES,
    "regression": REGRESSION_CANDIDATES,
}


def find(task: Task, names: Sequence[str] | None = None) -> tuple[TableCandidate, ...]:
    """The task's candidates of these names, all where None; raises ValueError naming those that exist."""
    return pick(CANDIDATES[task], names)


def build(candidate: TableCandidate, columns: Sequence[Column]) -> BaseEstimator:
    """The candidate, not fitted and not calibrated: a pipeline of `features` and `learner`."""
    from sklearn.pipeline import Pipeline

    learner = candidate.learner(**candidate.settings)
    return Pipeline([("features", candidate.features(columns)), ("learner", learner)])


def fit(
    rows: pd.DataFrame, truth: Any, groups: Groups, candidate: TableCandidate, columns: Sequence[Column]
) -> BaseEstimator:
    """The candidate fitted on all rows; the probabilities of classes are calibrated.

    Calibration is Platt's: a sigmoid over scores of rows whose group the model that scored them had not seen, in the
    log odds, of several classes one for each against the rest. `truth` is 0 or 1, a class's name, or a number. Raises
    ValueError where truth is none of these, or of one class alone, and NoCandidateError where all rows are of one
    group.
    """
    from sklearn.calibration import CalibratedClassifierCV

    table, wanted = as_table(rows, columns), _read_truth(truth, candidate.task)
    model = build(candidate, columns)
    with on_one_thread():
        if candidate.task == "regression":
            return model.fit(table, wanted)
        splits = list(group_splits(_codes(wanted), groups, classes=True))
        calibrated = CalibratedClassifierCV(model, method="sigmoid", cv=splits, ensemble=False).fit(table, wanted)
    calibrated.cv = None  # the places of the training rows are not the model's
    return calibrated


def cross_validate(
    candidate: TableCandidate,
    rows: pd.DataFrame,
    truth: Any,
    groups: Groups,
    columns: Sequence[Column],
    *,
    splits: Splits | None = None,
) -> Numbers:
    """One answer a row by a model that has seen neither it nor a row of its group: a probability, or a number.

    `splits` stand in for folds of groups, `time_splits` for instance: a row that they never answer is NaN then.
    Probabilities are calibrated as `fit` does, by one sigmoid over these answers. Raises what `fit` raises.
    """
    table, wanted = as_table(rows, columns), _read_truth(truth, candidate.task)
    answers = np.full(len(table), np.nan)
    with on_one_thread():
        for fitted, held in (
            group_splits(wanted, groups, classes=candidate.task == "binary") if splits is None else splits
        ):
            model = build(candidate, columns).fit(table.iloc[fitted], wanted[fitted])
            scored = model.decision_function if candidate.task == "binary" else model.predict
            answers[held] = scored(table.iloc[held])
    return answers if candidate.task == "regression" else _calibrated(answers, wanted)


def cross_validate_classes(
    candidate: TableCandidate, rows: pd.DataFrame, truth: Any, columns: Sequence[Column], splits: Splits
) -> tuple[list[str], Numbers]:
    """The classes in order, and a probability a row (down) and class (across) by a model of its split.

    Not calibrated: the likeliest class stays the likeliest. A class that was not fitted on has 0, and so have all for a
    row that is never answered. Raises what `fit` raises.
    """
    table, wanted = as_table(rows, columns), _read_truth(truth, candidate.task)
    names = np.unique(wanted)
    answers = np.zeros((len(table), len(names)))
    with on_one_thread():
        for fitted, held in splits:
            model = build(candidate, columns).fit(table.iloc[fitted], wanted[fitted])
            answers[np.ix_(held, np.searchsorted(names, model.classes_))] = model.predict_proba(table.iloc[held])
    return [str(name) for name in names], answers


def predict_classes(model: BaseEstimator, rows: pd.DataFrame, columns: Sequence[Column]) -> Numbers:
    """The probability of each of the model's classes (across) for each row (down)."""
    with on_one_thread():
        answers: Numbers = model.predict_proba(as_table(rows, columns))
    return answers


def predict(model: BaseEstimator, rows: pd.DataFrame, columns: Sequence[Column]) -> Numbers:
    """One answer a row: the probability of 1 by a binary model, the number by one of a regression."""
    table = as_table(rows, columns)
    if not len(table):
        return np.empty(0)
    with on_one_thread():
        answers: Numbers = model.predict_proba(table)[:, 1] if hasattr(model, "predict_proba") else model.predict(table)
    return answers


def _read_truth(truth: Any, task: Task) -> NDArray[Any]:
    if task == "multiclass":
        return read_names("truth", truth)
    return (read_classes if task == "binary" else read_numbers)("truth", truth)


def _codes(classes: NDArray[Any]) -> Numbers:
    """A number for each class, by which rows are spread over folds."""
    return np.unique(classes, return_inverse=True)[1].astype(float)


@contextmanager
def on_one_thread() -> Iterator[None]:
    """One thread; and no warning that a number with few values has fewer steps."""
    with _threads().limit(limits=1), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Bins whose width|Feature .* is constant", UserWarning)
        yield


@cache
def _threads() -> ThreadpoolController:
    """Found once: to look for the libraries takes as long as an answer. None is found before it is loaded."""
    from threadpoolctl import ThreadpoolController

    for library in THREADED:
        import_module(library)
    return ThreadpoolController()


def _calibrated(scores: Numbers, truth: Numbers) -> Numbers:
    """Probabilities of the scores (log odds) by one sigmoid, where there are any."""
    from sklearn.calibration import _SigmoidCalibration

    known = np.isfinite(scores)
    probabilities = np.full(len(scores), np.nan)
    if known.any():
        probabilities[known] = _SigmoidCalibration().fit(scores[known], truth[known]).predict(scores[known])
    return probabilities
