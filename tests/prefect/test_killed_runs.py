"""MLflow runs whose process was killed are ended by the next; those that somebody may still write are not."""

from __future__ import annotations

import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from flows.adapters import killed_runs, runs
from flows.adapters.killed_runs import API_TAG, FLOW_RUN_TAG, PROCESS_TAG, REASON_TAG, end_killed, who_writes
from flows.adapters.registry import experiment_id
from flows.pipeline_flow import training_pipeline
from tests.live_prefect import wait_until

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect


def train_and_stop_while_it_writes() -> None:
    def stop(*_: object) -> None:
        print("writing", flush=True)
        time.sleep(600)

    runs._log_model = stop  # type: ignore[assignment]
    training_pipeline(week=1, max_features=100, auto_promote_threshold=None)


def status(home: Home, run_id: str) -> str:
    return str(home.client.get_run(run_id).info.status)


def experiment(home: Home) -> str:
    return experiment_id(home.client, "products")


def begun(home: Home, **tags: str) -> str:
    """A run that says RUNNING, with these tags."""
    return str(home.client.create_run(experiment(home), tags=tags).info.run_id)


def test_a_training_that_was_killed_is_ended_by_the_next(
    home: Home, forked: Callable[..., BaseProcess], tmp_path: Path
) -> None:
    home.cut(1)
    log = tmp_path / "killed.log"
    log.touch()
    process = forked(train_and_stop_while_it_writes, log)
    wait_until(lambda: "writing" in log.read_text() or not process.is_alive(), "the training writes")
    assert process.is_alive(), log.read_text()[-3000:]
    (left,) = home.client.search_runs([experiment(home)], "attributes.status = 'RUNNING'")

    assert end_killed(home.client, experiment(home)) == {}
    assert status(home, left.info.run_id) == "RUNNING"  # it lives

    process.kill()
    process.join()
    next_one = training_pipeline(week=1, max_features=100, auto_promote_threshold=None)
    assert (status(home, left.info.run_id), status(home, next_one["run_id"])) == ("KILLED", "FINISHED")
    assert home.client.get_run(left.info.run_id).data.tags[REASON_TAG] == "its process is gone"


def test_of_another_machines_run_prefect_knows_whether_it_is_over(home: Home, prefect: Prefect) -> None:
    elsewhere = {PROCESS_TAG: "another/1/2.00"}
    lives, over = (
        prefect.post("flow_runs/", {"flow_id": _flow_id(prefect), "state": {"type": kind}})["id"]
        for kind in ("RUNNING", "CRASHED")
    )
    ours = {**elsewhere, API_TAG: prefect.api}
    living = begun(home, **ours, **{FLOW_RUN_TAG: lives})
    crashed = begun(home, **ours, **{FLOW_RUN_TAG: over})
    of_before = begun(home, **{killed_runs.PAGE_TAG: f"http://prefect.test/runs/flow-run/{over}"})
    gone = begun(home, **ours, **{FLOW_RUN_TAG: str(uuid4())})
    anothers = begun(home, **elsewhere, **{API_TAG: "http://another/api", FLOW_RUN_TAG: str(uuid4())})
    by_hand = begun(home)
    ended = end_killed(home.client, experiment(home))
    assert set(ended) == {crashed, of_before, gone}
    assert "is CRASHED" in ended[crashed]
    assert "is gone" in ended[gone]
    assert [status(home, each) for each in (living, anothers, by_hand)] == ["RUNNING"] * 3
    assert [status(home, each) for each in (crashed, of_before, gone)] == ["KILLED"] * 3


def test_a_process_that_lives_is_believed_whatever_prefect_says(home: Home, prefect: Prefect) -> None:
    over = prefect.post("flow_runs/", {"flow_id": _flow_id(prefect), "state": {"type": "CRASHED"}})["id"]
    mine = begun(home, **{**who_writes(), FLOW_RUN_TAG: over})
    assert end_killed(home.client, experiment(home)) == {}
    assert status(home, mine) == "RUNNING"


def test_a_process_id_that_was_given_to_another_is_not_the_process(home: Home) -> None:
    machine, number, _ = who_writes()[PROCESS_TAG].split("/")
    left = begun(home, **{PROCESS_TAG: f"{machine}/{number}/1.00"})
    assert end_killed(home.client, experiment(home)) == {left: "its process is gone"}


def test_a_look_at_drift_that_fails_while_it_is_written_has_failed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    class Watched:
        model, number = "products", "1"

    def fail(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(runs, "_log_numbers", fail)
    given: dict[str, Any] = {"metrics": {}, "tags": {}, "report": "", "chart": None}
    with pytest.raises(ConnectionError):
        runs.log_monitoring(home.client, "products", watched=Watched(), **given)  # type: ignore[arg-type]
    (run,) = home.client.search_runs([experiment(home)])
    assert run.info.status == "FAILED"


def _flow_id(prefect: Prefect) -> str:
    return str(prefect.post("flows/", {"name": "other"})["id"])
