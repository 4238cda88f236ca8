"""One table asked four questions: an energy, a genre, clusters and similar songs, each through the real flows."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.catalogue.schema import predictions
from factory.contracts import MonitorResult, PromotionResult, ScoreResult, TrainingResult
from factory.quality.checking import check_week
from factory.snapshots.cutting import cut_week
from factory.snapshots.weeks import start_of
from factory.use_cases.columns import Column
from factory.use_cases.sources import Entities
from factory.use_cases.tasks import Clusters, Multiclass, Neighbours, Regression
from factory.use_cases.use_case import Gate, Model, UseCase
from flows import explanation
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.prefect.conftest import SERVING_COSTS

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

GENRES = ("classical", "metal", "pop")
SOURCE = Entities(
    table="tunes",
    key="song_id",
    columns=(
        Column("loudness", "number"),
        Column("tempo", "number", nullable=True),
        Column("genre", "category"),
        Column("energy", "number"),
    ),
    drift_columns=("loudness", "tempo"),
)
STOCK, WEEKLY = 500, 120


MODELS = {
    model.name: model
    for model in (
        Model("energy", Regression(target="energy"), Gate(floor=0.5, largest_part_fall=0.2)),
        Model("genre", Multiclass(target="genre"), Gate(floor=0.5)),
        Model("alike", Clusters(most=4), Gate(floor=0.2, smallest_cluster=0.05), features=("loudness", "tempo")),
        Model("similar", Neighbours(k=5, relevant_by="genre"), Gate(floor=0.5, least_recall=0.9)),
    )
}
TUNES = UseCase(name="tunes", title="Tunes", dag_id="weekly_tunes", source=SOURCE, models=tuple(MODELS.values()))
CANDIDATES = {"energy": "ridge-table", "genre": "logistic-table", "alike": "k-means-table", "similar": "cosine-tree"}
PICTURES = {
    "energy": "predicted.png",
    "genre": "class_scores.png",
    "alike": "clusters.png",
    "similar": "neighbours.png",
}


@pytest.fixture
def library(home: Home, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A stock of songs, and newcomers in weeks 2 and 3; a fifth bear a genre that they need not sound like."""
    monkeypatch.setattr(use_cases, "ALL", (*use_cases.ALL, TUNES))
    random, epoch = np.random.default_rng(3), home.settings.weeks.epoch
    rows = STOCK + 2 * WEEKLY
    week = np.repeat([1, 2, 3], [STOCK, WEEKLY, WEEKLY])
    genre = random.integers(0, 3, rows)
    place = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])[genre] + random.normal(0, 1, (rows, 2))
    states = pd.DataFrame(
        {
            "song_id": [f"s{number:05}" for number in range(rows)],
            "changed_at": [start_of(int(each), epoch) - timedelta(days=1 if each == 1 else 0) for each in week],
            "loudness": place[:, 0],
            "tempo": place[:, 1],
            "genre": np.where(random.random(rows) < 0.2, random.choice(GENRES, rows), np.array(GENRES)[genre]),
            "energy": 3 * place[:, 0] + np.abs(place[:, 1]) + random.normal(0, 0.5, rows),
        }
    )
    load_entities(open_catalogue(home.settings.database_url), SOURCE, states, pd.DataFrame(), origin="songs")
    return home


def cut(home: Home, week: int) -> None:
    as_of = start_of(week, home.settings.weeks.epoch)
    check_week(home.settings, cut_week(home.settings, TUNES.name, as_of=as_of, week=week))


def train(home: Home, name: str, week: int) -> TrainingResult:
    trained = TrainingResult.model_validate(
        training_pipeline(
            use_case=TUNES.name,
            model=name,
            candidates=[CANDIDATES[name]],
            auto_promote_threshold=None,
            week_number=week,
        )
    )
    for tag, value in SERVING_COSTS.items():  # as if measured: another process knows nothing of this use case
        home.client.set_model_version_tag(name, trained.model_version, tag, value)
    return trained


@pytest.mark.parametrize("name", MODELS)
def test_a_kind_of_task_is_trained_promoted_scored_and_watched(
    library: Home, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model, settings = MODELS[name], library.settings
    cut(library, 1)
    trained = train(library, name, 1)
    decided = PromotionResult.model_validate(promotion(use_case=TUNES.name, model=name))

    assert set(trained.metrics) == {metric.name for metric in model.task.metrics}
    assert trained.metrics[model.metric.name] > model.gate.floor
    assert decided.promoted, decided.reason
    assert trained.test_remarks == decided.test_remarks == ()
    kept = {item.path for item in library.client.list_artifacts(trained.run_id)}
    assert {PICTURES[name], "reference.parquet", "model_card.html"} <= kept
    assert ("calibration.png" in kept) == model.task.of_classes

    cut(library, 2)
    scored = [ScoreResult.model_validate(score(use_case=TUNES.name, model=name, week_number=2)) for _ in range(2)]
    with open_catalogue(settings.database_url).connect() as connection:
        logged = connection.execute(select(predictions)).mappings().all()
    assert [each.rows for each in scored] == [WEEKLY, WEEKLY]
    assert len(logged) == WEEKLY
    assert {row["model"] for row in logged} == {name}
    assert {"loudness", "tempo"} <= set(logged[0]["details"])
    _look_at(name, [dict(row) for row in logged])

    train(library, name, 2)
    followed = PromotionResult.model_validate(promotion(use_case=TUNES.name, model=name))
    assert followed.previous_champion_metrics is not None
    assert [check.rule for check in followed.checks if check.rule not in ("size", "latency", "memory")] == [
        *("test set", "floor", "gain"),
        *{"energy": ("parts",), "genre": ("classes",), "alike": ("clusters",), "similar": ("recall",)}[name],
    ]

    cut(library, 3)
    score(use_case=TUNES.name, model=name, week_number=3)
    watched = MonitorResult.model_validate(
        monitor_and_retrain(use_case=TUNES.name, model=name, as_of=start_of(3, settings.weeks.epoch))
    )
    answers = {"prediction", "score"} if model.task.few_answers else {"score"}
    assert set(watched.drift_metrics) == {*answers, "loudness", "tempo"}
    assert not watched.drift_detected, watched.reason

    capsys.readouterr()
    assert explanation.main(["--use-case", TUNES.name, "--model", name, "--json", str(logged[0]["entity_id"])]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["value"] - told["base"] == pytest.approx(sum(each["contribution"] for each in told["columns"]))
    assert explanation.main(["--use-case", TUNES.name, "--model", name, "nobody"]) == 1
    assert "the newest snapshot of tunes (number 3) holds no song_id 'nobody'" in capsys.readouterr().err


def _look_at(name: str, logged: list[dict[str, object]]) -> None:
    """What is kept of a prediction, by the kind of task."""
    first = logged[0]
    answers = {str(row["prediction"]) for row in logged}
    if name == "energy":
        assert float(str(first["prediction"])) == pytest.approx(first["score"], rel=1e-5)
    elif name == "genre":
        assert answers == set(GENRES)
    elif name == "alike":
        assert answers == {"1", "2", "3"}
    else:
        details = first["details"]
        assert isinstance(details, dict)
        assert len(details["nearest"]) == 5
        assert details["nearest"][0] == first["prediction"]
