"""The stack's settings, read once from the environment by the command line.

Owns names and defaults of the variables and the layout of the stack's folder. Starts nothing, opens no connection.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from bridge.switches import read_switch
from factory import use_cases
from factory.settings import SettingsError, read_settings
from factory.use_cases import own
from stack.clean import IDENTITY, MARK, CleanError, is_stacks, read_home

CHECKOUT = Path(__file__).resolve().parents[1]

PORTS = {"PREFECT_PORT": 4200, "MLFLOW_PORT": 5000, "AIRFLOW_PORT": 8080}

_PASSED = re.compile(
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LC_\w+|TZ|TMPDIR|XDG_RUNTIME_DIR|LD_LIBRARY_PATH"
    r"|SSL_CERT_FILE|SSL_CERT_DIR|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE"
    r"|(HTTP|HTTPS|ALL|NO)_PROXY|(http|https|all|no)_proxy"
)
_FACTORY = re.compile(
    r"DRIFT_THRESHOLD|MIN_SAMPLES_FOR_DRIFT|RETRAIN_COOLDOWN_DAYS|INFERENCE_LOG_PATH|DATA_ROOTS|PROMOTION_APPROVAL"
    r"|PROMOTION_(REPOSITORY|BRANCH|FOLDER)|USE_CASE_SETTINGS|OPENLINEAGE_(?!PARENT|ROOT)\w+"
    r"|WEEK_(FIRST_SHARE|WEEKLY_SHARE|TEST_SHARE|SEED)|MONITOR_SCHEDULE_ACTIVE"
)

_NOTIFY = re.compile(r"DISCORD_WEBHOOK_URL|NOTIFY_(APPRISE_URLS|SLACK_CONN_ID|EMAIL_TO|SMTP_CONN_ID)")

LINEAGE_CONFIG = "OPENLINEAGE_CONFIG"

_UNFIT = re.compile(r"[:?#%\x00-\x1f]")


class StackError(Exception):
    """Something that a person can mend; the message names the cause and the remedy."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one stack lies; a second stack needs only a second folder (STACK_HOME)."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def state_file(self) -> Path:
        return self.path / "stack.json"

    @property
    def lock_file(self) -> Path:
        return self.path / "lock"

    @property
    def identity_file(self) -> Path:
        return self.path / IDENTITY

    @property
    def passwords_file(self) -> Path:
        return self.path / "airflow-passwords.json"

    @property
    def mlflow_login_file(self) -> Path:
        return self.path / "mlflow-login.ini"

    @property
    def environment_file(self) -> Path:
        return self.path / "env"

    @property
    def temporary(self) -> Path:
        """In the place of the machine's common one, where Prefect's runner makes a folder that is its first user's."""
        return self.path / "tmp"

    @property
    def tools(self) -> Path:
        return self.path / "bin"

    def log(self, service: str) -> Path:
        return self.logs / f"{service}.log"

    def open_log(self, service: str) -> BinaryIO:
        """A new log, for its owner alone; the one before is kept beside it."""
        log = self.log(service)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        return os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")

    def make(self) -> None:
        """Create the folder with a stack's mark and those for logs and temporary files, for their owner alone.

        An earlier stack left them open. Raises StackError when it cannot be made or holds what no stack made.
        """
        mark = self.path / MARK
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if not (is_stacks(self.path) or self._is_empty()):
                raise StackError(
                    f"STACK_HOME={self.path} holds files that no stack made: nothing was started\n"
                    "  remedy:   name a folder that is empty or not there yet"
                )
            for folder in (self.path, self.logs, self.temporary):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
            mark.touch()
            mark.chmod(0o600)
            mark.write_text("`python -m stack` made this folder; `make clean` removes what a stack makes in it.\n")
        except OSError as error:
            raise StackError(_unusable(self.path, error.strerror or str(error))) from error

    def require_access(self) -> None:
        """Pass if the folder is not there or this user's to use; raises StackError otherwise."""
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise StackError(_unusable(self.path, "it is no folder"))
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            raise StackError(_unusable(self.path, "another user made it"))

    def _is_empty(self) -> bool:
        """But for data that a person may have put there (`factory.settings.data_folders`), and the installer's logs."""
        others = {path for path in self.path.iterdir() if path.name != "data"}
        return others <= {self.logs} and all(log.match("install-*.log") for log in self.logs.glob("*"))


LEAST_FLOW_RUNS = 2
"""Where nothing is said, as many as processors, and no fewer than this: a flow run also waits for others."""


@dataclass(frozen=True, slots=True)
class StackSettings:
    """`database` is `embedded`, `sqlite` or a PostgreSQL URL; `passed` is what services get of the user's shell,
    `notify` who hears of runs."""

    home: Home
    prefect_port: int
    mlflow_port: int
    airflow_port: int
    database: str
    airflow_schedule: str
    flows: str = "served"
    """How Prefect's flow runs are started: `served`, forked from a warm process, or by a `worker` of a work pool."""
    flow_runs: int = 2
    """So many flow runs go on at once; others wait for their turn."""
    passed: Mapping[str, str] = field(default_factory=dict)
    notify: Mapping[str, str] = field(default_factory=dict)
    factory: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> dict[str, int]:
        """Port by the variable that sets it."""
        return dict(zip(PORTS, (self.prefect_port, self.mlflow_port, self.airflow_port), strict=True))

    @property
    def prefect_url(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        return f"http://127.0.0.1:{self.airflow_port}"

    def variables(self) -> dict[str, str]:
        """The environment from which the same settings are read again."""
        return {
            **self.passed,
            **self.factory,
            **self.notify,
            **{name: str(port) for name, port in self.ports.items()},
            "STACK_HOME": str(self.home.path),
            "DATABASE": self.database,
            "AIRFLOW_SCHEDULE": self.airflow_schedule,
            "FLOWS": self.flows,
            "FLOW_RUNS": str(self.flow_runs),
        }


def read_stack_settings(environ: Mapping[str, str] = os.environ) -> StackSettings:
    """The settings of this process; FREE_PORTS=1 takes free ports wherever none is named.

    Raises StackError naming the variable whose value cannot be used. An empty variable counts as not set.
    """
    takes_free = switch("FREE_PORTS", environ)
    free = iter(free_ports(len(PORTS)) if takes_free else PORTS.values())
    ports = {name: _port(name, environ.get(name), default) for name, default in zip(PORTS, free, strict=True)}
    if len(set(ports.values())) < len(ports):
        raise StackError("two services would share a port: " + ", ".join(f"{k}={v}" for k, v in ports.items()))
    return StackSettings(
        home=Home(_home(environ)),
        prefect_port=ports["PREFECT_PORT"],
        mlflow_port=ports["MLFLOW_PORT"],
        airflow_port=ports["AIRFLOW_PORT"],
        database=_database(environ.get("DATABASE") or "embedded"),
        airflow_schedule=environ.get("AIRFLOW_SCHEDULE") or "none",
        flows=_flows(environ.get("FLOWS") or "served"),
        flow_runs=_flow_runs(environ.get("FLOW_RUNS") or str(max(LEAST_FLOW_RUNS, os.cpu_count() or 1))),
        passed={name: value for name, value in environ.items() if _PASSED.fullmatch(name)},
        notify={name: value for name, value in environ.items() if value and _NOTIFY.fullmatch(name)},
        factory=_factory(environ),
    )


def switch(name: str, environ: Mapping[str, str] = os.environ) -> bool:
    """A variable that says yes or no, which without a word is no; raises StackError where it says neither."""
    try:
        return read_switch(name, environ.get(name), default=False)
    except ValueError as error:
        raise StackError(str(error)) from None


def free_ports(count: int) -> list[int]:
    """That many different TCP ports of 127.0.0.1 which nobody listens on at this moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def _factory(environ: Mapping[str, str]) -> dict[str, str]:
    """The factory's settings of this shell, looked at now: the services would meet a wrong one minutes later."""
    given = {name: value for name, value in environ.items() if value and _FACTORY.fullmatch(name)}
    switch("MONITOR_SCHEDULE_ACTIVE", given)
    if path := own.settings_file(given):
        given[own.VARIABLE] = str(path)  # the services run in other folders
    if lineage := given.get(LINEAGE_CONFIG):
        given[LINEAGE_CONFIG] = str(Path(lineage).absolute())
    try:
        read_settings(given)
        use_cases.current(given)
    except SettingsError as error:
        raise StackError(str(error)) from error
    return given


def _home(environ: Mapping[str, str]) -> Path:
    try:
        home = read_home(environ)
    except CleanError as error:
        raise StackError(str(error)) from None
    if found := _UNFIT.search(str(home)):
        raise StackError(
            f"STACK_HOME={str(home)!r} holds {found[0]!r}, which means something in an address or in PATH\n"
            "  remedy:   name another folder"
        )
    return home


def _unusable(home: Path, why: str) -> str:
    return (
        f"the stack's folder {home} cannot be used: {why}\n"
        "  remedy:   name a folder of your own, e.g. make up STACK_HOME=~/stack"
    )


def _port(name: str, text: str | None, default: int) -> int:
    if not text:
        return default
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise StackError(f"{name}={text!r} is no port: give a number from 1 to 65535")


def _database(text: str) -> str:
    if text in {"embedded", "sqlite"} or re.match(r"postgres(ql)?(\+\w+)?://", text):
        return text
    raise StackError("DATABASE must be 'embedded', 'sqlite' or the URL of a PostgreSQL server (postgresql://…)")


def _flows(text: str) -> str:
    if text in {"served", "worker"}:
        return text
    raise StackError(f"FLOWS={text!r} must be 'served' or 'worker'")


def _flow_runs(text: str) -> int:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise StackError(f"FLOW_RUNS={text!r} is no number of flow runs: give one from 1 on")
