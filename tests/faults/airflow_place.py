"""Where the fault runs through Airflow take place: an Airflow, a Prefect, a process that serves flows, a network.

Owns their start and end, and what it takes to kill the process that serves.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.airflow_plan import HEARTBEAT_SECONDS, SharedNetwork
from tests.faults.proxy import FaultyProxy
from tests.live_airflow import LiveAirflow, live_airflow
from tests.live_prefect import CHECKOUT, ML_PYTHON, LivePrefect, wait_until

DAGS = Path(__file__).with_name("dags")
RETRIES = 2
FLOWS = CHECKOUT / "tests" / "contract" / "flows_for_tests.py"
FLOW_COUNT = 5
START_SECONDS = 300
IMPATIENT = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(int(HEARTBEAT_SECONDS)),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "2",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0",
    "AIRFLOW__CORE__MIN_SERIALIZED_DAG_FETCH_INTERVAL": "0",
}
"""So soon Airflow gives a silent worker up, and reads a DAG file that has changed."""


class Runner:
    """The process that serves the flows. Each flow has a process of its own, which outlives it."""

    def __init__(self, prefect: LivePrefect) -> None:
        self._prefect = prefect

    def start(self) -> None:
        began = datetime.now(UTC).isoformat()
        with (self._prefect.home / "serve.log").open("ab") as output:
            self._process = subprocess.Popen(
                [str(ML_PYTHON), str(FLOWS), "t"],
                env=self._prefect.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(lambda: self._serves(began), "the flows are served", START_SECONDS)

    def kill(self) -> None:
        """-9 for the process that serves, and for it alone."""
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(30)

    def _serves(self, since: str) -> bool:
        wanted = {"deployments": {"name": {"any_": ["t"]}}}
        found = self._prefect.request("POST", "/deployments/filter", wanted)
        return sum((each["last_polled"] or "") > since for each in found) == FLOW_COUNT


@dataclass
class Place:
    """Where the runs take place."""

    airflow: LiveAirflow
    prefect: LivePrefect
    runner: Runner
    proxy: FaultyProxy
    folder: Path

    def set_retries(self, retries: int) -> None:
        """Edit the DAG file, and wait until Airflow has read it."""
        versions = "SELECT count(*) FROM dag_version WHERE dag_id LIKE 'faults_%'"
        stamps = "SELECT max(last_parsed_time) FROM dag WHERE dag_id LIKE 'faults_%'"
        before = self.airflow.rows(versions), self.airflow.rows(stamps)
        file = self.airflow.dags / "fault_dags.py"
        file.write_text(re.sub(r"retries=\d+", f"retries={retries}", file.read_text()))
        wait_until(
            lambda: (self.airflow.rows(versions), self.airflow.rows(stamps)) != before, "the DAG is read", START_SECONDS
        )


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Everything, started and ready; ended with the block."""
    prefect = LivePrefect(folder / "prefect")
    prefect.start()
    runner = Runner(prefect)
    try:
        runner.start()
        dags = folder / "dags"
        shutil.copytree(DAGS, dags, ignore=shutil.ignore_patterns("__pycache__"))
        with (
            FaultyProxy(prefect.port, SharedNetwork()) as proxy,
            live_airflow(folder / "airflow", dags, f"http://127.0.0.1:{proxy.port}/api", IMPATIENT) as airflow,
        ):
            known = "SELECT 1 FROM dag WHERE dag_id = 'faults_blocking'"
            wait_until(lambda: airflow.rows(known), "the DAGs are known", START_SECONDS)
            yield Place(airflow, prefect, runner, proxy, folder)
    finally:
        runner.stop()
        prefect.stop()
