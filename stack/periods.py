"""A use case's part of the demo: its sample, its DAG and its periods, in steps between which others have their turn.

Owns what is asked of Airflow and Prefect for it, and what is said of a period that failed.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from tempfile import TemporaryFile
from typing import IO

from rich.console import Console

from factory.use_cases.use_case import UseCase
from stack.airflow_api import NOT_MAPPED, AirflowApi, DagRun, TaskInstance
from stack.flow_runs import flow_runs_by_task
from stack.identity import Identity
from stack.prefect_api import PrefectApi
from stack.screen import FlowRuns, Screen, in_order
from stack.settings import CHECKOUT, StackError
from stack.weeks import WeekReport, report_period, reports_table, run_moment, weeks_to_run

LOAD_SECONDS = 600
PARSE_SECONDS = 300
PERIOD_SECONDS = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """What every use case's part needs; `variables` are those of a shell of the stack."""

    console: Console
    screen: Screen
    identity: Identity
    variables: Mapping[str, str]
    airflow_url: str
    prefect: PrefectApi
    several: bool


def run_periods(demo: Demo, use_case: UseCase, count: int) -> Generator[None, None, None]:
    """Load the use case's sample, run its next periods and print their table; raises StackError."""
    yield from _load_sample(demo, use_case)
    airflow = AirflowApi(demo.airflow_url, demo.identity.admin_password, use_case.dag_id)
    with closing(airflow):
        yield from _parsed(airflow, use_case.dag_id)
        airflow.unpause()
        reports: list[WeekReport] = []
        for number in weeks_to_run(demo.identity, use_case, airflow.runs(), count, datetime.now(UTC)):
            run = yield from _run_period(demo, use_case, airflow, number)
            reports += report_period(use_case, partial(airflow.result, run.run_id))
    if reports:
        demo.console.print(reports_table(use_case, reports))
    else:
        print(f"Every {use_case.clock.noun} of {use_case.name} that is due was run before; `make clean` begins anew.")


def _load_sample(demo: Demo, use_case: UseCase) -> Iterator[None]:
    """The use case's sample, unless the catalogue holds rows of it already (a user's own, or an earlier demo's)."""
    from factory.catalogue.database import open_catalogue
    from factory.catalogue.holdings import count_rows

    engine = open_catalogue(demo.variables["DATABASE_URL"])
    try:
        with engine.connect() as connection:
            present = count_rows(connection, use_case)
    finally:
        engine.dispose()
    if present:
        print(f"The catalogue holds {present:,} rows of {use_case.name}", flush=True)
        return
    command = [sys.executable, "-m", "factory", "load", "sample", "--use-case", use_case.name]
    with TemporaryFile() as out, TemporaryFile() as err:
        deadline = time.monotonic() + LOAD_SECONDS
        loading = subprocess.Popen(command, cwd=CHECKOUT, env=demo.variables, stdout=out, stderr=err)
        try:
            while loading.poll() is None:
                if time.monotonic() > deadline:
                    raise StackError(
                        f"the sample of {use_case.name} was not loaded within {LOAD_SECONDS} s: is the disk full?"
                    )
                yield
        finally:
            loading.kill()
            loading.wait()
        if loading.returncode:
            raise StackError(f"the sample of {use_case.name} could not be loaded:\n{_written(err)}")
        print(_written(out), flush=True)


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace").strip()


def _parsed(airflow: AirflowApi, dag_id: str) -> Iterator[None]:
    deadline = time.monotonic() + PARSE_SECONDS
    while not airflow.is_parsed():
        if errors := airflow.import_errors():
            raise StackError("Airflow cannot import a DAG file:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            raise StackError(f"Airflow did not find the DAG {dag_id} within {PARSE_SECONDS} s; see make logs")
        yield


def _run_period(demo: Demo, use_case: UseCase, airflow: AirflowApi, number: int) -> Generator[None, None, DagRun]:
    """Begin the period, show it until it ends, and give its run; raises StackError where it fails."""
    run, period = _begin(demo, use_case, airflow, number), use_case.clock.words(number)
    title = f"{use_case.name} {period}" if demo.several else period
    link = f"{demo.airflow_url}/dags/{use_case.dag_id}/runs/{run.run_id}"
    deadline = time.monotonic() + PERIOD_SECONDS
    while True:
        run = airflow.run(run.run_id)
        tasks = airflow.tasks(run.run_id)
        flow_runs = flow_runs_by_task(demo.prefect, use_case.dag_id, run.run_id)
        demo.screen.show(title, tasks, flow_runs)
        if run.state in {"success", "failed"}:
            break
        if time.monotonic() > deadline:
            raise StackError(f"{title} did not end within {PERIOD_SECONDS} s: {link}")
        yield
    demo.screen.leave(title)
    if run.state == "failed":
        raise StackError(_failure(airflow, title, run, link, tasks, flow_runs))
    return run


def _begin(demo: Demo, use_case: UseCase, airflow: AirflowApi, number: int) -> DagRun:
    """The period's run: triggered, or the failed tasks of an earlier attempt run again, or one that runs, joined."""
    moment = run_moment(demo.identity, use_case, number)
    present = next((run for run in airflow.runs() if run.logical_date == moment), None)
    if present is None:
        return airflow.trigger(moment)
    if present.state == "failed":
        airflow.clear_failed(present.run_id)
    return present


def _failure(
    airflow: AirflowApi, title: str, run: DagRun, link: str, tasks: list[TaskInstance], flow_runs: FlowRuns
) -> str:
    """Which task failed, in whose words, and where to look."""
    failed = next((task for task in in_order(tasks) if task.state == "failed"), None)
    if failed is None:
        return f"{title} failed: {link}"
    mapped = f"/mapped/{failed.map_index}" if failed.map_index != NOT_MAPPED else ""
    lines = [
        f"{title} failed in task {failed.name!r}:",
        airflow.error(run.run_id, failed),
        f"  Airflow:  {link}/tasks/{failed.task_id}{mapped}",
    ]
    if behind := flow_runs.get((failed.task_id, failed.map_index)):
        lines.append(f"  Prefect:  {behind.url}")
    return "\n".join([*lines, f"  remedy:   mend it, then call make demo again: it goes on with {title}"])
