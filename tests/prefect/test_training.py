"""Training: a snapshot becomes a registered challenger, or nothing at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bridge.contracts import RESULT_ARTIFACT_KEY
from factory.contracts import FileRef, TrainingResult
from factory.errors import SnapshotCorrupt
from flows.core.leakage import LeakageError
from flows.pipeline_flow import training_pipeline

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

KEYS = {"run_id", "metrics", "promoted", "dataset_run_id", "week_number"}


def test_a_week_becomes_a_challenger_and_its_result_is_readable_over_rest(home: Home, prefect: Prefect) -> None:
    result = training_pipeline(week=1, max_features=800, auto_promote_threshold=None)

    assert set(result) >= KEYS
    assert result["week_number"] == 1
    assert not result["promoted"]
    assert home.alias("challenger") == result["model_version"] == "1"
    assert home.alias("champion") is None
    run = prefect.last_run("training-pipeline")
    (artifact,) = prefect.results(run["id"])
    assert (artifact["type"], artifact["key"]) == ("result", RESULT_ARTIFACT_KEY)
    assert TrainingResult.model_validate(artifact["data"]).model_dump(mode="json") == result


def test_the_registry_tells_what_a_model_was_made_of(home: Home) -> None:
    result = training_pipeline(week=1, max_features=700, C=0.5, auto_promote_threshold=None)

    dataset = home.cut(1)
    run = home.client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["max_features"] == "700"
    assert run.data.params["C"] == "0.5"
    assert run.data.metrics["f1_weighted"] == pytest.approx(result["metrics"]["f1_weighted"])
    assert run.inputs.dataset_inputs[0].dataset.digest == dataset.sha256[:32]
    assert {item.path for item in home.client.list_artifacts(result["run_id"])} == {
        "class_distribution.png",
        "confusion_matrix.png",
        "dataset.json",
        "reference.parquet",
    }
    (model,) = home.client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == result["run_id"]
    assert home.tags("1")["dataset"] == dataset.model_dump_json()


def test_a_run_whose_dataset_is_named_again_trains_on_the_same_rows(home: Home) -> None:
    first = training_pipeline(week=2, max_features=800, auto_promote_threshold=None)

    again = training_pipeline(first["run_id"], 1, 800, auto_promote_threshold=None)

    assert again["dataset_run_id"] == first["run_id"]
    assert again["week_number"] == 2
    assert again["metrics"] == first["metrics"]
    assert again["model_version"] == "2"


def test_training_decides_the_promotion_itself_where_it_is_given_a_threshold(home: Home, prefect: Prefect) -> None:
    low = training_pipeline(week=1, max_features=100, auto_promote_threshold=0.99)
    assert (low["promoted"], home.alias("champion")) == (False, None)
    assert "below the threshold 0.9900" in low["reason"]

    high = training_pipeline(week=1, max_features=800, auto_promote_threshold=0.1)
    assert (high["promoted"], home.alias("champion")) == (True, "2")
    assert len(prefect.results(prefect.last_run("promotion")["id"])) == 1


def test_a_test_row_among_the_training_rows_fails_the_training(home: Home, prefect: Prefect) -> None:
    dataset = home.cut(1)
    leaking = dataset.model_copy(update={"test": FileRef(uri=dataset.uri, sha256=dataset.sha256, rows=dataset.rows)})

    with pytest.raises(LeakageError, match="cut the week again"):
        training_pipeline(dataset=leaking)

    run = prefect.last_run("training-pipeline")
    assert run["state_type"] == "FAILED"
    assert "stand both in the training rows and in the frozen test set" in run["state"]["message"]
    assert prefect.results(run["id"]) == []
    assert home.client.search_registered_models() == []


def test_an_altered_snapshot_is_refused_at_once(home: Home, prefect: Prefect) -> None:
    dataset = home.cut(1)

    with pytest.raises(SnapshotCorrupt):
        training_pipeline(dataset=dataset.model_copy(update={"sha256": "0" * 64}))

    run = prefect.last_run("training-pipeline")
    tasks = prefect.post("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert [task["run_count"] for task in tasks if task["state_type"] == "FAILED"] in ([1], [])
