"""User and password for Prefect in a whole Airflow at DEBUG: not in a file that its four services leave behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bridge.testing import Course, FakePrefect
from tests.airflow.test_secrets import forms
from tests.live_airflow import LiveAirflow
from tests.live_prefect import wait_until
from tests.shared_services import GUARDED_PASSWORD as PASSWORD
from tests.shared_services import GUARDED_USER as USER

PATIENCE_SECONDS = 240

DAG = """
from datetime import datetime
from airflow.sdk import DAG, task
from bridge.in_airflow.operators import RunPrefectDeployment

with DAG("secretive", schedule="@once", start_date=datetime(2026, 1, 1)):
    RunPrefectDeployment(task_id="good", deployment="echo/t")
    RunPrefectDeployment(task_id="bad", deployment="fail/t")

    @task
    def plant() -> str:
        planted = "-".join(["planted", "s3cret", "word"])
        print(planted)
        return planted

    plant()
"""


class TalkativeAirflow(LiveAirflow):
    """Everything that can be logged is."""

    @property
    def environment(self) -> dict[str, str]:
        more = {"AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG", "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "60"}
        loggers = ("httpx", "httpcore", "websockets", "bridge")
        levels = " ".join(f"{name}=DEBUG" for name in loggers)
        return {**super().environment, **more, "AIRFLOW__LOGGING__NAMESPACE_LEVELS": levels}

    def files_with(self, needles: set[str]) -> set[str]:
        """The files of Airflow's home that hold one of the needles: logs, database, whatever there is."""
        wanted = [needle.encode() for needle in needles]
        return {
            str(path.relative_to(self.home))
            for path in self.home.rglob("*")
            if path.is_file() and self.dags not in path.parents and any(each in path.read_bytes() for each in wanted)
        }

    def states(self) -> dict[str, str | None]:
        return dict(self.rows("SELECT task_id, state FROM task_instance WHERE dag_id = 'secretive'"))


@pytest.fixture
def prefect() -> Iterator[FakePrefect]:
    with FakePrefect(basic_auth=f"{USER}:{PASSWORD}") as fake:
        fake.deployment("echo/t")
        fake.deployment("fail/t")
        fake.on_run("echo/t", Course("RUNNING", logs=["under way"]))
        fake.on_run("fail/t", Course("FAILED", message="no space left", after_seconds=2))
        yield fake


@pytest.fixture
def airflow(prefect: FakePrefect, tmp_path: Path) -> Iterator[TalkativeAirflow]:
    dags = tmp_path / "dags"
    dags.mkdir()
    address = prefect.api_url.replace("://", f"://{USER}:{quote(PASSWORD, safe='')}@")
    running = TalkativeAirflow(tmp_path / "airflow", dags, address)
    try:
        running.start()
        # Not before: a run that is due at once would not wait for the API server.
        (dags / "secretive.py").write_text(DAG)
        yield running
    finally:
        running.stop()


def test_no_file_holds_the_credentials_and_the_search_can_find(airflow: TalkativeAirflow, prefect: FakePrefect) -> None:
    needles = forms(PASSWORD, f"{USER}:{PASSWORD}")
    wait_until(lambda: airflow.states().get("good") == "deferred", "a task waits in the triggerer", PATIENCE_SECONDS)
    assert airflow.files_with(needles) == set()
    wait_until(lambda: airflow.states().get("plant") == "success", "the other task has run", PATIENCE_SECONDS)
    wait_until(lambda: airflow.states().get("bad") == "failed", "the failing task has failed", PATIENCE_SECONDS)
    assert airflow.files_with(needles) == set()
    found = airflow.files_with({"planted-s3cret-word"})
    assert [name for name in found if name.endswith(".log")]
    assert [name for name in found if name.startswith("airflow.db")]
    talkative = airflow.files_with({"send_request_headers"})  # httpcore's, at DEBUG
    assert [name for name in talkative if name.endswith("attempt=1.log")]
    assert [name for name in talkative if "trigger" in name]
