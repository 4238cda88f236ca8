"""Times of the page's views, and the requests that one and ten viewers cost Prefect, with everything real.

Runs in Airflow's environment (`make bench-control-page`); Prefect is started from its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.control_page.many_runs import multiply
from tests.live_prefect import CHECKOUT, LivePrefect

PAGE = "/control-page"
LIVE_SECONDS = {"": 4.0, "/runs": 3.0, "/runs/{run}": 3.0}
"""How often the page's script looks again, by view."""
REPEATS = 15


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long viewers look")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prefect = LivePrefect(home / "prefect")
        prefect.start()
        try:
            run_id = _fill(prefect, chosen.runs)
            _configure(home, prefect)
            asyncio.run(_measure(run_id, chosen.seconds))
        finally:
            prefect.stop()


def _fill(prefect: LivePrefect, runs: int) -> str:
    """The id of one run of the training, beside so many copies of it."""
    first = ""
    for stem in ("score", "training-pipeline", "promotion", "monitor-and-retrain"):
        flow = prefect.request("POST", "/flows/", {"name": stem})
        made = prefect.request("POST", "/deployments/", {"name": "products", "flow_id": flow["id"]})
        if stem == "training-pipeline":
            asked = {"state": {"type": "SCHEDULED"}}
            first = prefect.request("POST", f"/deployments/{made['id']}/create_flow_run", asked)["id"]
    prefect.put_state(first, "RUNNING")
    multiply(prefect.home / "prefect.db", first, runs)
    return first


def _configure(home: Path, prefect: LivePrefect) -> None:
    """Airflow reads its settings when it is first imported."""
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps({"conn_type": "prefect", "host": prefect.api_url}),
        "DATABASE_URL": f"sqlite:///{home}/catalogue.sqlite",
    }


async def _measure(run_id: str, seconds: float) -> None:
    import httpx
    from airflow.api_fastapi.app import create_app
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.utils.db import initdb

    from factory.catalogue.database import open_catalogue

    initdb()
    open_catalogue(os.environ["DATABASE_URL"])  # the weekly pipeline's first run makes it, not the first viewer
    app = create_app(apps="core")
    token = app.state.auth_manager.generate_jwt(SimpleAuthManagerUser(username="admin", role="ADMIN"))
    asked = _count_requests()
    transport = httpx.ASGITransport(app=app)
    cookies = {"_token": token}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow.test", cookies=cookies) as viewer:
        print("| view | first, ms | again: median, ms | worst, ms |\n|---|---|---|---|")
        for path in ("", "/runs", "/runs?page=200", "/runs?state=Failed", f"/runs/{run_id}", "/deployments"):
            times = [await _paint(viewer, path) for _ in range(REPEATS)]
            again = times[1:]
            print(f"| `{path or '/'}` | {times[0]:.0f} | {statistics.median(again):.0f} | {max(again):.0f} |")
            await asyncio.sleep(12)  # the budget of requests fills again
        print("\n| viewers | looks a second | requests to Prefect a second |\n|---|---|---|")
        for viewers in (1, 10):
            before, looks = asked[0], [0]
            await asyncio.gather(*(_watch(viewer, run_id, number, seconds, looks) for number in range(viewers)))
            print(f"| {viewers} | {looks[0] / seconds:.2f} | {(asked[0] - before) / seconds:.2f} |")


async def _paint(viewer: Any, path: str) -> float:
    """Milliseconds until the page is there."""
    began = time.perf_counter()
    answer = await viewer.get(f"{PAGE}{path}" if path else f"{PAGE}/")
    answer.raise_for_status()
    return 1000 * (time.perf_counter() - began)


async def _watch(viewer: Any, run_id: str, number: int, seconds: float, looks: list[int]) -> None:
    """One viewer: the first looks at the running run, the others at the lists."""
    path, pause = list(LIVE_SECONDS.items())[(number + 2) % 3]
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        where = f"{PAGE}{path.format(run=run_id) or '/'}"
        answer = await viewer.get(where, headers={"X-Live": "1"})
        answer.raise_for_status()
        looks[0] += 1
        await asyncio.sleep(pause)


def _count_requests() -> list[int]:
    """A counter of everything that the process sends to Prefect, below the page's own budget."""
    from bridge.prefect_api.client import AsyncPrefectClient

    asked, send = [0], AsyncPrefectClient._send  # noqa: SLF001

    async def counted(self: Any, request: Any) -> Any:
        asked[0] += 1
        return await send(self, request)

    AsyncPrefectClient._send = counted  # type: ignore[method-assign]  # noqa: SLF001
    return asked


if __name__ == "__main__":
    main()
