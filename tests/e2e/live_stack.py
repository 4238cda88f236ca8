"""A whole real stack on free ports, in a folder of its own, with a sink in Discord's place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import Row, create_engine, text

from factory.use_cases.products import PRODUCTS
from stack.airflow_api import AirflowApi, DagRun
from stack.environment import read_exports
from stack.identity import ADMIN, load_identity
from stack.lifecycle import running_stack
from stack.prefect_api import PrefectApi
from stack.processes import family
from stack.settings import CHECKOUT, Home, read_stack_settings
from stack.state import read_state

WEEK_SECONDS = 900
"""No week takes that long: a limit for one that hangs, on a machine however busy."""
MESSAGE_SECONDS = 60
STARTERS = ("prefect-flows", "prefect-worker")
"""One of them starts the flow runs."""
WEBHOOK = "/api/webhooks/1234/a-secret-token"


def wait_until(holds: Callable[[], bool], what: str, seconds: float) -> None:
    """Look until it holds; fails with `what` after so many seconds."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.5)


@dataclass(frozen=True)
class Stack:
    """One running stack as its users see it."""

    home: Home
    airflow: AirflowApi
    airflow_url: str
    prefect: httpx.Client
    mlflow: httpx.Client
    sink: HTTPServer
    environment: dict[str, str]

    @property
    def prefect_api(self) -> PrefectApi:
        return PrefectApi.named_in(self.environment)

    def kill_flow_runs(self) -> None:
        """As a machine that is out of memory would: who serves them first, so that nobody tells of their end."""
        state = read_state(self.home)
        assert state is not None
        service = next(state.services[name].process for name in STARTERS if name in state.services)
        serving = service.process() if service else None
        assert serving is not None
        for each in family(serving):
            each.kill()

    def message_about(self, run: DagRun) -> dict[str, Any]:
        """The one embed that Discord was sent about the run; the dag-processor sends it a moment after the end."""
        run_path = quote(run.run_id)

        def about() -> list[dict[str, Any]]:
            embeds = [request.get_json()["embeds"][0] for request, _ in self.sink.log]
            return [embed for embed in embeds if run_path in embed["description"]]

        wait_until(lambda: about(), f"Discord hears of {run.run_id}", MESSAGE_SECONDS)
        [embed] = about()
        self.sink.clear_log()
        return embed

    def load_sample(self) -> None:
        self.command("python", "-m", "factory", "load", "sample")

    def command(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the Prefect side's environment against this stack; it must succeed."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *arguments],
            cwd=CHECKOUT,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{program} {arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def trigger_week(self, week: int) -> DagRun:
        wait_until(self.airflow.is_parsed, f"Airflow knows {PRODUCTS.dag_id}", 120)
        self.airflow.unpause()
        return self.airflow.trigger(load_identity(self.home).week_moment(week))

    def ended(self, run: DagRun) -> DagRun:
        """The run once it has succeeded or failed."""
        wait_until(lambda: self.airflow.run(run.run_id).state in {"success", "failed"}, f"{run} ends", WEEK_SECONDS)
        return self.airflow.run(run.run_id)

    def states(self, run: DagRun) -> dict[str, str]:
        return {task.task_id: task.state for task in self.airflow.tasks(run.run_id)}

    def result(self, run: DagRun, task_id: str) -> dict[str, Any]:
        found = self.airflow.result(run.run_id, task_id)
        assert found is not None, f"{task_id} handed nothing back"
        return found

    def flow_runs(self, run: DagRun, task_id: str) -> list[dict[str, Any]]:
        """The flow runs of a task, oldest first."""
        tags = ["airflow", f"dag:{PRODUCTS.dag_id}", f"run:{run.run_id}", f"task:{task_id}"]
        wanted = {"flow_runs": {"tags": {"all_": tags}}, "sort": "EXPECTED_START_TIME_ASC"}
        found: list[dict[str, Any]] = self.prefect.post("/flow_runs/filter", json=wanted).raise_for_status().json()
        return found

    def rows(self, query: str) -> list[Row[Any]]:
        """What the catalogue answers."""
        engine = create_engine(self.environment["DATABASE_URL"])
        try:
            with engine.connect() as connection:
                return list(connection.execute(text(query)))
        finally:
            engine.dispose()

    def champion(self) -> str | None:
        """The version under the alias, by MLflow's own REST API."""
        asked = {"name": "products", "alias": "champion"}
        answer = self.mlflow.get("/api/2.0/mlflow/registered-models/alias", params=asked)
        return None if answer.status_code == 404 else answer.raise_for_status().json()["model_version"]["version"]

    @contextmanager
    def broken_training(self) -> Iterator[None]:
        """Let training-pipeline/products fail by a default that the schema allows and the flow refuses."""
        deployment = self.prefect.get("/deployments/name/training-pipeline/products").raise_for_status().json()
        path, sound = f"/deployments/{deployment['id']}", deployment["parameters"]
        self.prefect.patch(path, json={"parameters": {**sound, "candidates": ["a crystal ball"]}}).raise_for_status()
        try:
            yield
        finally:
            self.prefect.patch(path, json={"parameters": sound}).raise_for_status()


@contextmanager
def live_stack(folder: Path, database: str, flows: str = "served", **more: str) -> Iterator[Stack]:
    """A stack from nothing, with `more` of its variables set, ended with the block."""
    sink = HTTPServer(host="127.0.0.1")
    sink.expect_request(WEBHOOK, method="POST").respond_with_data(status=204)
    sink.start()
    asked = {**os.environ, "STACK_HOME": str(folder), "FREE_PORTS": "1", "DATABASE": database, "FLOWS": flows, **more}
    settings = read_stack_settings({**asked, "DISCORD_WEBHOOK_URL": sink.url_for(WEBHOOK)})
    try:
        with running_stack(settings):
            identity = load_identity(settings.home)
            airflow = AirflowApi(settings.airflow_url, identity.admin_password, PRODUCTS.dag_id)
            variables = read_exports(settings.home.environment_file.read_text())
            api, login = PrefectApi.named_in(variables), (ADMIN, identity.mlflow_password)
            with (
                httpx.Client(base_url=api.url, headers=api.headers, trust_env=False, timeout=60) as prefect,
                httpx.Client(base_url=settings.mlflow_url, auth=login, trust_env=False, timeout=60) as mlflow,
            ):
                yield Stack(settings.home, airflow, settings.airflow_url, prefect, mlflow, sink, variables)
            airflow.close()
    finally:
        sink.stop()


def logs_of(home: Home) -> str:
    """Everything that the services and the tasks wrote."""
    return "\n".join(path.read_text(errors="replace") for path in sorted(home.path.rglob("*.log")))
