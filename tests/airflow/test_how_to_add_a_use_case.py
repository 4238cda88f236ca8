"""The DAG file of docs/how-to/add-a-use-case.md is a DAG to Airflow, beside those that stand there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.added_use_case import copy_with_parcels

PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
told = {name: [sorted(dag.task_ids), sorted(dag.tags), dag.catchup] for name, dag in bag.dags.items()}
print(json.dumps({"errors": bag.import_errors, "dags": told}))
"""


def test_the_dag_of_a_newcomers_use_case_has_the_tasks_of_the_others(tmp_path: Path) -> None:
    copy_with_parcels(tmp_path, "bridge", "factory", "dags")

    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(tmp_path / "dags")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )

    if done.returncode:
        pytest.fail(done.stderr)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["errors"] == {}
    dags = found["dags"]
    assert {"weekly_ml_pipeline", "weekly_churn", "weekly_parcels"} <= dags.keys()
    tasks, tags, catchup = dags["weekly_parcels"]
    assert tasks == dags["weekly_churn"][0]
    assert {"cut_week", "check_week", "score", "train", "promote", "monitor"} <= set(tasks)
    assert (tags, catchup) == (["factory", "parcels"], False)
