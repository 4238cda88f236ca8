"""DAGs on the fake Prefect: what users' own tests do, and the page that shows them how."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.testing import Course, FakePrefect
from tests.airflow.conftest import Played
from tests.live_prefect import CHECKOUT
from tests.shared_services import AIRFLOW_DATABASE, copy_template

pytest_plugins = ["bridge.testing.fixtures"]

PAGE = CHECKOUT / "docs" / "how-to" / "test-your-dags.md"
both_ways = pytest.mark.parametrize("mode", ["deferred", "blocking"])


@pytest.fixture
def prefect_of_dags(fake_prefect: FakePrefect) -> FakePrefect:
    """With the deployments that the scenarios name."""
    for name in ("echo/t", "skip/t"):
        fake_prefect.deployment(name)
    return fake_prefect


@both_ways
def test_the_result_reaches_the_next_task(play: Callable[..., Played], prefect_of_dags: FakePrefect, mode: str) -> None:
    prefect_of_dags.on_run("echo/t", lambda parameters: parameters)
    played = play(f"typed_{mode}", text="hi", number=3)
    assert played.xcom("told") == "hi x 3"
    [run] = prefect_of_dags.runs("echo/t")
    assert (run.parameters, "airflow" in run.tags) == ({"text": "hi", "number": 3}, True)
    assert prefect_of_dags.document(run)["labels"]["airflow.task_id"] == "run"


@both_ways
def test_a_failure_is_told_and_the_retry_starts_afresh(
    play: Callable[..., Played], prefect_of_dags: FakePrefect, mode: str
) -> None:
    plans = Course("FAILED", message="no space left"), Course(result={"text": "second", "number": 2})
    prefect_of_dags.on_run("echo/t", *plans)
    played = play(f"any_{mode}", deployment="echo/t", parameters={}, tag="t")
    assert played.xcom("run") == {"text": "second", "number": 2}
    assert ["no space left" in str(error) for error in played.raised] == [True]
    assert [run.state_type for run in prefect_of_dags.runs()] == ["FAILED", "COMPLETED"]


@both_ways
def test_a_run_is_waited_for_until_it_ends(
    play: Callable[..., Played], prefect_of_dags: FakePrefect, mode: str
) -> None:
    nothing = {"text": "nothing", "number": 0}
    prefect_of_dags.on_run("skip/t", state_name="Skipped", message="no news", result=nothing, after_seconds=0.5)
    prefect_of_dags.faults.refuse_socket(times=1)
    assert play(f"skipping_{mode}").state("run") == "skipped"


@both_ways
def test_a_lost_answer_does_not_start_a_second_run(
    play: Callable[..., Played], prefect_of_dags: FakePrefect, mode: str
) -> None:
    prefect_of_dags.faults.lose_answer(path="create_flow_run")
    assert play(f"any_{mode}", deployment="echo/t", parameters={}, tag="t").state("run") == "success"
    assert len(prefect_of_dags.runs()) == 1


def test_the_page_on_testing_dags_runs(tmp_path: Path) -> None:
    dag, tests = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "nightly.py").write_text(dag)
    (tmp_path / "test_nightly.py").write_text(tests)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "PYTHONPATH": str(dags),
    }
    migrate = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--show-capture=no", "test_nightly.py"]
    for command in [test] if copy_template(AIRFLOW_DATABASE, tmp_path) else [migrate, test]:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert f"{tests.count('def test_')} passed" in done.stdout


def test_what_the_page_names_is_there() -> None:
    text = PAGE.read_text()
    with FakePrefect() as prefect:
        for name in re.findall(r"faults\.(\w+)\(", text):
            assert callable(getattr(prefect.faults, name))
        for name in re.findall(r"`(\w+)\((?:run|name)\b", text):
            assert callable(getattr(prefect, name))
