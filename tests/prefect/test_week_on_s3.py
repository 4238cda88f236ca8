"""A week whose snapshots and MLflow's artifacts lie in a store that speaks S3: cut, check, train, promote, score."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from s3fs import S3FileSystem

from factory.errors import ArtifactStoreAway, SnapshotStoreUnusable
from factory.settings import read_settings
from flows.adapters import registry, runs
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.live_s3 import BUCKET, live_s3

if TYPE_CHECKING:
    from tests.prefect.conftest import Home

SNAPSHOTS, ARTIFACTS = f"s3://{BUCKET}/snapshots", f"s3://{BUCKET}/artifacts"


@pytest.fixture
def s3_home(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """The same home with its files in a bucket."""
    with live_s3() as found:
        for name, value in (found | {"SNAPSHOT_URI": SNAPSHOTS, "DATA_ROOTS": ARTIFACTS}).items():
            monkeypatch.setenv(name, value)
        home.client.create_experiment("products", artifact_location=ARTIFACTS)
        yield type(home)(read_settings(), home.client)


def stored(prefix: str) -> list[str]:
    found: list[dict[str, Any]] = boto3.client("s3").list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [entry["Key"] for entry in found]


def test_a_week_runs_on_s3_and_leaves_nothing_on_this_machine(
    s3_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = tmp_path / "temporary"
    passing.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(passing))

    dataset = s3_home.cut(1)
    trained = training_pipeline(week=1, max_features=800, auto_promote_threshold=None)
    decided = promotion(threshold=0.3)
    assert (decided["promoted"], s3_home.alias("champion")) == (True, "1"), decided["reason"]
    scored = score(dataset=s3_home.cut(2))
    assert scored["rows"] > 0

    assert dataset.uri.startswith(f"{SNAPSHOTS}/products/week=01/")
    assert sorted(name.rsplit("/", 1)[-1].rsplit(".", 1)[-1] for name in stored("snapshots/products/week=01/")) == [
        "html",
        "json",
        "parquet",
    ]
    assert not [name for name in stored("") if name.endswith(".partial")]
    assert runs.read_dataset(s3_home.client, trained["run_id"], [ARTIFACTS]) == dataset
    version = registry.get_version(s3_home.client, "products", "1")
    assert len(runs.read_reference(s3_home.client, version, [ARTIFACTS])) == version.dataset.test.rows
    assert not (tmp_path / "mlartifacts").exists()
    assert list(passing.iterdir()) == []


def test_a_store_that_is_away_is_one_message_of_cause_and_remedy(
    s3_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3_home.cut(1)
    for name in ("AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    with pytest.raises(SnapshotStoreUnusable, match=r"does not answer.*Start it, or look at"):
        training_pipeline(week=1, max_features=100, auto_promote_threshold=None)
    said = r"keeps its files at s3://store/artifacts.*does not answer.*Start it, or look at"
    with (
        pytest.raises(ArtifactStoreAway, match=said),
        runs._run(s3_home.client, "products", "a run", {}) as run_id,
    ):
        s3_home.client.log_text(run_id, "text", "file.txt")
    assert s3_home.client.get_run(run_id).info.status == "FAILED"
    with pytest.raises(ArtifactStoreAway, match=said):
        runs.read_dataset(s3_home.client, run_id, [ARTIFACTS])
