"""The demo: the stack up, a sample loaded, three weeks of a use case run by Airflow's scheduler, and a table.

Owns the order of these and what is said. A stack that it started ends with it, whatever the end; one that it found
running stays.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from rich.console import Console

from factory.use_cases.use_case import UseCase
from stack.airflow_api import NOT_MAPPED, AirflowApi, DagRun, TaskInstance
from stack.environment import read_exports
from stack.flow_runs import flow_runs_by_task
from stack.identity import Identity, load_identity
from stack.interruption import interruptible, shielded
from stack.lifecycle import follow, running, start, stop
from stack.prefect_api import PrefectApi
from stack.progress import say_ready
from stack.screen import FlowRuns, in_order, week_screen
from stack.settings import CHECKOUT, Home, StackError, StackSettings
from stack.state import StackState
from stack.status import login_lines
from stack.weeks import WeekReport, report_period, reports_table, run_moment, weeks_to_run

LOOK_SECONDS = 0.5
LOAD_SECONDS = 600
PARSE_SECONDS = 300
WEEK_SECONDS = 900
TABLE_WIDTH = 150


def run_demo(settings: StackSettings, *, use_cases: Sequence[UseCase], once: bool, weeks: int | None) -> int:
    """Run the next weeks of each use case, one after the other, and say how they went; gives the exit code.

    Raises StackError when something fails and KeyboardInterrupt when stopped half-way, with nothing left behind.
    """
    found = running(settings.home)
    with interruptible():
        try:
            state = _stack(settings, found)
            for use_case in use_cases:
                _run_weeks(settings.home, state, use_case, weeks or use_case.demo_periods)
            print(*login_lines(settings.home, state), sep="\n", flush=True)
            if found is None and not once:
                _stay_up(settings.home)
        finally:
            if found is None:
                with shielded():
                    _stop(settings.home)
    return 0


def _stack(settings: StackSettings, found: StackState | None) -> StackState:
    if found is None:
        print("Starting the stack", flush=True)
        began = time.monotonic()
        state = start(settings, say_ready, owned=True)
        print(f"up in {time.monotonic() - began:.1f} s\n", flush=True)
        return state
    print("Using the stack that runs already; it stays up\n", flush=True)
    return follow(settings.home, None, lambda *_: None)


@dataclass(frozen=True, slots=True)
class _Demo:
    """What every step needs."""

    use_case: UseCase
    console: Console
    identity: Identity
    airflow: AirflowApi
    airflow_url: str
    prefect: PrefectApi


def _run_weeks(home: Home, state: StackState, use_case: UseCase, count: int) -> None:
    identity = load_identity(home)
    airflow_url = f"http://127.0.0.1:{state.ports['AIRFLOW_PORT']}"
    prefect = PrefectApi.named_in(read_exports(home.environment_file.read_text()))
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=TABLE_WIDTH)
    _load_sample(home, use_case)
    airflow = AirflowApi(airflow_url, identity.admin_password, use_case.dag_id)
    try:
        demo = _Demo(use_case, console, identity, airflow, airflow_url, prefect)
        _wait_until_parsed(airflow, use_case.dag_id)
        airflow.unpause()
        chosen = weeks_to_run(identity, use_case, airflow.runs(), count, datetime.now(UTC))
        reports = [report for week in chosen for report in _run_week(demo, week)]
    finally:
        airflow.close()
    if reports:
        console.print(reports_table(use_case, reports))
    else:
        print(f"Every {use_case.clock.noun} of {use_case.name} that is due was run before; `make clean` begins anew.")


def _load_sample(home: Home, use_case: UseCase) -> None:
    """The use case's sample, unless the catalogue holds rows of it already (a user's own, or an earlier demo's)."""
    from factory.catalogue.database import open_catalogue
    from factory.catalogue.holdings import count_rows

    variables = read_exports(home.environment_file.read_text())
    engine = open_catalogue(variables["DATABASE_URL"])
    try:
        with engine.connect() as connection:
            present = count_rows(connection, use_case)
    finally:
        engine.dispose()
    if present:
        print(f"The catalogue holds {present:,} rows of {use_case.name}", flush=True)
        return
    command = [sys.executable, "-m", "factory", "load", "sample", "--use-case", use_case.name]
    try:
        said = subprocess.run(
            command, cwd=CHECKOUT, env=variables, capture_output=True, text=True, timeout=LOAD_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise StackError(
            f"the sample of {use_case.name} was not loaded within {LOAD_SECONDS} s: is the disk full?"
        ) from None
    if said.returncode:
        raise StackError(f"the sample of {use_case.name} could not be loaded:\n{said.stderr.strip()}")
    print(said.stdout.strip(), flush=True)


def _wait_until_parsed(airflow: AirflowApi, dag_id: str) -> None:
    deadline = time.monotonic() + PARSE_SECONDS
    while not airflow.is_parsed():
        if errors := airflow.import_errors():
            raise StackError("Airflow cannot import a DAG file:\n" + "\n".join(errors))
        if time.monotonic() > deadline:
            raise StackError(f"Airflow did not find the DAG {dag_id} within {PARSE_SECONDS} s; see make logs")
        time.sleep(LOOK_SECONDS)


def _run_week(demo: _Demo, week: int) -> list[WeekReport]:
    run, period = _begin(demo, week), demo.use_case.clock.words(week)
    deadline = time.monotonic() + WEEK_SECONDS
    with week_screen(demo.console, period) as screen:
        while True:
            run = demo.airflow.run(run.run_id)
            tasks = demo.airflow.tasks(run.run_id)
            flow_runs = flow_runs_by_task(demo.prefect, demo.use_case.dag_id, run.run_id)
            screen.show(tasks, flow_runs)
            if run.state in {"success", "failed"}:
                break
            if time.monotonic() > deadline:
                raise StackError(f"{period} did not end within {WEEK_SECONDS} s: {_run_link(demo, run)}")
            time.sleep(LOOK_SECONDS)
    if run.state == "failed":
        raise StackError(_failure(demo, period, run, tasks, flow_runs))
    return report_period(demo.use_case, partial(demo.airflow.result, run.run_id))


def _begin(demo: _Demo, week: int) -> DagRun:
    """The period's run: triggered, or the failed tasks of an earlier attempt run again, or one that runs, joined."""
    moment = run_moment(demo.identity, demo.use_case, week)
    present = next((run for run in demo.airflow.runs() if run.logical_date == moment), None)
    if present is None:
        return demo.airflow.trigger(moment)
    if present.state == "failed":
        demo.airflow.clear_failed(present.run_id)
    return present


def _failure(demo: _Demo, period: str, run: DagRun, tasks: list[TaskInstance], flow_runs: FlowRuns) -> str:
    """Which task failed, in whose words, and where to look."""
    failed = next((task for task in in_order(tasks) if task.state == "failed"), None)
    if failed is None:
        return f"{period} failed: {_run_link(demo, run)}"
    mapped = f"/mapped/{failed.map_index}" if failed.map_index != NOT_MAPPED else ""
    lines = [
        f"{period} failed in task {failed.name!r}:",
        demo.airflow.error(run.run_id, failed),
        f"  Airflow:  {_run_link(demo, run)}/tasks/{failed.task_id}{mapped}",
    ]
    if behind := flow_runs.get((failed.task_id, failed.map_index)):
        lines.append(f"  Prefect:  {behind.url}")
    return "\n".join([*lines, f"  remedy:   mend it, then call make demo again: it goes on with {period}"])


def _run_link(demo: _Demo, run: DagRun) -> str:
    return f"{demo.airflow_url}/dags/{demo.use_case.dag_id}/runs/{run.run_id}"


def _stay_up(home: Home) -> None:
    print("\nThe stack stays up until Ctrl-C.", flush=True)
    with suppress(KeyboardInterrupt):
        while running(home):
            time.sleep(1)
        raise StackError("the stack ended by itself: see make status and make logs")
    print()


def _stop(home: Home) -> None:
    began = time.monotonic()
    failed_before = running(home) is None
    stop(home)
    if not failed_before:
        print(f"stopped in {time.monotonic() - began:.1f} s", flush=True)
