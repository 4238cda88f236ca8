"""The tasks of a use case with three models, on a dataset that stands for a checked week."""

from __future__ import annotations

from dataclasses import replace

from airflow.sdk import DAG, task

from bridge.in_airflow.notifier import BridgeNotifier
from dags.model_tasks import wire_models
from factory import contracts
from factory.settings import read_settings
from factory.use_cases import get

NAMES = ("songs-genre", "songs-energy", "songs-alike")
churn = get("churn")
songs = replace(churn, name="songs", models=tuple(replace(churn.models[0], name=name) for name in NAMES))
results = {"train": contracts.TrainingResult, "promote": contracts.PromotionResult, "outcome": contracts.ModelsResult}

with DAG("several_models", schedule=None, default_args={"retries": 0}):

    @task(task_id=songs.tasks.check)
    def check(params: dict) -> dict:
        file = {"uri": "file:///week.parquet", "sha256": "ab", "rows": 3}
        week = {"use_case": "songs", "week": 1, "as_of": "2026-01-05T00:00:00Z", "train_rows": 2, "arrivals": 1}
        return {**file, **week, "classes": 2, "test": file, "test_version": "v1", "revision": 1}

    dataset = check()
    dataset >> wire_models(songs, BridgeNotifier(results=results), dataset, read_settings())
