"""The factory's deployments by use case, and which of them may change a champion."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from bridge.contracts import Deployment
from factory.contracts.acquisition import AcquisitionParams, ReferenceParams, ReferenceResult
from factory.contracts.base import Params
from factory.contracts.datasets import DatasetRef
from factory.contracts.monitoring import MonitorParams, MonitorResult
from factory.contracts.promotions import PromotionParams, PromotionResult
from factory.contracts.scoring import ScoreParams, ScoreResult
from factory.contracts.trainings import TrainingParams, TrainingResult


def score(use_case: str) -> Deployment[ScoreParams, ScoreResult]:
    """The deployment in which the standing champion predicts this week's arrivals."""
    return Deployment(f"score/{use_case}", ScoreParams, ScoreResult)


def training(use_case: str) -> Deployment[TrainingParams, TrainingResult]:
    """The deployment that trains a challenger."""
    return Deployment(f"training-pipeline/{use_case}", TrainingParams, TrainingResult)


def promotion(use_case: str) -> Deployment[PromotionParams, PromotionResult]:
    """The deployment that decides between challenger and champion."""
    return Deployment(f"promotion/{use_case}", PromotionParams, PromotionResult)


def monitor(use_case: str) -> Deployment[MonitorParams, MonitorResult]:
    """The deployment that watches for drift and retrains where there is reason and newer data."""
    return Deployment(f"monitor-and-retrain/{use_case}", MonitorParams, MonitorResult)


def acquisition(use_case: str) -> Deployment[AcquisitionParams, DatasetRef]:
    """The deployment that cuts and checks a period's data, as the DAG does."""
    return Deployment(f"acquisition/{use_case}", AcquisitionParams, DatasetRef)


def reference_data(use_case: str) -> Deployment[ReferenceParams, ReferenceResult]:
    """The deployment that draws rows of a period to compare later ones with."""
    return Deployment(f"reference-data/{use_case}", ReferenceParams, ReferenceResult)


def params_of(deployment_name: str, takes: Iterable[str] = ()) -> type[Params] | None:
    """The contract of what that deployment runs, None where that is none of the factory's flows.

    It is known by its flow's name, whatever the deployment is called; under another name by what it `takes`, which is
    at least what the contract holds.
    """
    flow, fields = deployment_name.partition("/")[0], frozenset(takes)
    ours = {made.name.partition("/")[0]: made.params for made in (build("any") for build in _BUILDERS)}
    alike = (params for params in ours.values() if fields.issuperset(params.model_fields))
    return ours.get(flow) or next(alike, None)


def may_promote(deployment_name: str, given: Mapping[str, Any], takes: Iterable[str] = ()) -> bool:
    """Whether a run of that deployment with these parameters may change a champion.

    A run of which it is not known what it runs (the name is empty) may.
    """
    params = params_of(deployment_name, takes)
    return params.may_promote(given) if params else not deployment_name


_BUILDERS: tuple[Callable[[str], Deployment[Any, Any]], ...] = (
    *(promotion, training, monitor, score),
    *(reference_data, acquisition),  # which take the least, and could be taken for others
)
