"""What a look at a million logged predictions costs: the whole flow run in a process of its own, as a worker starts it.

Owns the stack of the measurement: a real Prefect server, a registry with a champion, and a catalogue on SQLite or on
the embedded PostgreSQL whose log is filled with the champion's own answers. Everything is simulated.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Engine, insert, select

from benchmarks.waits.prefect_side import prefect_server
from factory.catalogue import loading
from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import inference_log, products
from factory.settings import read_settings
from factory.sizes import MEGABYTE
from factory.snapshots.weeks import start_of
from factory.sources.simulation import Simulation, simulate
from stack.database import start_databases
from stack.settings import CHECKOUT, read_stack_settings

PRODUCTS = 20_000
BEFORE = 0.3
"""So many predictions more, as a share, lie in the 23 days before the seven."""
CHUNK_ROWS = 50_000
MODEL_VERSION = "1"


def show(rows: int, databases: list[str]) -> None:
    """The table: seconds and peak memory of `python -m flows.monitor_and_retrain`, from its start to its end."""
    load = f"{os.getloadavg()[0]:.1f}"
    print(f"\n## {rows:,} logged predictions in seven days\n\nLoad average at the start: {load}.\n")
    print(
        "| catalogue | predictions | looked at | a share is within | level | seconds | CPU seconds | peak memory MB |"
    )
    print("|---|--:|--:|--:|---|--:|--:|--:|")
    for database in databases:
        with tempfile.TemporaryDirectory(prefix="bench-monitoring-") as folder:
            print(_row(Path(folder), database, rows), flush=True)


def _row(home: Path, database: str, rows: int) -> str:
    with prefect_server(home, database) as server:
        # the same folder finds the same databases
        stack = read_stack_settings({"STACK_HOME": str(home), "FREE_PORTS": "1", "DATABASE": database})
        environment = {
            "DATABASE_URL": start_databases(stack).catalogue,
            "SNAPSHOT_URI": (home / "snapshots").as_uri(),
            "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.sqlite'}",
            "PREFECT_API_URL": server.api_url,
            "PREFECT_HOME": str(home / "prefect"),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "1",
        }
        settings = read_settings(environment)
        engine = open_catalogue(settings.database_url)
        simulation = Simulation(rows=PRODUCTS)
        batches = (batch.drop(columns="week") for batch in simulate(simulation))
        loading.load(engine, batches, source=simulation.source, created_at=settings.weeks.epoch)
        training = ["--week", "1", "--max-features", "5000", "--auto-promote-threshold", "0.1"]
        trained, _ = _run("flows.pipeline_flow", training, environment, home)
        if not trained["promoted"]:
            raise RuntimeError(f"the benchmark has no champion: {trained['reason']}")
        answers = _answers(settings.mlflow_tracking_uri, trained["run_id"])
        _fill(engine, answers, rows, start_of(3, settings.weeks.epoch))
        found, cost = _run("flows.monitor_and_retrain", [], environment, home)
    share = f"{100 * found['sampling_error']:.2f} points"
    name = "PostgreSQL" if database == "embedded" else "SQLite"
    counts = f"{found['samples']:,} | {found['sampled']:,} | {share} | {found['level']}"
    return f"| {name} | {counts} | {cost.seconds:.1f} | {cost.cpu_seconds:.1f} | {cost.peak_bytes / MEGABYTE:,.0f} |"


@dataclass(frozen=True)
class Cost:
    """A process's seconds from start to end, those it computed for, and its largest resident set."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def _run(module: str, arguments: list[str], environment: dict[str, str], home: Path) -> tuple[dict[str, Any], Cost]:
    """The flow's result, and what its process cost."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    command = [sys.executable, "-m", module, *arguments]
    with (home / "flow.out").open("w+") as out, (home / "flow.log").open("w") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=inherited | environment, cwd=CHECKOUT, stdout=out, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise RuntimeError(f"{module} ended with {process.returncode}:\n{(home / 'flow.log').read_text()[-3000:]}")
        out.seek(0)
        return json.load(out), Cost(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _answers(tracking_uri: str, run_id: str) -> pd.DataFrame:
    from flows.adapters.registry import connect
    from flows.adapters.runs import REFERENCE_FILE

    return pd.read_parquet(connect(tracking_uri).download_artifacts(run_id, REFERENCE_FILE))


def _fill(engine: Engine, answers: pd.DataFrame, rows: int, until: datetime) -> None:
    """Predictions of products in random order, each with one of the champion's answers on its test set."""
    random = np.random.default_rng(7)
    with engine.begin() as connection:
        ids = np.array(connection.scalars(select(products.c.productid)).all(), dtype=object)
        for records in _records(random, ids, answers, rows, until):
            connection.execute(insert(inference_log), records)


def _records(
    random: np.random.Generator, ids: np.ndarray, answers: pd.DataFrame, rows: int, until: datetime
) -> Iterator[list[dict[str, Any]]]:
    total = rows + int(BEFORE * rows)
    for first in range(0, total, CHUNK_ROWS):
        count = min(CHUNK_ROWS, total - first)
        drawn = answers.iloc[random.integers(0, len(answers), count)]
        # the seven days' predictions come first, then those of the 23 days before
        days = np.where(
            np.arange(first, first + count) < rows, random.uniform(0, 7, count), random.uniform(7, 30, count)
        )
        values = zip(
            days.tolist(),
            random.choice(ids, count).tolist(),
            drawn["prediction"].tolist(),
            drawn["score"].tolist(),
            drawn["text_length"].tolist(),
            strict=True,
        )
        yield [
            {
                "prediction_id": f"simulated/{number:08d}",
                "timestamp": until - timedelta(days=ago),
                "scored_at": until,
                "productid": productid,
                "predicted_class": predicted,
                "confidence": confidence,
                "text_length": int(length),
                "model_version": MODEL_VERSION,
                "use_case": "products",
            }
            for number, (ago, productid, predicted, confidence, length) in enumerate(values, start=first)
        ]
