"""Scoring fills the inference log; monitoring reads it and alarms on drift alone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import delete, insert, select

from bridge.contracts import SKIPPED_STATE_NAME
from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import inference_log, labels
from factory.contracts import MonitorResult, ScoreResult
from factory.errors import AddressRefused
from factory.records.drift_checks import (
    DriftCheck,
    claim_retraining,
    read_drift_checks,
    read_retrainings,
    record_drift_check,
)
from factory.records.predictions import append, newest_timestamp, read_window
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.retraining import RetrainingFailed
from flows.scoring import score

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect


@pytest.fixture
def champion(veteran: Home) -> str:
    """The number of week 1's champion; week 2 is cut."""
    veteran.client.set_registered_model_alias("products", "champion", "2")
    return "2"


def logged(home: Home) -> pd.DataFrame:
    engine = open_catalogue(home.settings.database_url)
    until = newest_timestamp(engine, "products")
    assert until is not None
    return read_window(engine, "products", until, 7).rows


def log_shifted(home: Home, predictions: pd.DataFrame) -> None:
    """The same predictions as if a single class were seen any longer, in much longer texts, with much doubt."""
    shifted = predictions.drop(columns=["text", "label"]).assign(
        prediction_id=predictions["prediction_id"] + "-shifted",
        prediction="XVI",
        score=0.05,
        text_length=2000,
        timestamp=predictions["timestamp"] + pd.Timedelta(days=20),
    )
    append(open_catalogue(home.settings.database_url), shifted)


def record_weeks_of_french(home: Home) -> None:
    """Eight weeks of checks in which French falls from two fifths to a twentieth."""
    engine = open_catalogue(home.settings.database_url)
    until = newest_timestamp(engine, "products")
    assert until is not None
    for weeks in range(1, 9):
        check = DriftCheck(
            model="products",
            until=until - timedelta(weeks=weeks),
            looked_at=until,
            model_version="1",
            samples=400,
            level="stable",
            drift_score=0.0,
            alarm=False,
            columns={},
            shares={"language": {"fr": 0.05 * weeks, "en": 1 - 0.05 * weeks}},
        )
        record_drift_check(engine, check)


def test_without_a_champion_both_skip_with_a_reason_and_still_tell_their_result(home: Home, prefect: Prefect) -> None:
    home.cut(1)

    states = {"score": score(return_state=True), "monitor-and-retrain": monitor_and_retrain(return_state=True)}

    for name, state in states.items():
        assert (state.type.value, state.name, state.message) == (
            "COMPLETED",
            SKIPPED_STATE_NAME,
            "there is no champion yet",
        )
        run = prefect.last_run(name)
        assert (run["state_name"], run["state"]["message"]) == (SKIPPED_STATE_NAME, "there is no champion yet")
        assert len(prefect.results(run["id"])) == 1
    assert ScoreResult.model_validate(score()).status == "skipped"
    assert MonitorResult.model_validate(monitor_and_retrain()).status == "skipped"


def test_the_champion_scores_the_arrivals_once(veteran: Home, champion: str) -> None:
    dataset = veteran.cut(2)

    first, again, newest = score(dataset=dataset), score(week_number=2), score()

    assert first == again == newest
    assert (first["status"], first["rows"], first["model_version"]) == ("scored", dataset.arrivals, champion)
    log = logged(veteran)
    assert len(log) == dataset.arrivals
    assert set(log["timestamp"]) == {pd.Timestamp(dataset.as_of)}
    assert (log["text_length"] == log["text"].str.len()).all()
    with open_catalogue(veteran.settings.database_url).connect() as connection:
        scored = inference_log.c
        kept = connection.execute(select(scored.text, scored.group_key, scored.source)).all()
    assert sorted(text for text, *_ in kept) == sorted(log["text"])  # what was scored, not what the products say since
    assert all(key is not None for _, key, _ in kept)
    assert {source for *_, source in kept} == set(log["source"])
    assert None not in set(log["source"])


def test_a_champion_does_not_score_what_it_was_trained_on(veteran: Home, champion: str) -> None:
    result = score(week_number=1)

    assert result["status"] == "skipped"
    assert "was trained on week 1" in result["reason"]


def test_arrivals_of_the_same_kind_are_no_drift(veteran: Home, champion: str) -> None:
    score(week_number=2)

    result = monitor_and_retrain()

    assert (result["status"], result["drift_detected"], result["retrained"]) == ("ok", False, False)
    assert result["drift_score"] == 0
    assert result["samples"] == veteran.cut(2).arrivals
    assert result["level"] == "stable"
    assert {name: result["slices"][name]["level"] for name in ("language", "source")} == {
        "language": "stable",
        "source": "stable",
    }
    assert all(column["false_alarm_rate"] < 0.05 for column in result["drift_metrics"].values())
    assert {"prediction", "score", "text_length", "text"} == set(result["drift_metrics"])
    assert all(column["evidently_test"] for column in result["drift_metrics"].values())
    assert result["retraining"] is None


def test_a_look_leaves_a_report_a_chart_and_an_entry_in_the_history(veteran: Home, champion: str) -> None:
    score(week_number=2)

    result = monitor_and_retrain()

    run_id = result["report_url"].split("/runs/")[1].split("/")[0]
    page = Path(veteran.client.download_artifacts(run_id, "drift_report.html")).read_text()
    assert "text_length" in page
    assert f"{result['samples']:,} of {result['samples']:,} predictions" in page
    assert result["chart_url"].partition("?")[0].endswith(f"{run_id}/artifacts/drift_by_week.png")
    chart = Path(veteran.client.download_artifacts(run_id, "drift_by_week.png")).read_bytes()
    assert chart.startswith(b"\x89PNG")
    (check,) = read_drift_checks(open_catalogue(veteran.settings.database_url), "products")
    assert (check.until, check.alarm, check.model_version) == (veteran.cut(2).as_of, False, champion)
    assert {name: column.psi for name, column in check.columns.items()} == {
        name: column["psi"] for name, column in result["drift_metrics"].items()
    }


def test_live_f1_stands_beside_the_promised_one_once_labels_are_known(veteran: Home, champion: str) -> None:
    score(week_number=2)
    engine = open_catalogue(veteran.settings.database_url)
    with engine.begin() as connection:
        known = connection.execute(select(labels)).all()
        connection.execute(delete(labels))

    unlabelled = monitor_and_retrain()
    with engine.begin() as connection:
        connection.execute(insert(labels), [row._asdict() for row in known])
    labelled = monitor_and_retrain()

    assert unlabelled["live"] is None
    live = labelled["live"]
    run = veteran.client.get_run(veteran.client.get_model_version("products", champion).run_id)
    assert live["promised"] == run.data.metrics["f1_weighted"]
    assert live["labelled"] == labelled["samples"]
    assert live["low"] < live["f1_weighted"] < live["high"]
    # arrivals are of the test set's kind: two standard errors of some 170 rows, and of the test set's own
    assert live["f1_weighted"] == pytest.approx(live["promised"], abs=0.12)


def test_too_few_predictions_are_not_looked_at(veteran: Home, champion: str, monkeypatch: pytest.MonkeyPatch) -> None:
    score(week_number=2)
    monkeypatch.setenv("MIN_SAMPLES_FOR_DRIFT", "5000")

    result = monitor_and_retrain()

    assert result["status"] == "skipped"
    assert "at least 5000 are needed" in result["reason"]
    assert result["drift_score"] is None


@pytest.mark.usefixtures("known_costs")
def test_drift_retrains_on_newer_data_and_only_once(veteran: Home, prefect: Prefect, champion: str) -> None:
    score(week_number=2)
    log_shifted(veteran, logged(veteran))
    record_weeks_of_french(veteran)

    result = monitor_and_retrain()

    assert (result["status"], result["drift_detected"], result["retrained"]) == ("drift", True, True)
    assert (result["level"], result["episode_since"] is None) == ("critical", False)
    assert result["drift_score"] > result["threshold"]
    assert (result["trends"]["language"]["weeks"], result["trends"]["language"]["level"]) == (9, "critical")
    assert "slowly language" in result["reason"]
    check = read_drift_checks(open_catalogue(veteran.settings.database_url), "products")[-1]
    assert {name: trend.model_dump() for name, trend in check.trends.items()} == result["trends"]
    assert {name: slice_.psi for name, slice_ in check.slices.items()} == {
        name: slice_["psi"] for name, slice_ in result["slices"].items()
    }
    assert result["retrain_result"]["week_number"] == 2
    assert result["retrain_result"]["promotion"]["challenger_version"] == "3"
    assert "retrained on week 2: version 3" in result["retraining"]
    assert result["retraining"] in " ".join(MonitorResult.model_validate(result).reservations())
    assert veteran.client.get_run(result["retrain_result"]["run_id"]).data.params["max_features"] == "800"
    assert prefect.last_run("training-pipeline")["parent_task_run_id"] is not None

    again = monitor_and_retrain()

    assert (again["drift_detected"], again["retrained"]) == (True, False)
    assert "no newer snapshot" in again["reason"]

    veteran.cut(3)
    newer = monitor_and_retrain()

    assert (newer["drift_detected"], newer["retrained"]) == (True, False)
    assert "this drift episode had its retraining" in newer["retraining"]
    assert result["retraining"] in newer["retraining"]

    forced = monitor_and_retrain(force_retrain=True)

    assert forced["retrained"]
    assert forced["retrain_result"]["model_version"] == "4"


def test_a_retraining_that_fails_says_so_and_may_be_tried_again(veteran: Home, champion: str) -> None:
    score(week_number=2)
    log_shifted(veteran, logged(veteran))
    snapshot = Path(veteran.cut(2).uri.removeprefix("file://"))
    kept = snapshot.read_bytes()
    snapshot.chmod(0o644)
    snapshot.write_bytes(kept[:-100])
    try:
        with pytest.raises(RetrainingFailed, match=r"critical over .* retraining failed: training ended as Failed"):
            monitor_and_retrain()
    finally:
        snapshot.write_bytes(kept)
    engine = open_catalogue(veteran.settings.database_url)
    (failed,) = read_retrainings(engine, "products")
    assert failed.status == "failed"
    assert claim_retraining(engine, "products", failed.until, 30, claimed_by="another run") is None


@pytest.mark.usefixtures("known_costs")
def test_a_file_takes_the_place_of_the_log(
    veteran: Home, champion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score(week_number=2)
    monkeypatch.setenv("DATA_ROOTS", str(tmp_path))
    path = tmp_path / "predictions.csv"
    columns = ["timestamp", "predicted_class", "confidence", "text_length"]
    known = logged(veteran).rename(columns={"prediction": "predicted_class", "score": "confidence"})
    known[columns].assign(predicted_class="XVI", text_length=2000).to_csv(path, index=False)

    result = monitor_and_retrain(str(path))

    assert result["drift_detected"]
    assert "text" not in result["drift_metrics"]


def test_the_window_ends_where_it_is_told_to(veteran: Home, champion: str) -> None:
    score(week_number=2)
    before: Any = veteran.cut(2).as_of - pd.Timedelta(days=1)

    result = monitor_and_retrain(as_of=before)

    assert result["status"] == "skipped"
    assert result["reason"].startswith("0 predictions in 7 days")


def test_a_foreign_address_is_refused_before_anything_is_asked(
    veteran: Home, prefect: Prefect, champion: str, httpserver: HTTPServer, tmp_path: Path
) -> None:
    """Neither fetched nor tried again; what the refusal says stands in the run's state."""
    here = httpserver.url_for("/log.csv")
    (tmp_path / "private.csv").write_text("the owner's alone")
    dataset = veteran.cut(2)
    elsewhere = dataset.model_copy(update={"test": dataset.test.model_copy(update={"uri": here})})
    starts: list[Callable[[], object]] = [
        lambda: monitor_and_retrain(inference_log_path=here),
        lambda: monitor_and_retrain(inference_log_path=f"simplecache::{here}"),
        lambda: monitor_and_retrain(inference_log_path=str(tmp_path / "private.csv")),
        lambda: score(dataset=dataset.model_copy(update={"uri": here, "week": 9})),
        lambda: score(dataset=elsewhere),
        lambda: training_pipeline(dataset=elsewhere),
    ]
    for start in starts:
        with pytest.raises(AddressRefused, match=r"DATA_ROOTS|one file"):
            start()
    run = prefect.last_run("training-pipeline")
    assert here in run["state"]["message"]
    tasks = prefect.post("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert [task["run_count"] for task in tasks] == [1]
    assert httpserver.log == []
