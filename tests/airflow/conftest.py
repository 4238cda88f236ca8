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
from bridge.testing import FakePrefect
from bridge.waiting import until_final
from bridge.waiting.until_final import Terms
from tests.airflow.talkative_airflow import TalkativeAirflow, talkative_airflow
from tests.contract.fronts import Switch, switch
from tests.live_airflow import LiveAirflow, live_airflow
from tests.live_prefect import CHECKOUT, LivePrefect
from tests.shared_services import AIRFLOW_DATABASE, GUARDED_PASSWORD, GUARDED_USER, copy_template

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
    """The DAGs of this folder, with a metadata database in which they stand and can run."""
    from airflow.dag_processing import dagbag
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.db import initdb

    initdb()
    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    [bundle] = manager.get_all_dag_bundles()
    bag = dagbag.BundleDagBag(SCENARIOS, bundle_path=bundle.path, bundle_name=bundle.name)
    assert not bag.import_errors
    dagbag.sync_bag_to_db(bag, bundle.name, bundle.version)
    return bag


@pytest.fixture(scope="session")
def front(prefect: LivePrefect) -> Iterator[Switch]:
    """By which the Airflow of real services reaches Prefect."""
    with switch(urlsplit(prefect.api_url).port or 80) as front:
        yield front


@pytest.fixture(scope="session")
def live(front: Switch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    """An Airflow of real services, with the DAGs of `live_dags/` and that of the page on reacting to Prefect.

    It soon sees a DAG file that has changed, and a task that gives no sign of life any more.
    """
    home = tmp_path_factory.mktemp("live-airflow")
    dags = shutil.copytree(LIVE_DAGS, home / "dags")
    [example] = re.findall(r"```python\n(.*?)```", REACTING.read_text(), re.DOTALL)
    (dags / "after_training.py").write_text(example)
    settings = {
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "1",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    }
    with live_airflow(home, dags, f"http://127.0.0.1:{front.port}/api", settings) as running:
        yield running


@pytest.fixture(scope="session")
def guarded_fake() -> Iterator[FakePrefect]:
    """A Prefect that lets nobody in without user and password, and answers as the tests say."""
    with FakePrefect(basic_auth=f"{GUARDED_USER}:{GUARDED_PASSWORD}") as fake:
        yield fake


@pytest.fixture(scope="session")
def talkative(guarded_fake: FakePrefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TalkativeAirflow]:
    """An Airflow of real services in front of it, with the project's own DAGs."""
    with talkative_airflow(tmp_path_factory.mktemp("talkative"), guarded_fake) as running:
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


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets a run that has begun seem to have been asked for so many seconds earlier: no limit has to be waited for."""
    limit = until_final._next_limit

    def make(seconds: float) -> None:
        def earlier(terms: Terms, asked_at: float, *, started: bool) -> tuple[str | None, float | None]:
            return limit(terms, asked_at - seconds if started else asked_at, started=started)

        monkeypatch.setattr(until_final, "_next_limit", earlier)

    return make


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
    """Run a DAG of this folder to its end, in this process, with `dag.test()`.

    That would parse all files and write all DAGs each time it is called; they stand in the database already.
    """
    from airflow.dag_processing import dagbag

    def run(dag_id: str, *, keep_callbacks: bool = False, **conf: object) -> Played:
        dag = scenarios.dags[dag_id]
        raised: list[BaseException] = []
        for task in () if keep_callbacks else dag.tasks:
            task.on_failure_callback = task.on_retry_callback = [lambda context: raised.append(context["exception"])]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dagbag, "BundleDagBag", lambda **_: scenarios)
            patch.setattr(dagbag, "sync_bag_to_db", lambda *_: None)
            return Played(dag.test(run_conf=conf), raised)

    return run
