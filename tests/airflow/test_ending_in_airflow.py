"""How a task's end ends its run, in a real Airflow: who cancels, and who leaves alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.live_airflow import LiveAirflow
from tests.live_prefect import LivePrefect, wait_until

PATIENCE_SECONDS = 240
CANCELLED = {"CANCELLING", "CANCELLED"}

both_ways = pytest.mark.parametrize("mode", ["deferred", "blocking"])


@pytest.fixture(scope="module")
def airflow(live: LiveAirflow) -> LiveAirflow:
    wait_until(lambda: live.rows("SELECT 1 FROM dag WHERE dag_id = 'hold_blocking'"), "the DAGs are known")
    return live


@dataclass
class Held:
    """A task of a real Airflow and the flow runs that it started."""

    airflow: LiveAirflow
    prefect: LivePrefect
    mode: str
    go: Path
    tag: str
    run_id: str

    @property
    def path(self) -> str:
        return f"/dags/hold_{self.mode}/dagRuns/{self.run_id}/taskInstances/run"

    @property
    def task(self) -> dict[str, Any]:
        return dict(self.airflow.request("GET", self.path))

    @property
    def flow_runs(self) -> list[dict[str, Any]]:
        """Oldest first."""
        wanted = {"flow_runs": {"tags": {"all_": [self.tag]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return list(self.prefect.request("POST", "/flow_runs/filter", wanted))

    @property
    def states(self) -> list[str]:
        return [run["state_type"] for run in self.flow_runs]

    def until_it_waits(self, tries: int = 1) -> None:
        """Its newest flow run runs, and the task waits for it."""
        waits = "deferred" if self.mode == "deferred" else "running"
        wait_until(
            lambda: (self.task["try_number"], self.task["state"]) == (tries, waits) and self.states[-1:] == ["RUNNING"],
            f"try {tries} waits for its run",
            PATIENCE_SECONDS,
        )

    def until(self, state: str) -> None:
        wait_until(
            lambda: self.task["state"] == state, f"the task is {state}, not {self.task['state']}", PATIENCE_SECONDS
        )

    def until_the_dag_run_has_ended(self) -> None:
        """Airflow's scheduler overlooks a task that is cleared in the moment in which its DAG run ends."""
        ended = "SELECT 1 FROM dag_run WHERE run_id = ? AND state = 'success'"
        wait_until(lambda: self.airflow.rows(ended, self.run_id), "the DAG run has ended", PATIENCE_SECONDS)

    def until_cancelled(self, number: int) -> None:
        wait_until(lambda: self.states[number] in CANCELLED, f"flow run {number} is cancelled", PATIENCE_SECONDS)


@pytest.fixture
def held(airflow: LiveAirflow, prefect: LivePrefect, tmp_path: Path, mode: str) -> Iterator[Held]:
    """A task that waits for its flow run."""
    tag = uuid4().hex
    conf = {"path": str(tmp_path / "go"), "tag": tag}
    started = airflow.request("POST", f"/dags/hold_{mode}/dagRuns", {"logical_date": None, "conf": conf})
    holding = Held(airflow, prefect, mode, tmp_path / "go", tag, started["dag_run_id"])
    holding.until_it_waits()
    yield holding
    holding.go.touch()


@both_ways
def test_a_task_that_a_person_fails_cancels_its_run(held: Held) -> None:
    held.airflow.request("PATCH", held.path, {"new_state": "failed"})
    held.until_cancelled(0)
    assert len(held.flow_runs) == 1


@both_ways
def test_a_task_that_is_cleared_while_it_waits_cancels_its_run_and_starts_a_fresh_one(held: Held) -> None:
    again = {"dry_run": False, "task_ids": ["run"], "dag_run_id": held.run_id, "only_failed": False}
    held.airflow.request("POST", f"/dags/hold_{held.mode}/clearTaskInstances", again)
    wait_until(lambda: len(held.flow_runs) == 2, "a fresh run is there", PATIENCE_SECONDS)
    held.until_cancelled(0)
    held.go.touch()
    held.until("success")
    assert len(held.flow_runs) == 2
    assert held.states[1] == "COMPLETED"
    held.until_the_dag_run_has_ended()
    held.airflow.request("POST", f"/dags/hold_{held.mode}/clearTaskInstances", again)
    wait_until(lambda: len(held.flow_runs) == 3, "a cleared success starts a fresh run as well", PATIENCE_SECONDS)
    held.until("success")
    assert held.states[2] == "COMPLETED"


@pytest.mark.parametrize("mode", ["blocking"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_is_stopped_or_dies_leaves_its_run_to_the_retry(held: Held, how: signal.Signals) -> None:
    [(pid,)] = held.airflow.rows("SELECT pid FROM task_instance WHERE run_id = ?", held.run_id)
    os.kill(pid, how)
    held.until_it_waits(tries=2)
    held.go.touch()
    held.until("success")
    assert held.states == ["COMPLETED"]


@pytest.mark.parametrize("mode", ["deferred"])
@pytest.mark.parametrize("how", ["lost", "restarted"])
def test_a_triggerer_that_goes_away_cancels_nothing_and_loses_nothing(held: Held, how: str) -> None:
    if how == "lost":
        held.airflow.kill_service("triggerer")
    else:
        held.airflow.stop_service("triggerer")
    assert held.states == ["RUNNING"]
    held.go.touch()
    wait_until(lambda: held.states == ["COMPLETED"], "the flow has ended while nobody looked", PATIENCE_SECONDS)
    held.airflow.start_service("triggerer")
    held.until("success")
    assert held.task["try_number"] == 1
    assert held.states == ["COMPLETED"]
