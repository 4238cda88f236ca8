"""Measure a period through Airflow and Prefect beside the same work in one script: `python -m benchmarks.cycle`.

    python -m benchmarks.cycle              a week of many products, stage by stage
    python -m benchmarks.cycle --each       a row a use case: the second period of its demo

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
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge.contracts import AIRFLOW_TAG
from factory.use_cases import ALL, get
from factory.use_cases.use_case import UseCase
from stack.airflow_api import AirflowApi
from stack.environment import read_exports
from stack.identity import load_identity
from stack.lifecycle import running_stack
from stack.prefect_api import PrefectApi
from stack.settings import CHECKOUT, Home, StackSettings, read_stack_settings
from stack.weeks import TASKS, run_moment

ROWS = 84_916
PRODUCTS = get("products")
SHARES = {"WEEK_FIRST_SHARE": "0.9", "WEEK_WEEKLY_SHARE": "0.1"}
"""The second week holds the whole catalogue, of which a tenth has arrived in it."""
WAYS = {"script": "worker", "worker": "worker", "serve": "served"}
"""How the stack starts flow runs, by way; beside the script nothing but idles."""
LOOK_SECONDS = 0.5
"""Between two looks at what Airflow runs; its own database tells when a stage ended."""
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
    parser.add_argument("--each", action="store_true", help="a row a use case, by script and served, on its sample")
    arguments = parser.parse_args()
    if arguments.each:
        _measure_each()
        return
    measured: dict[str, dict[str, Stage]] = {}
    for way in arguments.way or WAYS:
        print(f"{way} …", file=sys.stderr, flush=True)
        measured[way] = measure(way, PRODUCTS, ["simulated", "--rows", str(arguments.rows)], SHARES)
        print({name: round(stage.whole, 1) for name, stage in measured[way].items()}, file=sys.stderr, flush=True)
    print(table(measured))


def _measure_each() -> None:
    print("| use case | models | script | serve | longer by |\n|---|--:|--:|--:|--:|")
    for use_case in ALL:
        load = ["sample", "--use-case", use_case.name]
        ways = (measure(way, use_case, load, {}) for way in ("script", "serve"))
        script, serve = (sum(stage.whole for stage in stages.values()) for stages in ways)
        numbers = f"{script:.1f} | {serve:.1f} | {serve - script:+.1f}"
        print(f"| {use_case.name} | {len(use_case.models)} | {numbers} |", flush=True)


def measure(way: str, use_case: UseCase, load: list[str], shares: Mapping[str, str]) -> dict[str, Stage]:
    """One way, on a stack and a catalogue of its own, filled by `python -m factory load`."""
    with tempfile.TemporaryDirectory(prefix="bench-cycle-") as folder:
        asked = {**os.environ, **shares, "STACK_HOME": folder, "FREE_PORTS": "1", "FLOWS": WAYS[way]}
        settings = read_stack_settings(asked)
        with running_stack(settings):
            variables = read_exports(Home(Path(folder)).environment_file.read_text())
            _run([sys.executable, "-m", "factory", "load", *load], variables)
            if way == "script":
                for number in _periods(use_case):
                    plain = [sys.executable, "-m", "benchmarks.cycle.plain", use_case.name, str(number)]
                    said = _run(plain, variables)
                return {name: Stage(seconds) for name, seconds in json.loads(said.splitlines()[-1]).items()}
            return _through_airflow(settings, PrefectApi.named_in(variables), use_case)


def _periods(use_case: UseCase) -> tuple[int, int]:
    """The one that is measured comes second; the one before it gives it a champion."""
    first = use_case.clock.parse(use_case.demo_begins or 1)
    return first, first + 1


def _through_airflow(settings: StackSettings, prefect: PrefectApi, use_case: UseCase) -> dict[str, Stage]:
    identity = load_identity(settings.home)
    airflow = AirflowApi(settings.airflow_url, identity.admin_password, use_case.dag_id)
    try:
        _wait_until(airflow.is_parsed)
        airflow.unpause()
        for number in _periods(use_case):
            run = airflow.trigger(run_moment(identity, use_case, number))
            deadline = time.monotonic() + WEEK_SECONDS
            while run.state not in {"success", "failed"} and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
                run = airflow.run(run.run_id)
            if run.state != "success":
                period = use_case.clock.words(number)
                raise SystemExit(f"{period} is {run.state}; see the logs in {settings.home.logs}")
        return _stages(airflow, prefect, use_case.dag_id, run.run_id)
    finally:
        airflow.close()


def _stages(airflow: AirflowApi, prefect: PrefectApi, dag_id: str, run_id: str) -> dict[str, Stage]:
    begun, ends = airflow.times(run_id)
    flow_runs = _flow_runs(prefect, dag_id, run_id)
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


def _flow_runs(prefect: PrefectApi, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
    tags = [AIRFLOW_TAG, f"dag:{dag_id}", f"run:{run_id}"]
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
