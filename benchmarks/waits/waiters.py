"""The processes that wait: Airflow's real triggerer with a trigger a run, or Prefect's own waiting."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.waits.report import GO_SUFFIX
from stack.services import AIRFLOW, ML
from stack.settings import CHECKOUT

CAPACITY = 6000
START_SECONDS = 600
LOOK_SECONDS = 0.2
"""Between two looks at the file in which the waiters say how many wait, before anything is measured."""


@dataclass
class Waiters:
    """What the waiting process has reported so far."""

    report: Path
    _read: int = 0
    fired: dict[str, float] = field(default_factory=dict)
    requests: int = 0
    waiting: int = 0
    pid: int | None = None

    def look(self) -> None:
        """Read on in the report."""
        if not self.report.exists():
            return
        with self.report.open() as file:
            file.seek(self._read)
            for line in iter(file.readline, ""):
                if not line.endswith("\n"):
                    break
                self._read += len(line)
                sample = json.loads(line)
                self.fired |= sample["fired"]
                self.pid, self.requests, self.waiting = sample["pid"], sample["requests"], sample["waiting"]

    def await_all(self, count: int) -> None:
        """Return once so many wait; raises RuntimeError when they do not."""
        deadline = time.monotonic() + START_SECONDS
        while self.waiting < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.waiting} of {count} waits have begun; see the logs in {self.report.parent}")
            time.sleep(LOOK_SECONDS)
            self.look()

    def go(self) -> None:
        """The driving begins now."""
        self.report.with_suffix(GO_SUFFIX).write_text(str(time.time()))

    @property
    def process(self) -> psutil.Process:
        return psutil.Process(self.pid)


@contextmanager
def triggerer(home: Path, api_url: str, triggers: list[dict[str, Any]], **extra: str) -> Iterator[Waiters]:
    """`airflow triggerer` with these triggers in its metadata database (SQLite)."""
    waiters = Waiters(home / "report.jsonl")
    file = home / "triggers.json"
    file.write_text(json.dumps(triggers))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps({"conn_type": "prefect", "host": api_url}),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).with_name("dags")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
        "AIRFLOW__TRIGGERER__MAX_TRIGGER_TO_SELECT_PER_LOOP": str(CAPACITY),
        "BENCH_REPORT": str(waiters.report),
        "DO_NOT_TRACK": "1",
        **extra,
    }
    seeding = [str(AIRFLOW / "python"), "-m", "benchmarks.waits.airflow_rows", str(file)]
    command = [str(AIRFLOW / "airflow"), "triggerer", "--capacity", str(CAPACITY), "--skip-serve-logs"]
    with (home / "triggerer.log").open("wb") as log:
        subprocess.run(seeding, check=True, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)
        yield from _running(command, environment, log, waiters)


@contextmanager
def prefects_own(home: Path, api_url: str, flow_run_ids: list[str]) -> Iterator[Waiters]:
    """A process that waits as `run_deployment` does."""
    waiters = Waiters(home / "report.jsonl")
    file = home / "flow_runs.json"
    file.write_text(json.dumps(flow_run_ids))
    environment = {
        **os.environ,
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": api_url,
        "BENCH_REPORT": str(waiters.report),
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }
    command = [str(ML / "python"), "-m", "benchmarks.waits.prefect_waiters", str(file)]
    with (home / "waiters.log").open("wb") as log:
        yield from _running(command, environment, log, waiters)


def _running(command: list[str], environment: dict[str, str], log: Any, waiters: Waiters) -> Iterator[Waiters]:
    process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log, start_new_session=True)
    try:
        yield waiters
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
