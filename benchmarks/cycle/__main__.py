"""Measure a week through Airflow and Prefect beside the same work in one script: `python -m benchmarks.cycle`.

See docs/benchmarks/cycle.md for what is measured how.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.contracts import AIRFLOW_TAG
from factory.use_cases import get
from stack.airflow_api import AirflowApi
from stack.environment import read_exports
from stack.identity import load_identity
from stack.lifecycle import running_stack
from stack.prefect_api import PrefectApi
from stack.settings import CHECKOUT, Home, StackSettings, read_stack_settings
from stack.weeks import TASKS

ROWS = 84_916
DAG_ID = get("products").dag_id
WEEK = 2
"""The week that is measured; the one before it gives it a champion."""
SHARES = {"WEEK_FIRST_SHARE": "0.9", "WEEK_WEEKLY_SHARE": "0.1"}
"""The second week holds the whole catalogue, of which a tenth has arrived in it."""
WAYS = {"script": "worker", "worker": "worker", "serve": "served"}
"""How the stack starts flow runs, by way; beside the script nothing but idles."""
LOOK_SECONDS = 0.5
PARSE_SECONDS = 120
WEEK_SECONDS = 1_800


@dataclass(frozen=True)
class Stage:
    """Seconds of one task of the DAG: from the end of the one before to its own end, and what its flow run took."""

    whole: float
    until_flow_begins: float = 0.0
    """From the flow run's creation to the begin of its flow: pick-up, process starts, imports."""
    in_flow: float = 0.0


def main() -> None:
    """Measure the ways that the command line asks for and print their table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cycle", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="simulated products in the catalogue")
    parser.add_argument("--way", choices=WAYS, action="append", help="only this way; may be repeated")
    arguments = parser.parse_args()
    measured: dict[str, dict[str, Stage]] = {}
    for way in arguments.way or WAYS:
        print(f"{way} …", file=sys.stderr, flush=True)
        measured[way] = measure(way, arguments.rows)
        print({name: round(stage.whole, 1) for name, stage in measured[way].items()}, file=sys.stderr, flush=True)
    print(table(measured))


def measure(way: str, rows: int) -> dict[str, Stage]:
    """One way, on a stack and a catalogue of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-cycle-") as folder:
        asked = {**os.environ, **SHARES, "STACK_HOME": folder, "FREE_PORTS": "1", "FLOWS": WAYS[way]}
        settings = read_stack_settings(asked)
        with running_stack(settings):
            variables = read_exports(Home(Path(folder)).environment_file.read_text())
            _run([sys.executable, "-m", "factory", "load", "simulated", "--rows", str(rows)], variables)
            if way == "script":
                for week in (WEEK - 1, WEEK):
                    said = _run([sys.executable, "-m", "benchmarks.cycle.plain", str(week)], variables)
                return {name: Stage(seconds) for name, seconds in json.loads(said.splitlines()[-1]).items()}
            return _through_airflow(settings, PrefectApi.named_in(variables))


def _through_airflow(settings: StackSettings, prefect: PrefectApi) -> dict[str, Stage]:
    identity = load_identity(settings.home)
    airflow = AirflowApi(settings.airflow_url, identity.admin_password, DAG_ID)
    try:
        _wait_until(airflow.is_parsed)
        airflow.unpause()
        for week in (WEEK - 1, WEEK):
            run = airflow.trigger(identity.week_moment(week))
            deadline = time.monotonic() + WEEK_SECONDS
            while run.state not in {"success", "failed"} and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
                run = airflow.run(run.run_id)
            if run.state != "success":
                raise SystemExit(f"week {week} is {run.state}; see the logs in {settings.home.logs}")
        return _stages(airflow, prefect, run.run_id)
    finally:
        airflow.close()


def _stages(airflow: AirflowApi, prefect: PrefectApi, run_id: str) -> dict[str, Stage]:
    begun, ends = airflow.times(run_id)
    flow_runs = _flow_runs(prefect, run_id)
    stages: dict[str, Stage] = {}
    for task in (task for task in TASKS if task in ends):
        end = ends[task]
        flow_run = flow_runs.get(task)
        waited, ran = (_phases(flow_run)) if flow_run else (0.0, 0.0)
        stages[task] = Stage((end - begun).total_seconds(), waited, ran)
        begun = end
    return stages


def _phases(flow_run: dict[str, Any]) -> tuple[float, float]:
    created, start, end = (datetime.fromisoformat(flow_run[name]) for name in ("created", "start_time", "end_time"))
    return (start - created).total_seconds(), (end - start).total_seconds()


def _flow_runs(prefect: PrefectApi, run_id: str) -> dict[str, dict[str, Any]]:
    tags = [AIRFLOW_TAG, f"dag:{DAG_ID}", f"run:{run_id}"]
    found = prefect.ask("/flow_runs/filter", {"flow_runs": {"tags": {"all_": tags}}})
    return {str(each["labels"]["airflow.task_id"]): each for each in found or []}


def _run(command: list[str], variables: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=CHECKOUT, env=variables, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def _wait_until(holds: Any) -> None:
    deadline = time.monotonic() + PARSE_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"the stack was not ready within {PARSE_SECONDS} s")
        time.sleep(LOOK_SECONDS)


def table(measured: dict[str, dict[str, Stage]]) -> str:
    """The Markdown table: seconds by stage and way; for the orchestrated ones what was Prefect's and the flow's."""
    heads, rules = ["stage"], ["---"]
    for way in measured:
        parts = [way] if way == "script" else [way, "until the flow begins", "in the flow", "rest"]
        heads += parts
        rules += ["--:"] * len(parts)
    lines = [f"| {' | '.join(heads)} |", f"|{'|'.join(rules)}|"]
    names = list(dict.fromkeys(name for stages in measured.values() for name in stages))
    lines += [_line(name, [_cells(way, stages.get(name)) for way, stages in measured.items()]) for name in names]
    sums = [
        _cells(way, Stage(*(sum(each) for each in zip(*map(_numbers, stages.values()), strict=True))))
        for way, stages in measured.items()
    ]
    return "\n".join([*lines, _line("**whole**", sums)])


def _numbers(stage: Stage) -> tuple[float, float, float]:
    return stage.whole, stage.until_flow_begins, stage.in_flow


def _cells(way: str, stage: Stage | None) -> list[str]:
    if stage is None:
        return ["–"] * (1 if way == "script" else 4)
    rest = stage.whole - stage.until_flow_begins - stage.in_flow
    numbers = [stage.whole] if way == "script" else [*_numbers(stage), rest]
    return [f"{number:.1f}" for number in numbers]


def _line(name: str, cells: list[list[str]]) -> str:
    return f"| {name} | {' | '.join(cell for group in cells for cell in group)} |"


if __name__ == "__main__":
    main()
