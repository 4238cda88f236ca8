"""What a training takes and gives back."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from pydantic import Field

from factory import use_cases
from factory.contracts.base import (
    AtLeastOne,
    AtLeastTwo,
    Count,
    Measured,
    MonthName,
    Names,
    OfModel,
    Params,
    Period,
    Positive,
    Share,
    WeekNumber,
)
from factory.contracts.datasets import DatasetRef
from factory.contracts.told_tests import test_fact, test_news
from factory.use_cases.metrics import Metric, headlines
from factory.use_cases.use_case import Declared


class TrainingParams(Params):
    """Without `dataset` the flow takes that of `dataset_run_id`, else the snapshot of `week_number`, else the newest.

    `week_number` is the number of a period, `period` the same as the use case's clock writes it; where that counts
    months, `current_month` and `snapshot_month` are the same once more.

    `max_features` or `C` fix a logistic regression with these settings, `n_clusters` so many clusters; without them the
    `candidates` (all, when none are named) are compared on the training rows. `search_trials` other settings of the
    best one are tried, for at most `search_seconds`. Of a use case with several models `model` names the one that is
    trained.
    """

    without_promotion: ClassVar[Mapping[str, Any] | None] = MappingProxyType({"auto_promote_threshold": None})
    often: ClassVar[tuple[str, ...]] = ("week_number", "current_month", "candidates", "auto_promote_threshold")
    periods: ClassVar[frozenset[str]] = frozenset({"period"})

    use_case: str = "products"
    model: str | None = None
    dataset: DatasetRef | None = None
    dataset_run_id: str | None = None
    week_number: WeekNumber | None = None
    period: Period | None = None
    max_features: AtLeastOne | None = None
    C: Positive | None = None
    n_clusters: AtLeastTwo | None = None
    auto_promote_threshold: Share | None = 0.75
    candidates: Names | None = None
    search_trials: Count = 0
    search_seconds: Positive | None = None
    current_month: MonthName | None = None
    snapshot_month: MonthName | None = None

    @classmethod
    def offers(cls, fixed: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:
        """The candidates of the use case's models, where one is fixed."""
        models = (
            Declared(each, model)
            for each in use_cases.ALL
            if each.name == fixed.get("use_case")
            for model in each.models
        )
        names = dict.fromkeys(name for model in models for name in model.candidates)
        return {"candidates": tuple(names)} if names else {}


class CandidateScore(Measured):
    """A candidate by cross-validation on training rows: the metric that decides, its 95 % interval, the time taken."""

    low: float
    high: float
    seconds: float


class TrainingResult(OfModel):
    """`metrics` holds those of the kind of task on the frozen test set, `intervals` the 95 % interval of each;
    `dataset_run_id` is the MLflow run that logged the dataset; `promotion_decided` tells whether this run decided on
    the promotion at all. `candidate` is the one that was chosen by `cv_scores`."""

    run_id: str
    metrics: dict[str, float]
    promoted: bool
    promotion_decided: bool
    dataset_run_id: str
    week_number: int
    model_version: str
    reason: str
    mlflow_url: str | None = None
    intervals: dict[str, tuple[float, float]] = Field(default_factory=dict)
    candidate: str = ""
    cv_scores: dict[str, CandidateScore] = Field(default_factory=dict)
    failed_candidates: dict[str, str] = Field(default_factory=dict)
    card_url: str | None = None
    """The version's model card, where this run decided on the promotion."""
    test_version: str = ""
    test_looks: int | None = None
    """How often the test set was looked at, this time included; None where nobody counted."""
    test_remarks: tuple[str, ...] = ()
    """What has to be known of the test set beside the metrics: rows that are not as the catalogue has them, classes."""

    def facts(self) -> dict[str, str]:
        chosen = f" ({self.candidate})" if self.candidate else ""
        return {
            "Challenger": f"v{self.model_version}{chosen}",
            **{metric.title: self._with_interval(metric) for metric in headlines(self.metrics)},
            **test_fact(self.test_version, self.test_looks),
        }

    def reservations(self) -> list[str]:
        return [f"Candidate {name} failed: {reason}" for name, reason in self.failed_candidates.items()]

    def news(self) -> list[str]:
        unpromoted = [f"Not promoted: {self.reason}"] if self.promotion_decided and not self.promoted else []
        return [*unpromoted, *test_news(self.test_remarks)]

    def _with_interval(self, metric: Metric) -> str:
        bounds = self.intervals.get(metric.name)
        interval = f" ({metric.show(bounds[0])} to {metric.show(bounds[1])})" if bounds else ""
        return metric.show(self.metrics[metric.name]) + interval

    def links(self) -> dict[str, str]:
        known = {"MLflow": self.mlflow_url, "Model card": self.card_url}
        return {name: url for name, url in known.items() if url}
