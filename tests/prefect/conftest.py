"""A real Prefect server for the whole session, and for every test a catalogue and an MLflow registry of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from bridge.contracts import RESULT_ARTIFACT_KEY
from factory.catalogue import loading
from factory.catalogue.database import open_catalogue
from factory.contracts import DatasetRef
from factory.lineage import sending
from factory.quality import checking
from factory.settings import Settings, read_settings
from factory.snapshots import cutting, weeks
from factory.sources import readers
from tests.forked import fork
from tests.lineage_graph import Events, to_file
from tests.shared_services import OPEN_PREFECT_PORT, PREFECT_DATABASE, copy_template, shared_port

START_SECONDS = 600
BUSY_SECONDS = 120
RUN_SECONDS = 240
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    # automations are looked at, none has to act: each event would be held against all of them
    "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
}
LINEAGE = "lineage.jsonl"
"""What the trainings of `trained` told, in its folder."""
SERVING_COSTS = {"serving_size_bytes": "1000000", "serving_memory_bytes": "200000000", "serving_p95_ms": "1.5"}
OUTSIDE = ("DATABASE_URL", "POSTGRES_HOST", "INFERENCE_LOG_PATH", "DISCORD_WEBHOOK_URL", "PREFECT_API_KEY")

HTTP = httpx.Client(timeout=120, trust_env=False)
"""One for all requests: to make one takes long."""


@dataclass(frozen=True)
class Prefect:
    """A running server and what a process needs to talk to it."""

    api: str
    environment: dict[str, str]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """What the server answers."""
        return self.request("POST", path, body).json()

    def request(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """What the server answers; while its SQLite is locked (503) it is asked again."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            answer = HTTP.request(method, f"{self.api}/{path}", json=body)
            if answer.status_code != 503 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        return answer.raise_for_status()

    def results(self, flow_run_id: str) -> list[dict[str, Any]]:
        """The artifacts in which the run published its result, read as any outsider would."""
        asked = {"artifacts": {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [RESULT_ARTIFACT_KEY]}}}
        found = list(self.post("artifacts/filter", asked))
        return [{**artifact, "data": json.loads(artifact["data"])} for artifact in found]

    def deployments(self) -> dict[str, dict[str, Any]]:
        """The deployments by `<flow>/<deployment>`."""
        flows = {flow["id"]: flow["name"] for flow in self.post("flows/filter", {})}
        return {f"{flows[entry['flow_id']]}/{entry['name']}": entry for entry in self.post("deployments/filter", {})}

    def begin(self, deployment: str, parameters: dict[str, Any]) -> str:
        """The id of a new run of the deployment."""
        path = f"deployments/{self.deployments()[deployment]['id']}/create_flow_run"
        return str(self.post(path, {"parameters": parameters})["id"])

    def ended(self, flow_run_id: str) -> dict[str, Any]:
        """The flow run once it has ended, or as it is after RUN_SECONDS."""
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            (run,) = self.post("flow_runs/filter", {"flow_runs": {"id": {"any_": [flow_run_id]}}})
            if run["state_type"] in ENDED or time.monotonic() > deadline:
                return dict(run)
            time.sleep(0.2)

    def last_run(self, flow_name: str) -> dict[str, Any]:
        """The flow run of that flow that was created last and has begun: a schedule of another test plans its own."""
        begun = {"state": {"type": {"not_any_": ["SCHEDULED"]}}}
        asked = {
            "flows": {"name": {"any_": [flow_name]}},
            "flow_runs": begun,
            "sort": "EXPECTED_START_TIME_DESC",
            "limit": 1,
        }
        return dict(self.post("flow_runs/filter", asked)[0])


@dataclass(frozen=True)
class Home:
    """One test's catalogue, snapshots and registry, with weeks 1 to 3 to be cut."""

    settings: Settings
    client: Any

    def cut(self, week: int) -> DatasetRef:
        """The accepted snapshot of the week."""
        as_of = weeks.start_of(week, self.settings.weeks.epoch)
        dataset = cutting.cut_week(self.settings, "products", as_of=as_of, week=week)
        return checking.check_week(self.settings, dataset)

    def alias(self, name: str) -> str | None:
        """The number of the version that bears the alias."""
        aliases: dict[str, Any] = self.client.get_registered_model("products").aliases
        return str(aliases[name]) if name in aliases else None

    def tags(self, number: str) -> dict[str, str]:
        """The tags of a version."""
        return dict(self.client.get_model_version("products", number).tags)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tool(name: str) -> str:
    """A command of this environment, whatever the path says."""
    return str(Path(sys.executable).with_name(name))


def stop(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if HTTP.get(url, timeout=2).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"{url} did not come up:\n{log.read_text()[-3000:]}")


def spawn(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            command, stdout=sink, stderr=sink, env=environment, start_new_session=True, cwd=log.parent
        )


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prefect]:
    """The run's open server, or one of this session's own."""
    folder = tmp_path_factory.mktemp("prefect")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment = {**inherited, **QUIET, "PREFECT_HOME": str(folder)}
    shared = shared_port(OPEN_PREFECT_PORT)
    api = f"http://127.0.0.1:{shared or free_port()}/api"
    with nullcontext() if shared else _server(api, folder, environment):
        yield Prefect(api, {**environment, "PREFECT_API_URL": api})
        _let_go_of_the_server()


@contextmanager
def _server(api: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    copy_template(PREFECT_DATABASE, folder)
    log, port = folder / "server.log", str(urlsplit(api).port)
    process = spawn([tool("prefect"), "server", "start", "--host", "127.0.0.1", "--port", port], log, environment)
    try:
        wait_until_up(f"{api}/health", process, log)
        yield
    finally:
        stop(process)


def _let_go_of_the_server() -> None:
    """What Prefect's threads still hold is sent now: at this process' end they would knock at a closed door."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    APILogWorker.drain_all(timeout=30)
    EventsWorker.drain_all(timeout=30)


@pytest.fixture
def prefect(prefect_server: Prefect) -> Prefect:
    """The session's server, for looking at what flows left there."""
    return prefect_server


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue with the sample and an empty registry, made once and copied: both take seconds to build."""
    from mlflow import MlflowClient

    folder = tmp_path_factory.mktemp("template")
    settings = read_settings({"DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite'}"})
    engine = open_catalogue(settings.database_url)
    loading.load(engine, readers.read_sample(), source="sample", created_at=settings.weeks.epoch)
    MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.sqlite'}").search_experiments()
    return folder


def variables_of(folder: Path) -> dict[str, str]:
    """The environment variables of a home in that folder."""
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'catalogue.sqlite'}",
        "SNAPSHOT_URI": (folder / "snapshots").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.sqlite'}",
        "MLFLOW_UI_URL": "http://mlflow.test",
        "PREFECT_UI_URL": "http://prefect.test",
    }


def copy_stores(origin: Path, folder: Path) -> None:
    """Catalogue and registry; snapshots and artifacts are never altered and are read where they were made."""
    for name in ("catalogue.sqlite", "mlflow.sqlite"):
        shutil.copy(origin / name, folder / name)


@contextmanager
def living_in(folder: Path, server: Prefect) -> Iterator[Home]:
    """This process' environment as that of a home, and the server as the one that flows report to."""
    import mlflow
    from mlflow import MlflowClient
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    reported = {PREFECT_API_URL: server.api, PREFECT_HOME: Path(server.environment["PREFECT_HOME"])}
    with pytest.MonkeyPatch.context() as patch, temporary_settings(reported):
        for name in OUTSIDE:
            patch.delenv(name, raising=False)
        for name, value in (QUIET | variables_of(folder)).items():
            patch.setenv(name, value)
        settings = read_settings()
        mlflow.set_tracking_uri(settings.mlflow_tracking_uri)  # an earlier test's training has left its own
        yield Home(settings, MlflowClient(tracking_uri=settings.mlflow_tracking_uri))


@pytest.fixture
def known_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What serving takes, as if measured: a process a promotion would take seconds of every test."""
    from flows.adapters import serving_costs
    from flows.core.policy import Costs

    size_bytes, memory_bytes, p95_ms = SERVING_COSTS.values()
    known = Costs(int(size_bytes), int(memory_bytes), float(p95_ms))
    monkeypatch.setattr(serving_costs, "measure_costs", lambda *_: known)


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The environment variables of this test's home."""
    return variables_of(tmp_path)


@pytest.fixture
def events(tmp_path: Path) -> Iterator[Callable[[], Events]]:
    """What was told as lineage since the test began."""
    path = tmp_path / "events.jsonl"
    with telling_to(path):
        yield lambda: Events.of_file(path)


@contextmanager
def telling_to(path: Path) -> Iterator[None]:
    """Lineage goes into the file, through a sender of this block's own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in to_file(path).items():
            patch.setenv(name, value)
        patch.setattr(sending, "_made", [])
        yield


@pytest.fixture(scope="session")
def trained(template: Path, prefect_server: Prefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which week 1 made two versions, weak (1) and strong (2, the challenger), and no champion."""
    from flows.pipeline_flow import training_pipeline

    folder = tmp_path_factory.mktemp("trained")
    copy_stores(template, folder)
    with living_in(folder, prefect_server) as home, telling_to(folder / LINEAGE):
        for max_features in (100, 800):
            training_pipeline(week=1, max_features=max_features, auto_promote_threshold=None)
        for number in ("1", "2"):  # as if measured: a process a promotion would take seconds of every test
            for name, value in SERVING_COSTS.items():
                home.client.set_model_version_tag("products", number, name, value)
        home.cut(2)
    return folder


@pytest.fixture
def home(template: Path, prefect_server: Prefect, tmp_path: Path) -> Iterator[Home]:
    """An empty registry beside the sample's catalogue; flows called as plain functions use it."""
    copy_stores(template, tmp_path)
    with living_in(tmp_path, prefect_server) as home:
        yield home


@pytest.fixture
def veteran(trained: Path, prefect_server: Prefect, tmp_path: Path) -> Iterator[Home]:
    """A home of its own that starts where `trained` ended."""
    copy_stores(trained, tmp_path)
    with living_in(tmp_path, prefect_server) as home:
        yield home


@pytest.fixture(scope="session")
def command() -> Callable[[str], str]:
    """Where a command of this environment lies."""
    return tool


@pytest.fixture
def tracking_server(tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]) -> str:
    """The address of a real MLflow server with folders of its own, started as the stack starts one."""
    port, log = free_port(), tmp_path / "tracking.log"
    stores = ["--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.sqlite'}"]
    stores += ["--artifacts-destination", str(tmp_path / "artifacts")]
    served = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    process = start([tool("python"), "-m", "stack.mlflow_server", "server", *served, *stores], log)
    wait_until_up(f"http://127.0.0.1:{port}/health", process, log)
    assert not psutil.Process(process.pid).children(), "the command waits beside its server"
    return f"http://127.0.0.1:{port}"


@contextmanager
def starting(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts processes with these variables and more; they are ended with the block."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(command: list[str], log: Path, **more: str) -> subprocess.Popen[bytes]:
        running.append(spawn(command, log, {**environment, **more}))
        return running[-1]

    try:
        yield begin
    finally:
        for process in running:
            if process.poll() is None:
                stop(process)


@pytest.fixture
def start(prefect_server: Prefect, variables: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a process against the session's server and this test's home; it is ended with the test."""
    with starting({**prefect_server.environment, **variables}) as begin:
        yield begin


@pytest.fixture
def forked(prefect_server: Prefect, variables: dict[str, str]) -> Iterator[Callable[..., BaseProcess]]:
    """Does a module's function in a process of its own, as `start` would, begun in a moment; ended with the test."""
    running: list[BaseProcess] = []

    def begin(work: Callable[[], object], log: Path) -> BaseProcess:
        running.append(fork(work, log, {**prefect_server.environment, **variables}, warm="flows.warm"))
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def start_for_all(prefect_server: Prefect) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """The same for all tests of a file, and without a home."""
    with starting(prefect_server.environment) as begin:
        yield begin
