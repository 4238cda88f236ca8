"""A real Airflow for tests: its four services on loopback with a SQLite database, each of which can be killed.

Standard library and httpx alone: Airflow is started from the environment that has it. Imports nothing of Airflow's.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.live_prefect import CHECKOUT, free_port, wait_until
from tests.shared_services import AIRFLOW_DATABASE, copy_template

AIRFLOW_PYTHON = Path(os.environ.get("BRIDGE_AIRFLOW_PYTHON", CHECKOUT / ".venv-airflow" / "bin" / "python"))
START_SECONDS = 600
ADMIN = "admin"
PASSWORD = "a-password-for-tests"
SECRET = "a-secret-of-at-least-sixty-four-bytes-for-tests-of-this-project-only"
FERNET_KEY = "Zm9yLXRlc3RzLW9mLXRoaXMtcHJvamVjdC1vbmx5ISE="
SERVICES = {
    "api-server": ("api-server", "--host", "127.0.0.1", "--workers", "1"),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}


@dataclass
class LiveAirflow:
    """One Airflow; `dags` is its folder of DAG files, `prefect_api_url` what its connection `prefect_default` names."""

    home: Path
    dags: Path
    prefect_api_url: str
    port: int = field(default_factory=free_port)
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further settings of Airflow's, by the names of its environment."""
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120, trust_env=False))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        passwords = self.home / "passwords.json"
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "PREFECT_"))},
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps({"conn_type": "prefect", "host": self.prefect_api_url}),
            # so long a service waits while another writes; by default 5 s, which a busy machine exceeds
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}?timeout=120",
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(self.home / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "4",
            # else each of the services that start at once may make one up, and none reads what another has encrypted
            "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": SECRET,
            "AIRFLOW__API_AUTH__JWT_SECRET": SECRET,
            "AIRFLOW__SCHEDULER__ENABLE_HEALTH_CHECK": "False",
            "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
            "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
            # a file that has changed is read at the next refresh; one that changed while it was read, after so long
            "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "120",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            # so soon after a triggerer was lost another takes over
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "4",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "DO_NOT_TRACK": "1",
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }

    def start(self) -> None:
        """All four services, on a new database."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / "passwords.json").write_text(json.dumps({ADMIN: PASSWORD}))
        if not copy_template(AIRFLOW_DATABASE, self.home):
            migrated = self._spawn("migrate", ("db", "migrate")).wait(START_SECONDS)
            assert migrated == 0, (self.home / "migrate.log").read_text()
        for service in SERVICES:
            self.start_service(service)
        wait_until(self._is_up, f"Airflow answers, see {self.home}", START_SECONDS)

    def stop(self) -> None:
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        for service in list(self._running):
            self.kill_service(service)
        self._http.close()

    def start_service(self, service: str) -> None:
        self._running[service] = self._spawn(service, SERVICES[service])

    def lives(self, service: str) -> bool:
        return self._running[service].poll() is None

    def kill_service(self, service: str) -> None:
        """-9 for the service and all its children, as a lost machine would."""
        process = self._running.pop(service)
        _signal(process, signal.SIGKILL)
        process.wait(20)

    def stop_service(self, service: str) -> None:
        """Ask it to end, as an administrator does, and wait until it has."""
        process = self._running.pop(service)
        _signal(process, signal.SIGTERM)
        process.wait(60)

    def rows(self, query: str, *values: Any) -> list[Any]:
        """What the metadata database answers."""
        with closing(sqlite3.connect(f"file:{self.home / 'airflow.db'}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def change(self, statement: str, *values: Any) -> None:
        """Put the metadata database into a state that only a loss at the wrong moment leaves behind."""
        with closing(sqlite3.connect(self.home / "airflow.db", timeout=30)) as database, database:
            database.execute(statement, values)

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """What the REST API answers to an administrator."""
        if "Authorization" not in self._http.headers:
            login = {"username": ADMIN, "password": PASSWORD}
            token = self._http.post(f"{self.url}/auth/token", json=login).raise_for_status().json()["access_token"]
            self._http.headers["Authorization"] = f"Bearer {token}"
        answer = self._http.request(method, f"{self.url}/api/v2{path}", json=body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def results(self, dag_id: str, task_id: str) -> list[Any]:
        """What the task of each successful DAG run has handed back, the oldest run first."""
        found = self.rows(
            "SELECT xcom.value FROM xcom JOIN dag_run USING (dag_id, run_id)"
            " WHERE dag_id = ? AND dag_run.state = 'success' AND task_id = ? AND key = 'return_value'"
            " ORDER BY dag_run.id",
            dag_id,
            task_id,
        )
        return [_decoded(value) for (value,) in found]

    def _is_up(self) -> bool:
        assert all(process.poll() is None for process in self._running.values()), f"a service died, see {self.home}"
        try:
            health = self._http.get(f"{self.url}/api/v2/monitor/health", timeout=5).json()
        except (httpx.HTTPError, ValueError):
            return False
        return all(health[part]["status"] == "healthy" for part in ("scheduler", "dag_processor", "triggerer"))

    def _spawn(self, name: str, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        with (self.home / f"{name}.log").open("ab") as output:
            return subprocess.Popen(
                [str(AIRFLOW_PYTHON), "-m", "airflow", *arguments],
                env=self.environment,
                cwd=CHECKOUT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


@contextmanager
def live_airflow(
    home: Path, dags: Path, prefect_api_url: str, settings: Mapping[str, str] | None = None
) -> Iterator[LiveAirflow]:
    """Airflow from nothing, ended with the block."""
    airflow = LiveAirflow(home, dags, prefect_api_url, settings=settings or {})
    try:
        airflow.start()
        yield airflow
    finally:
        airflow.stop()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # all of the group have ended
        os.killpg(process.pid, number)


def _decoded(value: Any) -> Any:
    """Airflow stores a value as JSON, in a column of JSON."""
    while isinstance(value, str):
        value = json.loads(value)
    return value
