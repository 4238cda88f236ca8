"""Whose run it is, in a real Airflow: what people do to tasks, DAG runs and DAG files moves no run to anybody else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest

from tests.contract.fronts import Switch
from tests.live_airflow import LiveAirflow
from tests.live_prefect import LivePrefect, wait_until

PATIENCE_SECONDS = 180
GOING = {"CANCELLING", "CANCELLED"}

DAG_FILE = """
from datetime import timedelta
from airflow.sdk import DAG
from bridge.in_airflow.operators import RunPrefectDeployment

with DAG(dag_id="{dag_id}", schedule=None):
    RunPrefectDeployment(
        task_id="run",
        deployment="{deployment}",
        parameters={parameters},
        tags=["{tag}"],
        wait={wait},
        deferrable={deferrable},
        retries={retries},
        retry_delay=timedelta(0),
    )
    if {keeps_open}:
        RunPrefectDeployment(
            task_id="goes_on", deployment="hold/t", parameters={{"path": "{path}"}}, tags=["{tag}-other"]
        )
"""


@dataclass
class Case:
    """A DAG of its own, whose task `run` starts flow runs while `goes_on` keeps its DAG run open."""

    airflow: LiveAirflow
    prefect: LivePrefect
    folder: Path
    dag_id: str
    run_id: str = ""
    deployment: str = "hold/t"
    retries: int = 1
    wait: bool = True
    deferrable: bool = True
    keeps_open: bool = True

    def write(self, **changes: Any) -> None:
        """Write the DAG's file, and wait until Airflow knows it so."""
        for name, value in changes.items():
            setattr(self, name, value)
        path = self.airflow.dags / f"{self.dag_id}.py"
        known = "SELECT count(*) FROM dag_version WHERE dag_id = ?"
        before = self.airflow.rows(known, self.dag_id)
        path.write_text(
            DAG_FILE.format(
                dag_id=self.dag_id,
                deployment=self.deployment,
                parameters={"path": str(self.folder / "go")} if self.deployment == "hold/t" else {"text": "hi"},
                tag=self.dag_id,
                wait=self.wait,
                deferrable=self.deferrable,
                retries=self.retries,
                path=self.folder / "go_on",
                keeps_open=self.keeps_open,
            )
        )
        wait_until(lambda: self.airflow.rows(known, self.dag_id) != before, "Airflow knows the DAG", PATIENCE_SECONDS)

    def start(self) -> None:
        started = self.airflow.request("POST", f"/dags/{self.dag_id}/dagRuns", {"logical_date": None})
        self.run_id = started["dag_run_id"]

    def clear(self) -> None:
        asked = {
            "dry_run": False,
            "task_ids": ["run"],
            "dag_run_id": self.run_id,
            "only_failed": False,
            "run_on_latest_version": True,
        }
        self.airflow.request("POST", f"/dags/{self.dag_id}/clearTaskInstances", asked)

    def fail(self) -> None:
        self.airflow.request("PATCH", self.path, {"new_state": "failed"})

    @property
    def path(self) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.run_id}/taskInstances/run"

    @property
    def task(self) -> dict[str, Any]:
        return dict(self.airflow.request("GET", self.path))

    @property
    def flow_runs(self) -> list[dict[str, Any]]:
        """Oldest first."""
        wanted = {"flow_runs": {"tags": {"all_": [self.dag_id]}}, "sort": "EXPECTED_START_TIME_ASC"}
        return list(self.prefect.request("POST", "/flow_runs/filter", wanted))

    @property
    def states(self) -> list[str]:
        return [run["state_type"] for run in self.flow_runs]

    def until(self, holds: Any, what: str) -> None:
        wait_until(holds, f"{what}; the task: {self.task['state']}, its runs: {self.states}", PATIENCE_SECONDS)

    def until_waiting(self, tries: int = 1) -> None:
        waits = "deferred" if self.deferrable else "running"
        self.until(
            lambda: (self.task["try_number"], self.task["state"], self.states[-1:]) == (tries, waits, ["RUNNING"]),
            f"try {tries} waits for its run",
        )

    def until_state(self, state: str) -> None:
        self.until(lambda: self.task["state"] == state, f"the task is {state}")

    def until_the_dag_run_has_ended(self) -> None:
        ended = "SELECT 1 FROM dag_run WHERE run_id = ? AND dag_id = ? AND state IN ('success', 'failed')"
        self.until(lambda: self.airflow.rows(ended, self.run_id, self.dag_id), "the DAG run has ended")


@pytest.fixture
def case(live: LiveAirflow, prefect: LivePrefect, front: Switch, tmp_path: Path) -> Iterator[Case]:
    made = Case(live, prefect, tmp_path, f"case_{uuid4().hex}")
    yield made
    front.turn_on()
    (tmp_path / "go").touch()
    (tmp_path / "go_on").touch()


def test_a_clear_after_the_dag_run_has_finished_ends_the_run_that_lives(case: Case) -> None:
    case.write(wait=False, keeps_open=False)
    case.start()
    case.until_the_dag_run_has_ended()
    case.until(lambda: case.states == ["RUNNING"], "the first run lives on")
    for number in (1, 2):
        case.clear()
        case.until(lambda n=number: len(case.states) == n + 1, "a fresh run is there")
        case.until(lambda n=number: set(case.states[:n]) <= GOING, "those before are cancelled")
        case.until_the_dag_run_has_ended()
    assert case.states[-1] not in GOING


def test_a_success_that_is_cleared_after_retries_was_lowered_starts_a_fresh_run(case: Case) -> None:
    case.write(deployment="echo/t", retries=2)
    case.start()
    case.until_state("success")
    case.write(retries=1)
    case.clear()
    case.until(lambda: case.states == ["COMPLETED", "COMPLETED"], "a fresh run is there")
    case.until_state("success")


@pytest.mark.parametrize("how", ["cleared", "retried"])
def test_a_dag_that_names_another_deployment_leaves_no_orphan(case: Case, how: str) -> None:
    case.write(deferrable=False, retries=1)
    case.start()
    case.until_waiting()
    case.write(deployment="echo/t")
    if how == "cleared":
        case.clear()
    else:
        [(pid,)] = case.airflow.rows("SELECT pid FROM task_instance WHERE dag_id = ? AND task_id = 'run'", case.dag_id)
        os.kill(pid, signal.SIGKILL)
    case.until_state("success")
    assert case.states[0] in GOING
    assert case.states[1:] == ["COMPLETED"]


def test_a_worker_that_is_stopped_beyond_its_heartbeat_and_wakes_up_leaves_its_successor_alone(case: Case) -> None:
    case.write(deferrable=False, retries=1)
    case.start()
    case.until_waiting()
    [(pid,)] = case.airflow.rows("SELECT pid FROM task_instance WHERE dag_id = ? AND task_id = 'run'", case.dag_id)
    task = psutil.Process(pid)
    stalled = [task, task.parent()]  # the task's process and its supervisor
    for process in stalled:
        process.send_signal(signal.SIGSTOP)
    case.until_waiting(tries=2)
    for process in stalled:
        process.send_signal(signal.SIGCONT)
    case.until(lambda: not task.is_running() or task.status() == psutil.STATUS_ZOMBIE, "the stalled one has ended")
    assert case.states == ["RUNNING"]
    (case.folder / "go").touch()
    case.until_state("success")
    assert case.states == ["COMPLETED"]


@pytest.mark.parametrize("deferrable", [True, False])
def test_a_person_who_fails_a_task_while_prefect_is_away_leaves_no_orphan(
    case: Case, front: Switch, deferrable: bool
) -> None:
    case.write(deferrable=deferrable)
    case.start()
    case.until_waiting()
    front.turn_off()
    case.fail()
    if deferrable:
        ended = "SELECT 1 FROM task_instance WHERE dag_id = ? AND task_id = 'run' AND trigger_id IS NULL"
        case.until(lambda: case.airflow.rows(ended, case.dag_id), "the trigger is no more")
    else:
        gone = "SELECT pid FROM task_instance WHERE dag_id = ? AND task_id = 'run'"
        [(pid,)] = case.airflow.rows(gone, case.dag_id)
        case.until(lambda: not psutil.pid_exists(pid), "the worker's process has ended")
    assert case.states == ["RUNNING"]
    front.turn_on()
    case.until(lambda: set(case.states) <= GOING, "the run is cancelled once Prefect answers")
    assert len(case.states) == 1
