"""Airflow and Prefect never meet in one process: each environment lacks the other, and modules import only theirs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
ML_SIDE = ("prefect", "mlflow", "evidently", "sklearn")
HEAVY = {*ML_SIDE, "airflow", "httpx", "openlineage", "pandas", "pyarrow", "requests", "sqlalchemy", "websockets"}
WATCH = """
import json, os, sys
opened, read = [], []

def hear(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen")):
        opened.append(event)
    if event == "open" and not str(arguments[0]).endswith((".py", ".pyc", ".so", ".pth")):
        mode = arguments[1]
        if mode and set(str(mode)) & set("wax+"):
            opened.append(f"open {arguments[0]}")

class Watched(type(os.environ)):
    def __getitem__(self, name):
        read.append(name)
        return super().__getitem__(name)

names, folder = json.loads(sys.argv[1]), sys.argv[2]
sys.path.insert(0, folder)
sys.addaudithook(hear)
os.environ.__class__ = Watched
for name in names:
    __import__(name)
print(json.dumps({"modules": sorted(sys.modules), "opened": opened, "read": read}))
"""

airflow_side = pytest.mark.skipif(find_spec("airflow") is None, reason="speaks of Airflow's environment")
ml_side = pytest.mark.skipif(find_spec("prefect") is None, reason="speaks of Prefect's environment")


def after_importing(*modules: str, **environment: str) -> dict[str, list[str]]:
    """What a fresh interpreter has imported, opened and read once it has imported these modules."""
    done = subprocess.run(
        # -B: a module that is imported for the first time is compiled, and that is no file of its own
        [sys.executable, "-B", "-c", WATCH, json.dumps(modules), str(CHECKOUT / "dags")],
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        env={**os.environ, **environment},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return found


def packages(found: dict[str, list[str]]) -> set[str]:
    return {name.partition(".")[0] for name in found["modules"]}


@airflow_side
@pytest.mark.parametrize("package", ML_SIDE)
def test_airflows_environment_lacks_prefects_side(package: str) -> None:
    assert find_spec(package) is None


@ml_side
def test_prefects_environment_lacks_airflow() -> None:
    assert find_spec("airflow") is None


def test_exactly_one_side_is_installed() -> None:
    assert (find_spec("airflow") is None) != (find_spec("prefect") is None)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("bridge.contracts", set()),
        ("bridge.errors", set()),
        ("bridge.intention", set()),
        ("bridge.verdict", set()),
        ("bridge.parameters", set()),
        ("bridge.notifications.message", set()),
        ("bridge.notifications.discord", set()),
        ("bridge.notifications.through_apprise", set()),
        ("bridge.prefect_api.wire", set()),
        ("bridge.prefect_api.client", {"httpx"}),
        ("bridge.waiting.shared", {"httpx", "websockets"}),
        ("bridge.profiles", set()),
        ("bridge.testing", set()),
        ("bridge.tracing", set()),
        ("bridge.cli", set()),
        ("bridge.cli.app", {"httpx"}),
        ("factory.settings", set()),
        ("factory.contracts", set()),
        ("factory.lineage.steps", {"sqlalchemy"}),
        ("factory.use_cases", set()),
    ],
)
def test_a_module_imports_what_it_needs_opens_nothing_and_reads_no_setting(module: str, heavy: set[str]) -> None:
    found = after_importing(module)
    assert packages(found) & HEAVY == heavy
    assert found["opened"] == []
    ours = ("PREFECT", "AIRFLOW", "MLFLOW", "DATABASE", "POSTGRES", "DISCORD", "SNAPSHOT", "WEEK", "DRIFT", "INFERENCE")
    ours += ("DATA_ROOTS", "NOTIFY", "USE_CASE")
    assert [name for name in found["read"] if name.startswith(ours)] == []


@airflow_side
def test_parsing_the_weekly_dag_imports_no_heavy_library_and_opens_nothing(tmp_path: Path) -> None:
    home = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/a.db"}
    airflows_own = ("airflow.sdk", "airflow.triggers.base", "airflow.providers.http.hooks.http", "croniter")
    bare = after_importing(*airflows_own, **home)
    found = after_importing("weekly_ml_pipeline_dag", **home)
    ours = packages(found) - packages(bare)
    assert (
        ours & {*ML_SIDE, "openlineage", "pandas", "pyarrow", "sqlalchemy", "fsspec", "requests", "rich", "typer"}
        == set()
    )
    assert set(found["opened"]) <= set(bare["opened"])
    assert "AIRFLOW_SCHEDULE" in found["read"]  # a DAG file is an entry point: it may read settings, and is seen to
