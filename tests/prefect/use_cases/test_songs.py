"""A file of songs through the real flows: five models side by side, one of which fails and leaves the others alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from distributed import LocalCluster
from prefect.exceptions import FailedRun
from pytest_httpserver import HTTPServer
from sqlalchemy import text
from werkzeug import Request, Response

from bridge.notifications.message import Level
from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.contracts import ModelsResult
from factory.settings import SettingsError
from factory.sources import simulated_songs
from flows.all_models import VARIABLE, runner_of
from flows.songs import ml_training_pipeline

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

NAMES = tuple(model.name for model in use_cases.get("songs").models)
QUICK = """
[songs.models.songs-genre]
candidates = ["logistic-table"]
[songs.models.songs-genre.gate]
floor = 0.1
[songs.models.songs-energy]
candidates = ["ridge-table"]
[songs.models.songs-popularity]
candidates = ["ridge-table"]
[songs.models.songs-similar]
candidates = ["cosine-tree"]
"""
ROWS = 500


@pytest.fixture
def tracks(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of songs all of which are as popular: nothing can be learnt of that."""
    settings = tmp_path / "quick.toml"
    settings.write_text(QUICK)
    monkeypatch.setenv("USE_CASE_SETTINGS", str(settings))
    file = tmp_path / "tracks.csv"
    simulated_songs.read("songs").head(ROWS).assign(popularity="50").to_csv(file, index=False)
    return file


@pytest.fixture
def heard(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a local sink in Discord's place was told."""
    embeds: list[dict[str, Any]] = []

    def answer(request: Request) -> Response:
        embeds.extend((request.get_json() or {})["embeds"])
        return Response(status=204)

    httpserver.expect_request("/webhook").respond_with_handler(answer)
    monkeypatch.setenv("DISCORD_WEBHOOK_URL", httpserver.url_for("/webhook"))
    return embeds


@pytest.mark.usefixtures("known_costs")
def test_one_model_fails_and_four_are_promoted_by_their_own_gates(
    home: Home, tracks: Path, heard: list[dict[str, Any]], prefect: Prefect
) -> None:
    result = ModelsResult.model_validate(
        ml_training_pipeline(csv_path=str(tracks), table_name="tracks_of_ours", n_clusters=3)
    )

    run = prefect.last_run("ml-training-pipeline")
    assert result.models == NAMES
    assert set(result.failed) == {"songs-popularity"}
    assert "have the value 50: there is nothing to explain" in result.failed["songs-popularity"]
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "PartialSuccess")
    assert run["state"]["message"] == "; ".join(result.reservations())

    champions = {
        name: home.client.get_model_version_by_alias(name, "champion") for name in set(NAMES) - {"songs-popularity"}
    }
    assert {name: version.version for name, version in champions.items()} == dict.fromkeys(champions, 1)
    assert home.client.get_run(champions["songs-clusters"].run_id).data.metrics["clusters"] == 3

    (embed,) = heard
    assert embed["color"] == Level.WARNING.value
    assert "songs-popularity failed in training: NoCandidateError: every candidate failed" in embed["description"]
    assert held(home, "tracks_of_ours") == held(home, "songs") == pd.read_csv(tracks)["track_id"].nunique()


@pytest.mark.usefixtures("home")
def test_on_a_dask_cluster_all_models_failing_is_a_failure_that_names_each(
    tracks: Path, heard: list[dict[str, Any]], prefect: Prefect, monkeypatch: pytest.MonkeyPatch
) -> None:
    songs = pd.read_csv(tracks)
    songs.head(40).assign(artists=["Ka", "Ro"] * 20).to_csv(tracks, index=False)

    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        monkeypatch.setenv(VARIABLE, cluster.scheduler_address)
        with pytest.raises(FailedRun, match="no model got through"):
            ml_training_pipeline(csv_path=str(tracks))

    run = prefect.last_run("ml-training-pipeline")
    assert run["state_type"] == "FAILED"
    assert all(f"{name} failed in training: " in run["state"]["message"] for name in NAMES)
    assert len(heard) == 1


@pytest.mark.parametrize("named", ["fibres", "http://127.0.0.1:8786"])
def test_a_place_to_train_in_that_is_not_known_is_named(named: str) -> None:
    with pytest.raises(SettingsError, match=r"MODELS_RUN_IN=.*write threads, processes, or the address"):
        runner_of({VARIABLE: named})


def held(home: Home, table: str) -> int:
    """How many rows the catalogue's table has."""
    with open_catalogue(home.settings.database_url).connect() as connection:
        return int(connection.scalar(text(f"select count(*) from {table}")))  # noqa: S608 - names of this file
