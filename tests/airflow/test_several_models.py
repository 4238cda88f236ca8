"""Several models of one use case in one run: what one fails at leaves the others alone, and is told in yellow."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bridge.in_airflow.notifier import BridgeNotifier
from bridge.notifications.message import Level
from bridge.testing import Course, FakePrefect
from factory import contracts
from plugins.control_page.airflow_reader import failed_models
from tests.airflow.test_approval_in_airflow import SKIPPED, TRAINED, WATCHED
from tests.decision import DECISION

pytest_plugins = ["bridge.testing.fixtures"]

NAMES = ["songs-genre", "songs-energy", "songs-alike"]
WHY = "no space left"


def of(result: Any, parameters: dict[str, Any]) -> Any:
    return result.model_copy(update={"use_case": "songs", "model": parameters["model"]})


def trained(parameters: dict[str, Any]) -> Any:
    number = str(NAMES.index(parameters["model"]) + 1)
    return of(TRAINED.model_copy(update={"model_version": number}), parameters)


@pytest.fixture
def songs(fake_prefect: FakePrefect) -> FakePrefect:
    """The deployments of a use case with three models, all of which get through."""
    for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor):
        fake_prefect.deployment(build("songs"))
    skipped = {"state_name": "Skipped", "message": SKIPPED.reason}
    fake_prefect.on_run("score/songs", lambda given: Course(**skipped, result=of(SKIPPED, given)))
    fake_prefect.on_run("training-pipeline/songs", trained)
    fake_prefect.on_run("promotion/songs", lambda given: of(DECISION, given))
    fake_prefect.on_run("monitor-and-retrain/songs", lambda given: of(WATCHED, given))
    return fake_prefect


def message_of(played: Any) -> Any:
    """What the run's own message says."""
    from tests.airflow.dags.several_models import results

    ti = played.ti("outcome")
    context = {"ti": ti, "dag": SimpleNamespace(dag_id="several_models"), "run_id": ti.run_id}
    return BridgeNotifier(results=results).compose(context)


def test_each_model_is_trained_and_its_own_version_judged(play: Any, songs: FakePrefect) -> None:
    played = play("several_models", keep_callbacks=True)

    assert played.dag_run.state == "success"
    assert played.xcom("outcome")["failed"] == {}
    judged = {run.parameters["model"]: run.parameters["model_version"] for run in songs.runs("promotion/songs")}
    assert judged == dict(zip(NAMES, "123", strict=True))
    assert {run.parameters["as_of"] for run in songs.runs("monitor-and-retrain/songs")} == {"2026-01-05T00:00:00Z"}
    told = message_of(played)
    assert told.level is Level.SUCCESS
    assert told.facts["Models"] == "3 of 3"
    assert {f"Challenger ({name})" for name in NAMES} <= told.facts.keys()


def test_one_model_that_fails_leaves_the_others_alone_and_is_told(play: Any, songs: FakePrefect) -> None:
    def energy_fails(given: dict[str, Any]) -> Any:
        return Course("FAILED", message=WHY) if given["model"] == "songs-energy" else trained(given)

    songs.on_run("training-pipeline/songs", energy_fails)
    played = play("several_models", keep_callbacks=True)

    assert played.dag_run.state == "success"
    assert {run.parameters["model"] for run in songs.runs("promotion/songs")} == {"songs-genre", "songs-alike"}
    told = message_of(played)
    assert told.level is Level.WARNING
    assert told.facts["Models"] == "2 of 3"
    (said,) = [sentence for sentence in told.sentences if "songs-energy failed" in sentence]
    assert said.startswith("songs-energy failed in train: ")
    assert WHY in said
    failed = failed_models(played.dag_run.dag_id, played.dag_run.run_id)
    assert list(failed) == ["songs-energy"], "the page names it, too"
    assert WHY in failed["songs-energy"]


def test_a_run_none_of_whose_models_got_through_fails(play: Any, songs: FakePrefect) -> None:
    songs.on_run("training-pipeline/songs", Course("FAILED", message=WHY))
    played = play("several_models", keep_callbacks=True)

    assert played.dag_run.state == "failed"
    assert played.state("outcome") == "failed"
    assert not songs.runs("promotion/songs")
