"""Training: a snapshot becomes a registered challenger, or nothing at all."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from bridge.contracts import RESULT_ARTIFACT_KEY
from factory.catalogue import corrections
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef, FileRef, TrainingResult
from factory.errors import SnapshotCorrupt, WeekUnknown
from factory.records import stored
from factory.snapshots.cutting import last_cut_week
from factory.snapshots.store import read_frame
from factory.test_sets.freezing import freeze
from flows.adapters import registry, runs
from flows.core import candidates as declared
from flows.core import models
from flows.core.leakage import LeakageError
from flows.core.selection import NoCandidateError
from flows.pipeline_flow import training_pipeline

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect


class Stranger:
    """What somebody could have put into a model file: it notes that it was built from one."""

    built = False

    def __getstate__(self) -> dict[str, Any]:
        return {"name": "stranger"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).built = True


def read_json(home: Home, run_id: str, name: str) -> Any:
    return json.loads(Path(home.client.download_artifacts(run_id, name)).read_text())


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


def test_after_a_freeze_a_training_on_an_earlier_week_is_measured_on_the_new_set(home: Home) -> None:
    week = home.cut(1)
    tested = read_frame(week.test)["entity_id"].tolist()
    corrections.relabel(open_catalogue(home.settings.database_url), tested[:9], "unheard of", "Anna")
    made = freeze(home.settings, "products", "Anna")
    corrections.remove(open_catalogue(home.settings.database_url), tested[9:10], "Anna")

    result = TrainingResult.model_validate(training_pipeline(week=1, max_features=300, auto_promote_threshold=None))

    assert made.test is not None
    assert (result.test_version, result.test_looks) == ("v2", 1)
    assert result.facts()["Test set"] == "v2, looked at once"
    deleted, unknown = result.test_remarks
    assert deleted.startswith(f"1 of the {made.rows:,} rows of test set v2")
    assert "1 classes that nobody was trained on ('unheard of')" in unknown
    assert (result.reservations(), result.news()) == ([], [f"Test set: {said}" for said in result.test_remarks])
    run = home.client.get_run(result.run_id).data
    assert (run.params["test_version"], run.params["test_sha256"]) == ("v2", made.test.file.sha256)
    assert (run.metrics["test_looks"], run.metrics["test_changed_share"]) == (1, pytest.approx(1 / made.rows))
    version = registry.get_version(home.client, "products", result.model_version)
    assert (version.dataset.sha256, version.dataset.test) == (week.sha256, made.test.file)
    assert version.tags["test_version"] == "v2"


def test_the_registry_tells_what_a_model_was_made_of(home: Home) -> None:
    result = training_pipeline(week=1, max_features=700, C=0.5, auto_promote_threshold=None)

    dataset = home.cut(1)
    run = home.client.get_run(result["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["max_features"] == "700"
    assert run.data.params["C"] == "0.5"
    assert run.data.metrics["f1_weighted"] == pytest.approx(result["metrics"]["f1_weighted"])
    assert run.data.metrics["f1_weighted_far"] < run.data.metrics["f1_weighted_near"]  # the sample's texts are alike
    assert run.inputs.dataset_inputs[0].dataset.digest == dataset.sha256[:32]
    assert run.data.params["dataset_sha256"] == dataset.sha256
    assert run.data.tags.get("mlflow.source.git.commit") == runs.git_revision()
    assert {item.path for item in home.client.list_artifacts(result["run_id"])} == {
        "calibration.png",
        "class_distribution.png",
        "class_scores.png",
        "class_terms.json",
        "classes.json",
        "confusion_matrix.png",
        "dataset.json",
        "environment.json",
        "near_duplicates.json",
        "near_rows.json",
        "quality.html",
        "quality.json",
        "reference.parquet",
        "worst_errors.json",
    }
    assert {"scikit-learn", "prefect"} <= set(read_json(home, result["run_id"], "environment.json")["packages"])
    quality = read_json(home, result["run_id"], "quality.json")
    assert (quality["status"], quality["profile"]["rows"]) == ("accepted", dataset.rows)
    errors = read_json(home, result["run_id"], "worst_errors.json")
    assert len(errors["data"]) == 20
    assert errors["columns"][:3] == ["productid", "true_class", "predicted_class"]
    kind = home.client.get_experiment(run.info.experiment_id).tags["mlflow.experimentKind"]
    assert kind == "custom_model_development"  # MLflow's page opens on its trainings
    (model,) = home.client.search_logged_models([run.info.experiment_id])
    assert model.source_run_id == result["run_id"]
    assert stored.load_json(DatasetRef, home.tags("1")["dataset"]) == dataset


def test_the_best_candidate_of_the_training_rows_is_trained_and_the_failed_ones_are_named(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = replace(declared.find(["sgd-words"])[0], name="broken", settings={"loss": "no such loss"})
    entrants = [*declared.find(["naive-bayes-words", "svm-words"]), broken]
    monkeypatch.setattr(declared, "CANDIDATES", tuple(entrants))

    result = training_pipeline(week=1, auto_promote_threshold=None, search_trials=2)

    assert list(result["cv_scores"]) == ["naive-bayes-words", "svm-words"]
    assert list(result["failed_candidates"]) == ["broken"]
    assert "no such loss" in result["failed_candidates"]["broken"]
    best = max(result["cv_scores"], key=lambda name: result["cv_scores"][name]["f1_weighted"])
    assert result["candidate"] == best == "svm-words"
    run = home.client.get_run(result["run_id"]).data
    assert run.params["candidate"] == best
    assert run.metrics["cv_svm-words"] == pytest.approx(result["cv_scores"][best]["f1_weighted"])
    assert 0 < run.metrics["calibration_error"] < 0.1  # .02 to .04 as measured; without the slope it is above .3
    for name, (low, high) in result["intervals"].items():
        assert low < result["metrics"][name] < high
        assert run.metrics[f"{name}_low"] == pytest.approx(low)
    rows = read_json(home, result["run_id"], "candidates.json")["data"]
    assert [row[0] for row in rows] == ["naive-bayes-words", "svm-words", "broken"]
    assert TrainingResult.model_validate(result).reservations() == [
        f"Candidate broken failed: {result['failed_candidates']['broken']}"
    ]


def test_no_candidate_left_fails_the_training_with_every_reason(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = replace(declared.find(["svm-words"])[0], settings={"C": -1.0})
    monkeypatch.setattr(declared, "CANDIDATES", (broken,))

    with pytest.raises(NoCandidateError, match="svm-words: The 'C' parameter of LinearSVC"):
        training_pipeline(week=1, auto_promote_threshold=None)

    assert home.client.search_registered_models() == []


def test_the_same_snapshot_and_parameters_give_the_same_predictions(home: Home) -> None:
    chosen = ["sgd-characters", "svm-words-balanced", "naive-bayes-words"]
    results = [training_pipeline(week=1, auto_promote_threshold=None, candidates=chosen) for _ in range(2)]

    versions = [registry.get_version(home.client, "products", result["model_version"]) for result in results]
    one, other = (runs.read_reference(home.client, version) for version in versions)
    pd.testing.assert_frame_equal(one, other, check_exact=True)
    loaded = registry.load_model(home.client, versions[0])
    asked = models.predict(loaded, one["text"])
    pd.testing.assert_frame_equal(asked, one[["prediction", "score"]], check_exact=True)
    assert results[0]["metrics"] == results[1]["metrics"]


def test_a_model_file_with_an_untrusted_type_is_refused(home: Home, tmp_path: Path) -> None:
    result = training_pipeline(week=1, max_features=100, auto_promote_threshold=None)
    version = registry.get_version(home.client, "products", result["model_version"])
    stranger = {"vectors": Stranger()}
    (file,) = tmp_path.rglob(registry.MODEL_FILE)
    skops.io.dump(stranger, file)

    with pytest.raises(UntrustedTypesFoundException, match="Stranger"):
        registry.load_model(home.client, version)
    assert not Stranger.built
    skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))
    assert Stranger.built  # what trust would have done


def test_a_run_whose_dataset_is_named_again_trains_on_the_same_rows(home: Home) -> None:
    first = training_pipeline(week=2, max_features=800, auto_promote_threshold=None)

    again = training_pipeline(first["run_id"], 1, 800, auto_promote_threshold=None)

    assert again["dataset_run_id"] == first["run_id"]
    assert again["week_number"] == 2
    assert again["metrics"] == first["metrics"]
    assert again["model_version"] == "2"


@pytest.mark.usefixtures("known_costs")
def test_training_decides_the_promotion_itself_where_it_is_given_a_threshold(home: Home, prefect: Prefect) -> None:
    low = training_pipeline(week=1, max_features=100, auto_promote_threshold=0.99)
    assert (low["promoted"], home.alias("champion")) == (False, None)
    assert "below the floor 0.9900" in low["reason"]

    high = training_pipeline(week=1, max_features=800, auto_promote_threshold=0.1)
    assert (high["promoted"], home.alias("champion")) == (True, "2")
    assert len(prefect.results(prefect.last_run("promotion")["id"])) == 1


def test_a_week_that_is_not_there_yet_is_not_cut_by_a_training(home: Home, prefect: Prefect) -> None:
    with pytest.raises(WeekUnknown, match="week 9999 of products has not begun, we are in week"):
        training_pipeline(week=9999)
    home.cut(2)

    with pytest.raises(WeekUnknown, match="the newest is week 2: name a week up to that"):
        training_pipeline(week=3)
    assert prefect.last_run("training-pipeline")["state_type"] == "FAILED"
    assert last_cut_week(home.settings, "products") == 2
    assert home.client.search_registered_models() == []
    assert training_pipeline(week=1, max_features=100, auto_promote_threshold=None)["week_number"] == 1


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


@pytest.mark.usefixtures("known_costs")
def test_the_gates_floor_of_a_file_decides_what_a_training_promotes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "my.toml"
    path.write_text("[products.gate]\nfloor = 0.999\n")
    monkeypatch.setenv("USE_CASE_SETTINGS", str(path))

    refused = training_pipeline(week=1, max_features=800)

    assert not refused["promoted"]
    assert "below the floor 0.9990" in refused["reason"]
