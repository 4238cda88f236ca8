"""For tests of the control page: Airflow's real FastAPI application, its users, and a fake Prefect behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bridge.testing import FakePrefect

KEY = "a-key-that-no-browser-may-see"
PAGE = "/control-page"
OURS = {"sec-fetch-site": "same-origin"}
HOSTILE = "<script>alert('x')</script>"
ROLES = {"admin": "ADMIN", "viewer": "VIEWER", "nobody": None}
DAGS = """
from airflow.sdk import DAG
from bridge.in_airflow.operators import RunPrefectDeployment

for name in ("alpha", "beta"):
    with DAG(name, schedule=None):
        RunPrefectDeployment(task_id="run", deployment=f"work/{name}")
with DAG("weekly", schedule=None):
    for stem in ("score", "training-pipeline", "promotion", "monitor-and-retrain"):
        RunPrefectDeployment(task_id=stem, deployment=f"{stem}/products")
"""


def parameters(rows: int = 10, text: str = "hello") -> None:
    """What the deployments of these tests take."""


@pytest.fixture(scope="session")
def airflow_app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Airflow's application with the plugin, and a database with the DAGs alpha, beta and weekly."""
    from airflow.api_fastapi.app import create_app
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.models.dagbundle import DagBundleModel
    from airflow.utils.db import initdb
    from airflow.utils.session import create_session

    initdb()
    folder = tmp_path_factory.mktemp("dags")
    (folder / "both.py").write_text(DAGS)
    with create_session() as session:
        session.merge(DagBundleModel(name="tests"))
    sync_bag_to_db(DagBag(folder), "tests", None)
    return create_app(apps="core")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePrefect]:
    """A Prefect that wants a key, with one deployment for each DAG and one that belongs to none."""
    with FakePrefect(api_key=KEY) as prefect:
        for name in ("alpha", "beta", "nobodys"):
            prefect.deployment(f"work/{name}", parameters=parameters, work_pool="models")
        prefect.worker("models")
        monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", prefect.airflow_connection())
        yield prefect


@pytest.fixture
def as_user(
    airflow_app: Any, fake: FakePrefect, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Any]]:
    """A browser that somebody has logged in with; without a name nobody has. Each test's page knows nothing yet.

    The page is patient: on a busy machine the fake may need longer than a person likes to wait. Where a test looks at
    what is `awaited`, it waits as it does for people.
    """
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from starlette.testclient import TestClient

    from plugins.control_page import app
    from plugins.control_page.budget import RequestBudget
    from plugins.control_page.prefect_reader import READING_SECONDS, PrefectReader
    from plugins.control_page.prefect_source import find_prefect

    class PatientReader(PrefectReader):
        async def see(self, *asked: Any, **more: Any) -> Any:
            return await super().see(*asked, **{**more, "patience_seconds": READING_SECONDS})

    # What is asked for costs nothing here: how often Prefect may be asked is a test of its own.
    reader = PrefectReader if "awaited" in request.fixturenames else PatientReader
    page = app.make_application(reader(find_prefect, RequestBudget(rate=1000, burst=1000)))
    monkeypatch.setattr(app, "application", lambda: page)
    opened: list[TestClient] = []

    def browser(name: str | None = None) -> TestClient:
        client = TestClient(airflow_app, base_url="http://airflow.test", follow_redirects=False)
        client.__enter__()
        opened.append(client)
        if name is not None:
            user = SimpleAuthManagerUser(username=name, role=ROLES.get(name, "USER"))
            client.cookies.set("_token", airflow_app.state.auth_manager.generate_jwt(user))
        return client

    yield browser
    for client in opened:
        client.__exit__(None, None, None)


def deployment_id(fake: FakePrefect, name: str) -> str:
    """The id by which the page's addresses name the deployment."""
    flow, _, short = name.partition("/")
    return str(fake._state.find_deployment(flow, short)["id"])  # type: ignore[index]


def audit_entries() -> list[tuple[str, str, str | None, str]]:
    """The page's entries in Airflow's audit log: event, user, DAG and what it was about, the oldest first."""
    from airflow.models import Log
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        wanted = select(Log).where(Log.event.like("control_page%")).order_by(Log.id)
        return [(log.event, str(log.owner), log.dag_id, str(log.extra)) for log in session.scalars(wanted)]


def make_task_instance(dag_id: str, run_id: str) -> None:
    """A DAG run that was begun by hand, with its task instances."""
    from datetime import UTC, datetime

    from airflow.models.serialized_dag import SerializedDagModel
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    with create_session() as session:
        [stored] = SerializedDagModel.get_latest_serialized_dags(dag_ids=[dag_id], session=session)
        stored.dag.create_dagrun(
            run_id=run_id,
            run_after=datetime(2026, 3, 2, tzinfo=UTC),
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            session=session,
        )
