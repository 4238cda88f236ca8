"""A real Airflow for this process: a home and a database of its own, made before Airflow is first imported."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from tests.live_airflow import LiveAirflow, live_airflow
from tests.live_prefect import CHECKOUT, LivePrefect
from tests.shared_services import AIRFLOW_DATABASE, copy_template

if TYPE_CHECKING:
    from airflow.models.dagbag import DagBag
    from airflow.models.taskinstance import TaskInstance

SCENARIOS = Path(__file__).with_name("dags")
LIVE_DAGS = Path(__file__).with_name("live_dags")
REACTING = CHECKOUT / "docs" / "how-to" / "react-to-prefect.md"
HOME = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Airflow reads its settings when it is imported, and tests import it while they are collected."""
    home = tempfile.mkdtemp(prefix="airflow-")
    config.stash[HOME] = home
    copy_template(AIRFLOW_DATABASE, Path(home))
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": str(SCENARIOS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__API__BASE_URL": "http://airflow.test",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__AUTH_MANAGER": "tests.airflow.per_dag_auth.PerDagAuthManager",
        "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-at-least-sixty-four-bytes-for-tests-of-this-project-only",
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(config.stash[HOME], ignore_errors=True)


@pytest.fixture(scope="session")
def scenarios() -> DagBag:
    """The DAGs of this folder, with a metadata database in which they can run."""
    from airflow.dag_processing.dagbag import DagBag
    from airflow.utils.db import initdb

    initdb()
    bag = DagBag(SCENARIOS)
    assert not bag.import_errors
    return bag


@pytest.fixture(scope="session")
def live(prefect: LivePrefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    """An Airflow of real services, with the DAGs of `live_dags/` and that of the page on reacting to Prefect."""
    home = tmp_path_factory.mktemp("live-airflow")
    dags = shutil.copytree(LIVE_DAGS, home / "dags")
    [example] = re.findall(r"```python\n(.*?)```", REACTING.read_text(), re.DOTALL)
    (dags / "after_training.py").write_text(example)
    with live_airflow(home, dags, prefect.api_url) as running:
        yield running


@pytest.fixture
def weekly() -> DagBag:
    """The project's own DAGs."""
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(CHECKOUT / "dags")


@pytest.fixture
def client(prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client on the server that Airflow's connection `prefect_default` names."""
    address = urlsplit(prefect.api_url)
    connection = {"conn_type": "prefect", "host": f"http://{address.hostname}", "port": address.port}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
    with PrefectClient(PrefectConnection(prefect.api_url)) as opened:
        yield opened


@dataclass
class Played:
    """A DAG run that has ended, and what its failing attempts raised."""

    dag_run: Any
    raised: list[BaseException]

    def ti(self, task_id: str, map_index: int = -1) -> TaskInstance:
        found: TaskInstance = self.dag_run.get_task_instance(task_id, map_index=map_index)
        assert found is not None, f"{task_id}[{map_index}] is not there"
        return found

    def state(self, task_id: str) -> str:
        return str(self.ti(task_id).state)

    def xcom(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        return self.ti(task_id, map_index).xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


@pytest.fixture
def play(scenarios: DagBag) -> Callable[..., Played]:
    """Run a DAG of this folder to its end, in this process, with `dag.test()`."""

    def run(dag_id: str, **conf: object) -> Played:
        dag = scenarios.dags[dag_id]
        raised: list[BaseException] = []
        for task in dag.tasks:
            task.on_failure_callback = task.on_retry_callback = [lambda context: raised.append(context["exception"])]
        return Played(dag.test(run_conf=conf), raised)

    return run
