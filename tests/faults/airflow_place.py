"""Where the fault runs through Airflow take place: an Airflow, a Prefect, a process that serves flows, a network.

Owns their start and end, and what it takes to kill the process that serves.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.airflow_plan import SharedNetwork
from tests.faults.proxy import FaultyProxy
from tests.live_airflow import LiveAirflow, live_airflow
from tests.live_prefect import CHECKOUT, ML_PYTHON, LivePrefect, wait_until

DAGS = Path(__file__).with_name("dags")
FLOWS = CHECKOUT / "tests" / "contract" / "flows_for_tests.py"
FLOW_COUNT = 5
START_SECONDS = 300


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


@contextmanager
def place(folder: Path) -> Iterator[Place]:
    """Everything, started and ready; ended with the block."""
    prefect = LivePrefect(folder / "prefect")
    prefect.start()
    runner = Runner(prefect)
    try:
        runner.start()
        with (
            FaultyProxy(prefect.port, SharedNetwork()) as proxy,
            live_airflow(folder / "airflow", DAGS, f"http://127.0.0.1:{proxy.port}/api") as airflow,
        ):
            known = "SELECT 1 FROM dag WHERE dag_id = 'faults_blocking'"
            wait_until(lambda: airflow.rows(known), "the DAGs are known", START_SECONDS)
            yield Place(airflow, prefect, runner, proxy, folder)
    finally:
        runner.stop()
        prefect.stop()
