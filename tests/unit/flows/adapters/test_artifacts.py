"""MLflow names where its artifacts lie; a place that is not its own is not fetched from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from factory.errors import AddressRefused
from flows.adapters import artifacts


def client(tracking_uri: str) -> Any:
    return SimpleNamespace(tracking_uri=tracking_uri)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What MLflow was asked for."""
    asked: list[str] = []

    def download(artifact_uri: str, **_: object) -> str:
        asked.append(artifact_uri)
        return "/here"

    monkeypatch.setattr("mlflow.artifacts.download_artifacts", download)
    return asked


@pytest.mark.parametrize(
    ("tracking", "place"),
    [
        ("http://mlflow:5000", "mlflow-artifacts:/1/run/artifacts/dataset.json"),
        ("http://me:word@mlflow:5000", "mlflow-artifacts://mlflow:5000/1/run/artifacts/dataset.json"),
        ("sqlite:////home/mlflow.sqlite", "/home/mlartifacts/dataset.json"),
        ("sqlite:////home/mlflow.sqlite", "file:///home/mlartifacts/dataset.json"),
        ("http://mlflow:5000", "s3://artifacts/1/dataset.json"),
    ],
)
def test_what_is_mlflows_own_or_below_a_root_is_fetched(tracking: str, place: str, fetched: list[str]) -> None:
    assert artifacts.fetch(client(tracking), place, ["s3://artifacts"]) == Path("/here")
    assert fetched == [place]


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/dataset.json",
        "/etc/dataset.json",
        "http://127.0.0.1:4200/api/dataset.json",
        "mlflow-artifacts://other:5000/1/dataset.json",
        "s3://others/dataset.json",
        "runs:/1/dataset.json",
        "models:/products/1",
        "dbfs:/dataset.json",
        "ftp://example.org/dataset.json",
    ],
)
def test_any_other_place_is_refused_by_name(place: str, fetched: list[str]) -> None:
    with pytest.raises(AddressRefused, match="DATA_ROOTS"):
        artifacts.fetch(client("http://mlflow:5000"), place, ["s3://artifacts"])
    assert fetched == []
