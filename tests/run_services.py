"""The services that the lanes of one run share, from nothing: PostgreSQL, two Prefects, migrated databases to copy."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests import shared_services
from tests.live_airflow import AIRFLOW_PYTHON
from tests.live_postgresql import live_postgresql
from tests.live_prefect import CHECKOUT, ML_PYTHON, LivePrefect

FLOWS = CHECKOUT / "tests" / "contract" / "forked_flows.py"
DEPLOYMENTS = 5


@contextmanager
def run_services(folder: Path) -> Iterator[dict[str, str]]:
    """The environment variables by which lanes find what they share; ended with the block."""
    templates = folder / "templates"
    templates.mkdir()
    basic_auth = f"{shared_services.GUARDED_USER}:{shared_services.GUARDED_PASSWORD}"
    guarded = LivePrefect(folder / "guarded", basic_auth=basic_auth)
    with ExitStack() as stack:
        url = stack.enter_context(live_postgresql())
        server = LivePrefect(folder / "open", database_url=url.replace("postgresql://", "postgresql+asyncpg://", 1))
        with ThreadPoolExecutor() as pool:
            coming = [
                pool.submit(stack.enter_context, _serving(server)),
                pool.submit(_migrate_airflow, templates),
                pool.submit(_migrate_prefect, templates),
            ]
            coming[-1].result()
            os.environ[shared_services.TEMPLATES] = str(templates)
            coming.append(pool.submit(stack.enter_context, _serving(guarded)))
            for each in coming:
                each.result()
        yield {
            shared_services.POSTGRESQL_URL: url,
            shared_services.TEMPLATES: str(templates),
            shared_services.OPEN_PREFECT_PORT: str(server.port),
            shared_services.GUARDED_PREFECT_PORT: str(guarded.port),
        }


@contextmanager
def _serving(server: LivePrefect) -> Iterator[None]:
    try:
        server.start()
        with server.serving(FLOWS, "t", flows=DEPLOYMENTS):
            yield
    finally:
        server.stop()


def _migrate_prefect(templates: Path) -> None:
    home = {"PREFECT_HOME": str(templates)}
    _call(templates / "prefect.log", home, str(ML_PYTHON), "-m", "prefect", "server", "database", "upgrade", "--yes")


def _migrate_airflow(templates: Path) -> None:
    database = templates / shared_services.AIRFLOW_DATABASE
    home = {"AIRFLOW_HOME": str(templates), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}"}
    _call(templates / "airflow.log", home, str(AIRFLOW_PYTHON), "-m", "airflow", "db", "migrate")


def _call(log: Path, environment: dict[str, str], *command: str) -> None:
    with log.open("wb") as output:
        done = subprocess.run(command, env=os.environ | environment, stdout=output, stderr=subprocess.STDOUT)
    assert done.returncode == 0, f"{' '.join(command)}:\n{log.read_text()}"
