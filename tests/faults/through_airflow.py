"""Fault runs through a real Airflow: `python -m tests.faults.through_airflow --count 20`.

Owns one plan while it is played: kills and stops task workers, kills the triggerer, Prefect's server and the process
that serves flows, and brings the services up again; acts as people do. Seeds run one after another, so that a seed's
death is its own. Judged as the runs of the bridge alone are.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from bridge.contracts import RESULT_ARTIFACT_KEY
from bridge.verdict import LIVE_TYPES
from tests.faults.airflow_place import RETRIES, Place, place
from tests.faults.airflow_plan import HELD, AirflowPlan, make_airflow_plan
from tests.faults.judgement import Finding, TaskHistory, judge_run, run_history
from tests.faults.run import end_orderly_on_sigterm, read_done, summarise, tell, write_done
from tests.faults.scenario import Outcome
from tests.live_prefect import wait_until

PATIENCE_SECONDS = 300
REST_SECONDS = 40
"""After the task's end, until its run has ended as well: a cancellation takes the serving process some seconds."""
LOOK_SECONDS = 0.2
ENDED = {"success", "failed", "skipped", "up_for_retry"}
"""States of a task whose try is over."""
TRIGGERER_SECONDS = 3.0


class AirflowScenario:
    """One plan while it is played."""

    def __init__(self, plan: AirflowPlan, where: Place) -> None:
        self.plan = plan
        self.where = where
        self.tag = f"airflow-{plan.seed}-{uuid4().hex[:8]}"
        self.go = where.folder / self.tag
        self.dag_id = f"faults_{plan.mode}"
        self.story: list[str] = []
        self._began = time.monotonic()
        self._first_request = len(where.proxy.log)
        self._acted_at: datetime | None = None
        self._triggered_at: float | None = None

    def play(self) -> list[Finding]:
        """From the DAG run's start to the verdict."""
        self._start()
        self._strike()
        self._until_the_end()
        self._settle()
        findings = self._judge()
        self.go.touch()  # for a run that nobody waits for
        return findings

    def account(self, findings: list[Finding]) -> str:
        """Plan, events, and what went through the network meanwhile."""
        requests = self.where.proxy.log[self._first_request :]
        parts = [f"seed {self.plan.seed} ({self.tag})", *findings, self.plan, *self.story, *requests]
        return "\n  ".join(str(part) for part in parts)

    def _tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.1f} {what}")

    def _start(self) -> None:
        parameters = {HELD: {"path": str(self.go)}, "fail-once/t": {"path": f"{self.go}-failed"}}
        conf = {
            "deployment": self.plan.deployment,
            "parameters": parameters.get(self.plan.deployment, {}),
            "tag": self.tag,
        }
        body = {"logical_date": None, "dag_run_id": self.tag, "conf": conf}
        self.where.airflow.request("POST", f"/dags/{self.dag_id}/dagRuns", body)

    @property
    def _path(self) -> str:
        return f"/dags/{self.dag_id}/dagRuns/{self.tag}/taskInstances/run"

    def _task(self) -> dict[str, Any]:
        return dict(self.where.airflow.request("GET", self._path))

    def _row(self) -> tuple[str | None, int | None]:
        """State and process of the task, past the REST API."""
        [found] = self.where.airflow.rows("SELECT state, pid FROM task_instance WHERE run_id = ?", self.tag)
        return found

    def _runs(self) -> list[dict[str, Any]]:
        wanted = {"flow_runs": {"tags": {"all_": [self.tag]}}}
        return sorted(self._ask("POST", "/flow_runs/filter", wanted), key=lambda run: str(run["created"]))

    def _ask(self, method: str, path: str, json: Any = None) -> Any:
        while True:
            try:
                return self.where.prefect.request(method, path, json)
            except httpx.TransportError:
                time.sleep(LOOK_SECONDS)

    def _strike(self) -> None:
        """When its moment has come: the death, or the person's act."""
        has_come = {"at work": self._works, "waiting": self._waits, "over": self._is_over}[self.plan.phase]
        wait_until(has_come, f"the task is {self.plan.phase}", PATIENCE_SECONDS)
        if self.plan.act is not None and self.plan.mode == "deferred":
            wait_until(self._is_triggered, "a triggerer has the trigger, or had it", PATIENCE_SECONDS)
        time.sleep(self.plan.seconds)
        self._tell(f"the task is {self._row()[0]}: {self.plan.victim or 'a person'} {self.plan.act or 'is killed'}")
        if self.plan.act is not None:
            self._act()
        elif self.plan.stall_seconds is not None:
            self._stall_worker(self.plan.stall_seconds)
        elif self.plan.victim == "worker":
            self._kill_worker()
        elif self.plan.victim == "triggerer":
            self.where.airflow.kill_service("triggerer")
            self.where.airflow.start_service("triggerer")
        elif self.plan.victim == "Prefect's server":
            self.where.prefect.kill()
            self.where.prefect.start()
        else:
            self.where.runner.kill()
            self.where.runner.start()
        self._tell("it goes on")

    def _works(self) -> bool:
        state, pid = self._row()
        return state not in {None, "scheduled", "queued"} and pid is not None

    def _waits(self) -> bool:
        state, _ = self._row()
        return state in ENDED or (state in {"running", "deferred"} and bool(self._runs()))

    def _is_over(self) -> bool:
        [(state,)] = self.where.airflow.rows("SELECT state FROM dag_run WHERE run_id = ?", self.tag)
        return state in {"success", "failed"}

    def _is_triggered(self) -> bool:
        """Before, Airflow tells nobody that a person has ended the task; a triggerer looks every second."""
        if self._row()[0] in ENDED:
            return True
        assigned = (
            "SELECT 1 FROM task_instance JOIN trigger ON trigger.id = task_instance.trigger_id"
            " WHERE run_id = ? AND triggerer_id IS NOT NULL"
        )
        if not self.where.airflow.rows(assigned, self.tag):
            return False
        self._triggered_at = self._triggered_at or time.monotonic()
        return time.monotonic() > self._triggered_at + TRIGGERER_SECONDS

    def _kill_worker(self) -> None:
        state, pid = self._row()
        if state == "running" and pid is not None:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                self._tell("it had just ended")

    def _stall_worker(self, seconds: float) -> None:
        """The task's process and its supervisor stand still, as on a machine that is swapped out."""
        state, pid = self._row()
        if state != "running" or pid is None:
            self._tell("no worker is there to be stopped")
            return
        still = [pid, *_parent_of(pid)]
        for each in still:
            os.kill(each, signal.SIGSTOP)
        try:
            self._tell(f"processes {still} stand still")
            self._follow_for(seconds)
        finally:
            for each in reversed(still):
                os.kill(each, signal.SIGCONT)

    def _follow_for(self, seconds: float) -> None:
        until, seen = time.monotonic() + seconds, None
        while time.monotonic() < until:
            state, pid = self._row()
            if (state, pid) != seen:
                self._tell(f"the task is {state}, process {pid}")
                seen = (state, pid)
            time.sleep(LOOK_SECONDS)

    def _act(self) -> None:
        if self.plan.retries is not None:
            self.where.set_retries(self.plan.retries)
        if self.plan.away_seconds:
            self.where.proxy.leave()
            self._tell("Prefect is out of reach")
        self._act_now()
        if self.plan.away_seconds:
            time.sleep(self.plan.away_seconds)
            self.where.proxy.come_back()
        if self.plan.retries is not None:
            self._work_on()
            self.where.set_retries(RETRIES)

    def _work_on(self) -> None:
        """Until the edited DAG has served its try."""
        wait_until(lambda: not self._is_over(), "the DAG run goes on", PATIENCE_SECONDS)
        wait_until(self._is_over, "the DAG run has ended again", PATIENCE_SECONDS)

    def _act_now(self) -> None:
        self._acted_at = datetime.now(UTC)
        if self.plan.act == "fail":
            self.where.airflow.request("PATCH", self._path, {"new_state": "failed"})
            return
        again = {"dry_run": False, "task_ids": ["run"], "dag_run_id": self.tag, "only_failed": False}
        self.where.airflow.request("POST", f"/dags/{self.dag_id}/clearTaskInstances", again)

    def _until_the_end(self) -> None:
        released = time.monotonic() + (self.plan.hold_seconds or float("inf"))
        deadline = time.monotonic() + PATIENCE_SECONDS
        seen = None
        while time.monotonic() < deadline:
            state, _ = self._row()
            if state != seen:
                self._tell(f"the task is {state}")
                seen = state
            if state in {"success", "failed", "skipped"}:
                return
            if time.monotonic() > released:
                self.go.touch()
            time.sleep(LOOK_SECONDS)

    def _settle(self) -> None:
        """A task that does not wait leaves its run, which is let go in the end."""
        deadline = time.monotonic() + REST_SECONDS
        while time.monotonic() < deadline and self._left():
            time.sleep(LOOK_SECONDS)

    def _left(self) -> list[dict[str, Any]]:
        runs = self._runs() if self.plan.mode != "unwaited" else self._runs()[:-1]
        return [run for run in runs if run["state_type"] in LIVE_TYPES - {"CANCELLING"}]

    def _judge(self) -> list[Finding]:
        runs = [
            run_history(
                run,
                sorted(
                    self._ask("GET", f"/flow_run_states/?flow_run_id={run['id']}"), key=lambda each: each["timestamp"]
                ),
                self._result(run["id"]),
            )
            for run in self._runs()
        ]
        task = self._task()
        results = self.where.airflow.rows("SELECT value FROM xcom WHERE run_id = ? AND key = 'return_value'", self.tag)
        history = TaskHistory(
            state=task["state"],
            xcom=_decoded(results[0][0]) if results else None,
            attempts_left=task["try_number"] <= task["max_tries"],
            set_by_hand="failed" if self.plan.act == "fail" else None,
            asked_afresh_at=(self._acted_at,) if self._acted_at is not None and self.plan.act == "clear" else (),
            waits=self.plan.mode != "unwaited",
            # away for long enough, a run passes its deadline
            has_deadlines=self.plan.victim in {"Prefect's server", "Prefect's runner"},
        )
        return judge_run(history, runs)

    def _result(self, flow_run_id: str) -> Any:
        wanted = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [RESULT_ARTIFACT_KEY]}}}
        found = self._ask("POST", "/artifacts/filter", wanted)
        return _decoded(found[0]["data"]) if found else None


def _parent_of(pid: int) -> list[int]:
    """The supervisor of a task's process; nothing where that has just ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return []
    return [int(status.rpartition(")")[2].split()[1])]


def _decoded(value: Any) -> Any:
    """Airflow stores JSON as text in a column of JSON, Prefect's artifacts hold it as text."""
    while isinstance(value, str):
        value = json.loads(value)
    return value


def main(arguments: list[str] | None = None) -> int:
    """Run the seeds asked for; 0 when none of them found anything."""
    parser = argparse.ArgumentParser(prog="tests.faults.through_airflow", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, help="one seed, with everything that happened")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=20, help="how many seeds")
    parser.add_argument("--resume", type=Path, help="file of the seeds that are done; they are not played again")
    asked = parser.parse_args(arguments)
    end_orderly_on_sigterm()
    wanted = [asked.seed] if asked.seed is not None else list(range(asked.start, asked.start + asked.count))
    found = read_done(asked.resume)
    left = [seed for seed in wanted if seed not in found]
    began = time.monotonic()
    if left:
        with tempfile.TemporaryDirectory(prefix="faults-") as folder, place(Path(folder)) as where:
            for seed in left:
                started = time.monotonic()
                scenario = AirflowScenario(make_airflow_plan(seed), where)
                findings = scenario.play()
                seconds = time.monotonic() - started
                outcome = Outcome(seed, tuple(findings), seconds, scenario.account(findings))
                tell(outcome, verbose=asked.seed is not None)
                found[seed] = [finding.count for finding in findings]
                write_done(asked.resume, outcome)
    return summarise("tests.faults.through_airflow", {seed: found[seed] for seed in wanted}, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
