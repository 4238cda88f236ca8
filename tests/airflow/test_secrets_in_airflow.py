"""User and password for Prefect in a whole Airflow at DEBUG: not in a file that its four services leave behind."""

from __future__ import annotations

import pytest

from bridge.testing import Course, FakePrefect
from tests.airflow.talkative_airflow import TalkativeAirflow
from tests.airflow.test_secrets import forms
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


@pytest.fixture
def airflow(talkative: TalkativeAirflow, guarded_fake: FakePrefect) -> TalkativeAirflow:
    """With a DAG whose tasks wait, fail and print."""
    guarded_fake.deployment("echo/t")
    guarded_fake.deployment("fail/t")
    guarded_fake.on_run("echo/t", Course("RUNNING", logs=["under way"]))
    guarded_fake.on_run("fail/t", Course("FAILED", message="no space left", after_seconds=2))
    # Not before Airflow is up: a run that is due at once would not wait for the API server.
    (talkative.dags / "secretive.py").write_text(DAG)
    return talkative


def states(airflow: TalkativeAirflow) -> dict[str, str | None]:
    return dict(airflow.rows("SELECT task_id, state FROM task_instance WHERE dag_id = 'secretive'"))


def test_no_file_holds_the_credentials_and_the_search_can_find(airflow: TalkativeAirflow) -> None:
    needles = forms(PASSWORD, f"{USER}:{PASSWORD}")
    wait_until(lambda: states(airflow).get("good") == "deferred", "a task waits in the triggerer", PATIENCE_SECONDS)
    assert airflow.files_with(needles) == set()
    wait_until(lambda: states(airflow).get("plant") == "success", "the other task has run", PATIENCE_SECONDS)
    wait_until(lambda: states(airflow).get("bad") == "failed", "the failing task has failed", PATIENCE_SECONDS)
    assert airflow.files_with(needles) == set()
    found = airflow.files_with({"planted-s3cret-word"})
    assert [name for name in found if name.endswith(".log")]
    assert [name for name in found if name.startswith("airflow.db")]
    talkative = airflow.files_with({"send_request_headers"})  # httpcore's, at DEBUG
    assert [name for name in talkative if name.endswith("attempt=1.log")]
    assert [name for name in talkative if "trigger" in name]
