"""The one look at the frozen test set: what a fitted model is worth there, and where it errs.

Pure: a model and rows in, numbers and tables out. Must not know where they are kept or drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from flows.core import calibration, explanation, models, probe
from flows.core.bootstrap import Estimate, estimate, estimate_classes
from flows.core.groups import groups_of
from flows.core.probe import Probe

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

WORST_ERRORS = 20
TERMS_SHOWN = 5
TEXT_CHARACTERS = 300


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What every kind of task tells of a model on the frozen test set.

    `estimates` holds the task's metrics with their intervals. `reference` holds one row a test row, in order:
    prediction, score, group, and what drift is measured on; `near` holds the ids of test rows that nearly
    equal a training row.
    """

    estimates: Mapping[str, Estimate]
    reference: pd.DataFrame
    near: tuple[str, ...]

    @property
    def metrics(self) -> dict[str, float]:
        """The plain numbers."""
        return {name: found.value for name, found in self.estimates.items()}

    def intervals(self) -> dict[str, Estimate]:
        """Every number that has an interval, by its name."""
        return dict(self.estimates)

    def numbers(self) -> dict[str, float]:
        """What else is a number, by its name."""
        return {}

    def tables(self) -> dict[str, pd.DataFrame]:
        """What people read as tables, by their names."""
        return {}

    def remarks(self) -> list[str]:
        """What a log says of it, a sentence each."""
        return []


@dataclass(frozen=True, slots=True, eq=False)
class ProbabilityEvaluation(Evaluation):
    """Of classes with their probability: `calibration_error` (0 to 1) with its interval, and `curve` that of
    calibration.

    `confusion` counts rows by true (index) and predicted class.
    """

    calibration_error: Estimate
    confusion: pd.DataFrame
    curve: pd.DataFrame

    def intervals(self) -> dict[str, Estimate]:
        return {**self.estimates, "calibration_error": self.calibration_error}


@dataclass(frozen=True, slots=True, eq=False)
class ClassesEvaluation(ProbabilityEvaluation):
    """Of several classes: `classes` has a row for each, with precision, recall and F1."""

    classes: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"classes": self.classes}


@dataclass(frozen=True, slots=True, eq=False)
class TextEvaluation(ClassesEvaluation):
    """`errors` and `terms` are tables for people; `probe` is what the model is worth on near rows."""

    errors: pd.DataFrame
    terms: pd.DataFrame
    probe: Probe

    def numbers(self) -> dict[str, float]:
        return self.probe.numbers()

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"classes": self.classes, "worst_errors": self.errors, "class_terms": self.terms}

    def remarks(self) -> list[str]:
        return [self.probe.sentence()]


@dataclass(frozen=True, slots=True, eq=False)
class TableEvaluation(ProbabilityEvaluation):
    """`deciles` has a row a tenth of the ranking, `groups` one a value of each sensitive column, `roc` the curve."""

    deciles: pd.DataFrame
    groups: pd.DataFrame
    roc: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        found = {"deciles": self.deciles}
        return found | {"groups": self.groups} if len(self.groups) else found


@dataclass(frozen=True, slots=True, eq=False)
class DirectionEvaluation(TableEvaluation):
    """`backtest` has a row a moment of the test set, as `flows.core.backtest` tells it."""

    backtest: pd.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class RegressionEvaluation(Evaluation):
    """Of numbers: `tenths` has a row a tenth of the truth, `parts` one a part of the rows, `points` one a test row.

    `points` holds truth and predicted.
    """

    tenths: pd.DataFrame
    parts: pd.DataFrame
    points: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"tenths": self.tenths, "parts": self.parts}


@dataclass(frozen=True, slots=True, eq=False)
class ClustersEvaluation(Evaluation):
    """Of clusters: `sizes` has a row a cluster, `plane` one a test row: across, up (two dimensions) and cluster."""

    sizes: pd.DataFrame
    plane: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"clusters": self.sizes}


@dataclass(frozen=True, slots=True, eq=False)
class NeighboursEvaluation(Evaluation):
    """Of neighbours: `by_k` has a row for each number of them, `parts` one for each value that makes them relevant."""

    by_k: pd.DataFrame
    parts: pd.DataFrame

    def tables(self) -> dict[str, pd.DataFrame]:
        return {"neighbours": self.by_k, "parts": self.parts}


def evaluate(model: Pipeline, test: pd.DataFrame, *, near: Sequence[int] = ()) -> TextEvaluation:
    """Ask the model once for every test row (entity_id, text, target, group) and measure the answers.

    `near` are the places of rows that nearly equal a training row.
    """
    predicted = models.predict(model, test["text"])
    truth, answers = test["target"].astype(str), predicted["prediction"]
    right, groups = truth.to_numpy() == answers.to_numpy(), groups_of(test)
    beside = np.isin(np.arange(len(test)), list(near))
    kept = {name: test[name] for name in ("text", "group", "source") if name in test.columns}
    return TextEvaluation(
        estimates=estimate(truth, answers, groups=groups),
        calibration_error=calibration.estimate_error(predicted["score"], right, groups=groups),
        reference=predicted.assign(**kept, text_length=test["text"].str.len()),
        classes=estimate_classes(truth, answers, groups=groups),
        confusion=models.confusion(truth, answers),
        curve=calibration.calibration_curve(predicted["score"], right, groups=groups),
        errors=_worst_errors(model, test, predicted, right),
        terms=explanation.strongest_terms(model),
        probe=probe.measure(truth, answers, beside, groups=groups),
        near=tuple(test["entity_id"][beside].astype(str)),
    )


def _worst_errors(model: Pipeline, test: pd.DataFrame, predicted: pd.DataFrame, right: np.ndarray) -> pd.DataFrame:
    """The wrong answers that the model was surest of, with what led it there."""
    wrong = predicted[~right].sort_values("score", ascending=False, kind="stable").head(WORST_ERRORS)
    rows = test.loc[wrong.index]
    reasons = explanation.explain(model, list(rows["text"]), strongest=TERMS_SHOWN) if len(rows) else []
    return pd.DataFrame(
        {
            "productid": rows["entity_id"].astype(str),
            "true_class": rows["target"].astype(str),
            "predicted_class": wrong["prediction"],
            "confidence": wrong["score"].round(4),
            "terms": [_as_text(reason.terms) for reason in reasons],
            "text": rows["text"].str.slice(0, TEXT_CHARACTERS),
        }
    ).reset_index(drop=True)


def _as_text(terms: pd.DataFrame) -> str:
    return ", ".join(f"{term!r} {part:+.2f}" for term, part in zip(terms["term"], terms["contribution"], strict=True))
