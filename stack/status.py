"""What runs, as lines to print: service, state, process, memory, CPU and address, then the logins.

Reads and measures; changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from bridge.plain_text import as_lines
from factory.sizes import megabytes
from stack.identity import ADMIN, load_identity
from stack.postgresql import postgresql_process
from stack.processes import cpu_seconds, family, pss_bytes
from stack.settings import Home
from stack.state import StackState, read_state

MEASURE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; memory is PSS in bytes, `cpu` the share of one core."""

    name: str
    phase: str
    pid: int | None = None
    memory_bytes: int = 0
    cpu: float = 0.0
    address: str = ""
    restarts: int = 0


def status_lines(home: Home) -> list[str]:
    """The stack's table with a sum and the logins, or one line that says that nothing runs."""
    state = read_state(home)
    if state is None:
        return ["nothing runs (make up, or make demo)"]
    if not state.is_alive:
        why = state.error or "its supervisor is gone: `make down` ends what it left behind"
        return [f"the stack does not run: {as_lines(why)}"]  # a log's last lines may be a flow's
    rows = measure(home, state)
    return [*table_lines(rows), "", *login_lines(home, state)]


def measure(home: Home, state: StackState, seconds: float = MEASURE_SECONDS) -> list[Row]:
    """A row for each service and for the supervisor and the database; CPU over that many seconds."""
    groups = _groups(home, state)
    before = {name: cpu_seconds(processes) for name, processes in groups.items()}
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    rows = []
    for name, processes in groups.items():
        service = state.services.get(name)
        rows.append(
            Row(
                name,
                service.phase if service else "ready",
                processes[0].pid if processes else None,
                pss_bytes(processes),
                max(0.0, cpu_seconds(processes) - before[name]) / passed,
                (service.address or "") if service else "",
                service.restarts if service else 0,
            )
        )
    return rows


def table_lines(rows: list[Row]) -> list[str]:
    """The rows under a heading, with their sum."""
    lines = [f"{'service':<22}{'state':<9}{'pid':>7}{'memory':>11}{'CPU':>7}  address"]
    for row in rows:
        memory = megabytes(row.memory_bytes, 0)
        line = f"{row.name:<22}{row.phase:<9}{row.pid or '-':>7}{memory:>11}{row.cpu:>7.1%}  {row.address}"
        again = f"  started again: {row.restarts}" if row.restarts else ""
        lines.append((line + again).rstrip())
    memory = megabytes(sum(row.memory_bytes for row in rows), 0)
    lines.append(f"{'together':<38}{memory:>11}{sum(row.cpu for row in rows):>7.1%}")
    return lines


def login_lines(home: Home, state: StackState) -> list[str]:
    """Addresses and logins of the three web interfaces."""
    identity = load_identity(home)
    port = state.ports
    return [
        f"Airflow  http://127.0.0.1:{port['AIRFLOW_PORT']}   login {ADMIN} / {identity.admin_password}",
        f"Prefect  http://127.0.0.1:{port['PREFECT_PORT']}   login {identity.prefect_secret} (in one field)",
        f"MLflow   http://127.0.0.1:{port['MLFLOW_PORT']}   login {ADMIN} / {identity.mlflow_password}",
    ]


def _groups(home: Home, state: StackState) -> dict[str, list[psutil.Process]]:
    groups = {}
    for name, service in state.services.items():
        process = service.process.process() if service.process else None
        if process or not service.is_step:
            groups[name] = family(process) if process else []
    supervisor, database = state.supervisor.process(), postgresql_process(home)
    groups["supervisor"] = [supervisor] if supervisor else []
    if database:
        groups["postgresql"] = family(database)
    return groups
