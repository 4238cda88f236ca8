"""A real Prefect server for tests, started from the environment that has one, and flows served to it.

Standard library and httpx alone: it is used on Airflow's side, where Prefect is not installed.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.shared_services import PREFECT_DATABASE, copy_template

CHECKOUT = Path(__file__).resolve().parents[1]
ML_PYTHON = Path(os.environ.get("BRIDGE_ML_PYTHON", CHECKOUT / ".venv-ml" / "bin" / "python"))
START_SECONDS = 600
BUSY_SECONDS = 120
SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


def wait_until(holds: Callable[[], Any], what: str, seconds: float = 600) -> None:
    """Look until it holds; raises AssertionError naming `what` after so many seconds.

    Most of the time passes between looks: what is waited for needs the processor as well.
    """
    deadline = time.monotonic() + seconds
    while True:
        began = time.monotonic()
        if holds():
            return
        now = time.monotonic()
        assert now < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(min(LONGEST_PAUSE_SECONDS, max(SHORTEST_PAUSE_SECONDS, 5 * (now - began))))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class LivePrefect:
    """One server; it can be killed and started again on its port with its data, in SQLite where no URL is given."""

    home: Path
    port: int = field(default_factory=free_port)
    basic_auth: str | None = None
    database_url: str | None = None
    _server: subprocess.Popen[bytes] | None = None
    # No connection is kept: the server closes idle ones.
    _http: httpx.Client = field(
        default_factory=lambda: httpx.Client(
            timeout=120, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
    )

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def environment(self) -> dict[str, str]:
        auth = {"PREFECT_API_AUTH_STRING": self.basic_auth, "PREFECT_SERVER_API_AUTH_STRING": self.basic_auth}
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
            **({name: value for name, value in auth.items() if value}),
            "PREFECT_HOME": str(self.home),
            "PYTHONPATH": str(CHECKOUT),  # before what is installed: that has a package `tests` as well
            **({"PREFECT_SERVER_DATABASE_CONNECTION_URL": self.database_url} if self.database_url else {}),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            # each time it looks for tasks below every run that was ever cancelled here, hundreds
            "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": "600",
            # no test waits for what these look for every few seconds
            "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "600",
            "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "600",
            "PREFECT_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": "600",
            # no test here has an automation, and each event would be held against all: a fifth of the server's work
            "PREFECT_SERVER_SERVICES_TRIGGERS_ENABLED": "false",
        }

    def start(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if self.database_url is None:
            copy_template(PREFECT_DATABASE, self.home)
        command = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self.port)]
        self._server = self._run(command, "server.log")
        wait_until(self._answers, f"Prefect's server answers, see {self.home / 'server.log'}", START_SECONDS)

    def kill(self) -> None:
        """End the server at once, as a lost machine would."""
        _end(self._server, signal.SIGKILL)

    def stop(self) -> None:
        _end(self._server, signal.SIGTERM)

    @contextmanager
    def serving(self, script: Path, name: str, flows: int) -> Iterator[None]:
        """The script's flows, served as deployments of that name."""
        served = self._run([str(script), name], "serve.log")

        def are_there() -> bool:
            assert served.poll() is None, (self.home / "serve.log").read_text()
            return self._deployed(name) == flows

        try:
            wait_until(are_there, f"the flows of {script.name} are served", START_SECONDS)
            yield
        finally:
            _end(served, signal.SIGTERM)

    def request(self, method: str, path: str, json: Any = None) -> Any:
        """What the server answers to a plain request; while its SQLite is locked (503) it is asked again."""
        auth = tuple(self.basic_auth.split(":", 1)) if self.basic_auth else None
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            answer = self._http.request(method, f"{self.api_url}{path}", json=json, auth=auth)
            if answer.status_code != 503 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def run_by_hand(self, *state_types: str) -> str:
        """The id of a run that no process serves, put into these states one after another."""
        flow = self.request("POST", "/flows/", {"name": "by-hand"})
        flow_run_id = str(self.request("POST", "/flow_runs/", {"flow_id": flow["id"]})["id"])
        for state_type in state_types:
            self.put_state(flow_run_id, state_type)
        return flow_run_id

    def put_state(self, flow_run_id: str, state_type: str, name: str = "") -> None:
        """Whatever state the run is in: this one now."""
        state = {"type": state_type, "name": name or state_type.title()}
        self.request("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": state, "force": True})

    def _answers(self) -> bool:
        assert self._server is not None
        assert self._server.poll() is None, (self.home / "server.log").read_text()
        try:
            return self._http.get(f"{self.api_url}/health", timeout=2).status_code < 500
        except httpx.HTTPError:
            return False

    def _deployed(self, name: str) -> int:
        found = self.request("POST", "/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        return sum(each["status"] == "READY" for each in found)

    def _run(self, arguments: list[str], log: str) -> subprocess.Popen[bytes]:
        self.home.mkdir(parents=True, exist_ok=True)
        with (self.home / log).open("ab") as output:
            return subprocess.Popen(
                [str(ML_PYTHON), *arguments],
                env=self.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def _end(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    os.killpg(process.pid, number)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=20)
