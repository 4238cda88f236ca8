"""A use case of a table through its flows: trained, promoted, scored, and watched once outcomes are known."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import select

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.catalogue.schema import predictions
from factory.contracts import MonitorResult, PromotionResult, ScoreResult, TrainingResult
from factory.quality.checking import check_week
from factory.records.measurements import read_measurements
from factory.snapshots.cutting import cut_week
from factory.snapshots.weeks import start_of
from factory.use_cases import get
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.lineage_graph import Events, names, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.prefect.conftest import Home

SOURCE = get("churn").entities
STOCK, WEEKLY = 700, 150


def load_customers(home: Home, *, drifted: bool = False) -> None:
    """A stock of which all is known, and in weeks 2 and 3 newcomers whose outcome is known a week later."""
    random, epoch = np.random.default_rng(3), home.settings.weeks.epoch
    rows = STOCK + 2 * WEEKLY
    week = np.repeat([1, 2, 3], [STOCK, WEEKLY, WEEKLY])
    joined = [start_of(number, epoch) if number > 1 else epoch - timedelta(days=7) for number in week.tolist()]
    calls = random.poisson(4, rows).astype(float)
    minutes = random.normal(180, 50, rows) + (200 * (week == 3) if drifted else 0)
    leaves = random.random(rows) < 1 / (1 + np.exp(-1.2 * (calls - 5)))
    states = pd.DataFrame(
        {
            "customer_id": [f"c{number:05}" for number in range(rows)],
            "changed_at": joined,
            "number_customer_service_calls": calls,
            "total_day_minutes": minutes.clip(0),
            "gender": random.choice(["f", "m"], rows),
        }
    )
    outcomes = states[["customer_id"]].assign(
        known_at=[moment + timedelta(days=7) for moment in joined], outcome=np.where(leaves, "yes", "no")
    )
    load_entities(open_catalogue(home.settings.database_url), SOURCE, states, outcomes, origin="customers")


def assert_one_graph(events: Events) -> None:
    """From the table of customers to the predictions that are watched, each step reads what another wrote."""
    tables = names(events.completed("load/customers")[0]["outputs"])
    cuts = events.completed("cut/churn")
    assert all(names(each["inputs"]) == tables for each in cuts)
    trained, again = events.completed("training-pipeline/churn")
    assert names(trained["inputs"]) == names(cuts[0]["outputs"])
    versions = names(trained["outputs"])
    assert names(events.completed("promotion/churn")[0]["inputs"]) & versions
    scored = events.completed("score/churn")[0]
    snapshot = next(each for each in names(cuts[1]["outputs"]) if "/week=02/" in each[1])
    assert snapshot in names(scored["inputs"])
    assert names(scored["inputs"]) & versions
    assert names(scored["outputs"]) <= events.inputs("monitor-and-retrain/churn")
    assert parent_of(again) == ("monitor-and-retrain/churn", events.last("monitor-and-retrain/churn")["run"]["runId"])


def cut(home: Home, week: int) -> None:
    as_of = start_of(week, home.settings.weeks.epoch)
    check_week(home.settings, cut_week(home.settings, "churn", as_of=as_of, week=week))


@pytest.mark.usefixtures("known_costs")
def test_customers_are_trained_on_promoted_scored_and_watched(
    home: Home, monkeypatch: pytest.MonkeyPatch, events: Callable[[], Events]
) -> None:
    load_customers(home, drifted=True)
    cut(home, 1)

    trained = TrainingResult.model_validate(
        training_pipeline(use_case="churn", candidates=["logistic-table"], auto_promote_threshold=None)
    )
    decided = PromotionResult.model_validate(promotion(use_case="churn"))
    again = PromotionResult.model_validate(promotion(use_case="churn", model_version=trained.model_version))

    assert trained.metrics["auc"] > 0.8
    assert trained.cv_scores["logistic-table"].metric == "auc"
    assert trained.facts()["AUC"].startswith(f"{trained.metrics['auc']:.4f} (")
    assert decided.promoted, decided.reason
    assert [check.rule for check in decided.checks] == [
        *("test set", "floor", "calibration", "fairness", "size", "latency", "memory"),
    ]
    assert again.rule == "standing"
    with open_catalogue(home.settings.database_url).connect() as connection:
        (measured,) = read_measurements(connection, "churn")
    assert measured.metrics["auc"].value == pytest.approx(trained.metrics["auc"])

    run = home.client.get_run(trained.run_id)
    kept = {item.path for item in home.client.list_artifacts(trained.run_id)}
    assert {"roc.png", "deciles.png", "groups.png", "calibration.png", "groups.json", "columns.json"} <= kept
    card = Path(home.client.download_artifacts(trained.run_id, "model_card.html")).read_text()
    assert "What moves its answers" in card
    assert "<td>total day minutes</td>" in card
    assert run.data.params["candidate"] == "logistic-table"

    cut(home, 2)
    scored = [ScoreResult.model_validate(score(use_case="churn", week_number=2)) for _ in range(2)]
    cut(home, 3)
    score(use_case="churn", week_number=3)
    with open_catalogue(home.settings.database_url).connect() as connection:
        logged = connection.execute(select(predictions)).mappings().all()
    assert [each.rows for each in scored] == [WEEKLY, WEEKLY]
    assert len(logged) == 2 * WEEKLY
    assert {row["model"] for row in logged} == {"churn"}
    assert logged[0]["details"]["number_customer_service_calls"] >= 0
    assert "gender" not in logged[0]["details"], "a sensitive column is no feature, and is not logged as one"

    monkeypatch.setenv("DRIFT_THRESHOLD", "1")
    watched = MonitorResult.model_validate(
        monitor_and_retrain(use_case="churn", as_of=start_of(3, home.settings.weeks.epoch))
    )

    assert set(watched.drift_metrics) == {
        *("prediction", "score", "total_day_minutes", "number_customer_service_calls"),
    }
    assert watched.drift_metrics["total_day_minutes"].drifted
    assert not watched.drift_metrics["number_customer_service_calls"].drifted
    assert watched.live is not None
    assert (watched.live.metric, watched.live.labelled) == ("auc", WEEKLY)
    assert watched.live.value > 0.7
    assert_one_graph(events())
