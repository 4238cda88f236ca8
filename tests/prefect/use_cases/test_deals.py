"""Opportunities through their flows: months acquired, trained on, promoted, scored, compared with a month of before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import load_entities
from factory.contracts import DatasetRef, MonitorResult, PromotionResult, ReferenceResult, ScoreResult, TrainingResult
from factory.errors import WeekUnknown
from factory.snapshots.store import read_frame
from factory.sources.tables import read_folder
from factory.use_cases import get
from flows.acquisition import acquisition
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.reference_data import reference_data
from flows.scoring import score
from tests.maven_files import made_up_pipeline, write_maven

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

SOURCE = get("deals").entities
OPPORTUNITIES = 6_000


@pytest.fixture
def crm(home: Home, tmp_path: Path) -> Home:
    """The home with a CRM of fourteen months, in Maven's files."""
    rows = read_folder(write_maven(tmp_path / "crm", *made_up_pipeline(OPPORTUNITIES)), SOURCE, lambda _: None)
    engine = open_catalogue(home.settings.database_url)
    load_entities(engine, SOURCE, rows.states, rows.outcomes, origin="crm", lookups=rows.lookups)
    return home


def acquired(month: str) -> DatasetRef:
    return DatasetRef.model_validate(acquisition(snapshot_month=month, use_case="deals"))


def trained(**month: str) -> TrainingResult:
    result = training_pipeline(use_case="deals", candidates=["logistic-table"], auto_promote_threshold=None, **month)
    return TrainingResult.model_validate(result)


@pytest.mark.usefixtures("known_costs")
def test_three_months_of_a_crm(crm: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_THRESHOLD", "1")
    with pytest.raises(WeekUnknown, match="deals has no champion yet"):
        reference_data(reference_period="2017-08", use_case="deals")

    august = acquired("2017-08")
    first = trained(current_month="2017-08")
    made = PromotionResult.model_validate(promotion(use_case="deals"))

    assert acquired("2017-08") == august
    assert made.promoted, made.reason
    assert [check.rule for check in made.checks][:3] == ["test set", "floor", "calibration"]
    assert set(first.metrics) >= {"auc", "brier", "log_loss", "lift"}
    assert first.metrics["auc"] < 0.9
    assert first.metrics["lift"] > 1
    low, high = first.intervals["log_loss"]
    assert low < first.metrics["log_loss"] < high

    acquired("2017-09")
    again = trained(snapshot_month="2017-09")
    met = PromotionResult.model_validate(promotion(use_case="deals"))
    scored = ScoreResult.model_validate(score(use_case="deals", snapshot_month="2017-09"))
    october = acquired("2017-10")
    later = ScoreResult.model_validate(score(use_case="deals", dataset=october))

    assert again.week_number == first.week_number + 1
    assert "overlap" not in {check.rule for check in met.checks if not check.passed}
    asked = read_frame(october)
    assert later.rows == int(asked["target"].isna().sum()) > 200
    assert {scored.status, later.status} <= {"scored", "skipped"}

    kept = ReferenceResult.model_validate(reference_data(reference_period="2017-08", sample_size=150, use_case="deals"))
    rows = pd.read_parquet(kept.file.uri.removeprefix("file://"))
    watched = MonitorResult.model_validate(
        monitor_and_retrain(use_case="deals", current_month="2017-10", reference_period="2017-08")
    )

    assert kept.file.rows == len(rows) == 150 < kept.available
    assert {"prediction", "score", "product", "days_open"} <= set(rows.columns)
    assert watched.status in {"ok", "drift"}, watched.reason
    assert watched.samples == later.rows
    assert (watched.reference_period, watched.facts()["Compared with"]) == ("2017-08", "2017-08")
    assert watched.alert in {"LOW", "MEDIUM", "HIGH"}
    assert set(watched.drift_metrics) >= {"prediction", "score", "days_open", "product"}

    card = Path(crm.client.download_artifacts(first.run_id, "model_card.html")).read_text()
    assert "tested on 2017-05 to 2017-07, trained on rows up to 2017-03" in card
    assert "Lift in the first tenth" in card
