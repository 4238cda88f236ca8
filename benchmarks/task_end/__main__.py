"""Measure how long after its flow run an Airflow task ends, and print one table: `python -m benchmarks.task_end`.

See docs/benchmarks/task-end.md for what is measured how.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from benchmarks.waits.prefect_side import end_runs, prefect_server
from tests.live_airflow import LiveAirflow, live_airflow
from tests.live_prefect import wait_until

WAYS = {
    "bridge": "bridge (the trigger ends the task)",
    "bridge_without_log": "bridge, `stream_logs=False`",
    "bridge_on_a_worker": "bridge, `end_from_trigger=False`",
    "polling": "polling every 5 s, ended on a worker",
}
TASKS = 20
SPACING_SECONDS = 2.3
"""Between two ends: no divisor of five, so that a poll meets every phase."""
SETTLE_SECONDS = 10.0
"""A task says deferred before its trigger waits: the triggerer takes new ones up once a second."""
PATIENCE_SECONDS = 300


def main() -> None:
    """Run every way on one Airflow and one Prefect; print the table."""
    with tempfile.TemporaryDirectory(prefix="bench-task-end-") as folder:
        home = Path(folder)
        (home / "stack").mkdir()
        os.environ["BENCH_REPORT"] = str(home / "report")  # where the polling trigger writes what it counts
        with (
            prefect_server(home / "stack", "embedded") as server,
            live_airflow(home / "airflow", Path(__file__).with_name("dags"), server.api_url) as airflow,
        ):
            deploy(server.api_url)
            known = "SELECT COUNT(*) FROM dag WHERE NOT is_stale"
            wait_until(lambda: airflow.rows(known) == [(len(WAYS),)], "Airflow knows the DAGs", PATIENCE_SECONDS)
            print("| who waits | tasks | median s | 95 % s | worst s |\n|---|--:|--:|--:|--:|")
            for way, title in WAYS.items():
                lags = measure(airflow, server.api_url, way)
                worst = f"{quantiles(lags, n=20)[-1]:.2f} | {max(lags):.2f}"
                print(f"| {title} | {len(lags)} | {median(lags):.2f} | {worst} |", flush=True)


def deploy(api_url: str) -> None:
    """A deployment that no process serves."""
    with httpx.Client(base_url=api_url, trust_env=False, timeout=60) as prefect:
        flow = prefect.post("/flows/", json={"name": "measured"}).raise_for_status().json()
        deployed = {"name": "t", "flow_id": flow["id"]}
        prefect.post("/deployments/", json=deployed).raise_for_status()


def measure(airflow: LiveAirflow, api_url: str, way: str) -> list[float]:
    """Seconds from each flow run's terminal state to its task's end."""
    run_id = airflow.request("POST", f"/dags/{way}/dagRuns", {"logical_date": None})["dag_run_id"]
    states = "SELECT state, COUNT(*) FROM task_instance WHERE dag_id = ? AND run_id = ? GROUP BY state"

    def all_are(state: str) -> bool:
        return airflow.rows(states, way, run_id) == [(state, TASKS)]

    wait_until(lambda: all_are("deferred"), f"the tasks of {way} are deferred", PATIENCE_SECONDS)
    time.sleep(SETTLE_SECONDS)
    by_index = flow_runs(api_url, way, run_id)
    ids = [by_index[index] for index in range(TASKS)]
    ended = asyncio.run(end_runs(api_url, ids, TASKS * SPACING_SECONDS, closing_line=True))
    wait_until(lambda: all_are("success"), f"the tasks of {way} have ended", PATIENCE_SECONDS)
    found = "SELECT map_index, end_date FROM task_instance WHERE dag_id = ? AND run_id = ?"
    return [moment(end) - ended[by_index[index]] for index, end in airflow.rows(found, way, run_id)]


def flow_runs(api_url: str, way: str, run_id: str) -> dict[int, str]:
    """The id of each mapped task's flow run."""
    wanted = {"flow_runs": {"tags": {"all_": [f"dag:{way}", f"run:{run_id}"]}}, "limit": 200}
    with httpx.Client(base_url=api_url, trust_env=False, timeout=60) as prefect:
        found: list[dict[str, Any]] = prefect.post("/flow_runs/filter", json=wanted).raise_for_status().json()
    return {int(run["labels"]["airflow.map_index"]): run["id"] for run in found}


def moment(text: str) -> float:
    """Airflow's time in SQLite, in seconds since the epoch."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    main()
