"""Weeks of churn as they were run, to compare those that were run late with those of in time.

What is compared of a week: its rows, what was known of whom, the model with all its answers, and the decision.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline
from sqlalchemy import select

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import KNOWN_AT, load_entities
from factory.catalogue.histories import CHANGED_AT
from factory.catalogue.schema import predictions
from factory.contracts import DatasetRef, PromotionResult, TrainingResult
from factory.quality.checking import check_week
from factory.settings import Settings
from factory.snapshots.cutting import cut_week
from factory.snapshots.store import read_frame
from factory.sources.tables import dated, read_sample
from factory.use_cases import get_model
from flows.adapters import registry
from flows.core.logic import logic_of

MODEL = get_model("churn")
CHURN = MODEL.use_case
DECIDED = ("challenger_metrics", "promoted", "rule", "champion_version", "previous_champion_version", "gain")


@dataclass(frozen=True)
class Week:
    """What became of a week; `model` is the one that it trained."""

    dataset: DatasetRef
    training: TrainingResult
    decision: PromotionResult
    model: Pipeline

    def told(self) -> dict[str, Any]:
        """All that may not depend on when the week was run."""
        scores = {name: score.model_dump(exclude={"seconds"}) for name, score in self.training.cv_scores.items()}
        return {
            "rows": self.dataset.model_dump(exclude={"uri", "test"}),
            "test": self.dataset.test.sha256,
            "unknown": self.unknown,
            "candidate": self.training.candidate,
            "metrics": self.training.metrics,
            "scores": scores,
            "decision": {name: getattr(self.decision, name) for name in DECIDED},
        }

    @property
    def unknown(self) -> int:
        """The customers whose outcome was not known yet."""
        return int(read_frame(self.dataset)["target"].isna().sum())

    def answers(self) -> pd.DataFrame:
        """What the model answers to all rows of the week."""
        return logic_of(MODEL).answer(self.model, read_frame(self.dataset))


def load_customers(settings: Settings, until: datetime | None = None, most: int = 5_000) -> None:
    """The sample's customers, at most so many, or what had come of them and was known at a moment."""
    source = CHURN.entities
    rows = dated(read_sample(source, CHURN.outcome, lambda _: None), source, settings.weeks, None)
    states, outcomes = rows.states.head(most), rows.outcomes
    outcomes = outcomes[outcomes[source.key].isin(states[source.key])]
    if until is not None:
        states, outcomes = states[states[CHANGED_AT] <= until], outcomes[outcomes[KNOWN_AT] <= until]
    load_entities(open_catalogue(settings.database_url), source, states, outcomes, origin="customers")


def run_week(settings: Settings, moment: datetime, **training: Any) -> Week:
    """The week of that moment, cut and run by the flows as functions; `training` goes to the training besides."""
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion
    from flows.scoring import score

    dataset = check_week(settings, cut_week(settings, CHURN.name, as_of=moment))
    score(use_case=CHURN.name, dataset=dataset, return_state=True)  # in the first week there is no champion that could
    trained = training_pipeline(use_case=CHURN.name, dataset=dataset, auto_promote_threshold=None, **training)
    version = trained["model_version"]
    return week_of(settings, dataset, trained, promotion(use_case=CHURN.name, model_version=version))


def week_of(settings: Settings, dataset: Any, trained: Any, decided: Any) -> Week:
    """A week from what its steps handed back, with the model out of the registry."""
    training = TrainingResult.model_validate(trained)
    client = registry.connect(settings.mlflow_tracking_uri)
    version = registry.get_version(client, MODEL.name, training.model_version)
    model = registry.load_model(client, version, settings.data_roots, trusted=logic_of(MODEL).trusted)
    return Week(DatasetRef.model_validate(dataset), training, PromotionResult.model_validate(decided), model)


def scored(settings: Settings) -> pd.DataFrame:
    """All that champions said of new customers, by moment and customer."""
    told = predictions.c
    query = select(told.timestamp, told.entity_id, told.model_version, told.prediction, told.score, told.details)
    with open_catalogue(settings.database_url).connect() as connection:
        return pd.DataFrame(connection.execute(query.order_by(told.timestamp, told.entity_id)).mappings())
