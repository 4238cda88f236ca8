"""The real Prefect server of a measurement, and the flow runs that are driven to their end on it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

from stack.database import start_databases
from stack.postgresql import stop_postgresql
from stack.services import ML
from stack.settings import CHECKOUT, read_stack_settings

START_SECONDS = 90
LOOK_SECONDS = 0.2
"""Between two looks whether the server answers yet, before anything is measured."""
PARALLEL = 8
CREATED_AT_ONCE = 2
"""More make Prefect on SQLite keep one of them waiting for minutes."""


@dataclass(frozen=True)
class Server:
    """A server that answers at `api_url`."""

    api_url: str
    process: psutil.Process


@contextmanager
def prefect_server(home: Path, database: str) -> Iterator[Server]:
    """A server with a database of its own; `database` is `embedded` (PostgreSQL) or `sqlite`."""
    settings = read_stack_settings({"STACK_HOME": str(home), "FREE_PORTS": "1", "DATABASE": database})
    urls = start_databases(settings)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": urls.prefect,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [str(ML / "prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(settings.prefect_port)]
    with (home / "prefect.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment, cwd=CHECKOUT, stdout=log, stderr=log)
    try:
        api_url = f"http://127.0.0.1:{settings.prefect_port}/api"
        _await_answer(api_url, process, home)
        yield Server(api_url, psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(30)
        stop_postgresql(settings.home)


def _await_answer(api_url: str, process: subprocess.Popen[bytes], home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.HTTPError):  # it does not listen yet
            if httpx.get(f"{api_url}/health", timeout=2, trust_env=False).is_success:
                return
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"Prefect's server does not start, see {home / 'prefect.log'}")


async def create_runs(api_url: str, count: int) -> list[str]:
    """The ids of so many flow runs, which all say RUNNING."""
    async with _client(api_url) as client:
        flow = await _post(client, "/flows/", {"name": "measured"})
        gate = asyncio.Semaphore(CREATED_AT_ONCE)

        async def create() -> str:
            async with gate:
                state = {"type": "RUNNING", "name": "Running"}
                return str((await _post(client, "/flow_runs/", {"flow_id": flow["id"], "state": state}))["id"])

        return list(await asyncio.gather(*(create() for _ in range(count))))


async def end_runs(
    api_url: str, flow_run_ids: list[str], drive_seconds: float, *, closing_line: bool = False
) -> dict[str, float]:
    """Complete the runs one after another, evenly over the time; when each state came about, by the server's clock.

    Seconds since the epoch. With `closing_line` each run's log is closed with it, as a flow's process does.
    """
    begun = time.time()
    async with _client(api_url) as client:

        async def end(position: int, flow_run_id: str) -> tuple[str, float]:
            await asyncio.sleep(begun + drive_seconds * position / len(flow_run_ids) - time.time())
            wanted = {"state": {"type": "COMPLETED", "name": "Completed"}, "force": True}
            answer = await _post(client, f"/flow_runs/{flow_run_id}/set_state", wanted)
            moment = answer["state"]["timestamp"]
            if closing_line:
                line = {"name": "prefect.flow_runs", "level": 20, "message": "Finished in state Completed()"}
                await _post(client, "/logs/", [{**line, "timestamp": moment, "flow_run_id": flow_run_id}])
            return flow_run_id, datetime.fromisoformat(moment).timestamp()

        return dict(await asyncio.gather(*(end(*each) for each in enumerate(flow_run_ids))))


def _client(api_url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=PARALLEL, keepalive_expiry=4)
    return httpx.AsyncClient(base_url=api_url, timeout=httpx.Timeout(600, pool=None), trust_env=False, limits=limits)


async def _post(client: httpx.AsyncClient, path: str, body: Any) -> Any:
    """The answer. Another try is made where SQLite is locked (503), where an overloaded server fails (500), and
    where it has just closed this connection.
    """
    for attempt in range(100):
        try:
            answer = await client.post(path, json=body)
            if answer.status_code < 500:
                return answer.raise_for_status().json() if answer.content else None
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass
        await asyncio.sleep(0.05 * (attempt + 1))
    raise RuntimeError(f"{path} failed a hundred times")
