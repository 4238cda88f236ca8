"""What docs/how-to/add-a-use-case.md says is done, with its own code, in a folder of its own: a week by Prefect."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.added_use_case import CHECKOUT, PAGE, copy_with_parcels
from tests.prefect.conftest import Prefect

ROWS = 900
SECONDS = 300


def commands(beginning: str) -> list[list[str]]:
    lines = re.findall(rf"^{re.escape(beginning)} .*$", PAGE, re.MULTILINE)
    assert lines
    return [shlex.split(line) for line in lines]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A copy of the packages, with what the page adds."""
    copy_with_parcels(tmp_path, "bridge", "factory", "flows")
    shutil.copy(CHECKOUT / "prefect.yaml", tmp_path)
    return tmp_path


def parcels() -> str:
    """A table with the page's header, in which the distance and the carrier make a parcel late."""
    header = next(line for line in PAGE.splitlines() if line.startswith("Parcel ID,"))
    chance = random.Random(7)  # noqa: S311 - data for a test
    lines = [header]
    for number in range(ROWS):
        weight, distance = chance.uniform(0.1, 30), chance.uniform(1, 900)
        carrier, region = chance.choice(("north", "south", "")), chance.choice(("rural", "city"))
        late = chance.random() < (0.75 if distance > 450 else 0.1) * (0.6 if carrier == "south" else 1)
        express = chance.choice(("no", "yes"))
        lines.append(f"p{number:05},{weight:.1f},{distance:.0f},{carrier},{express},{region},{'yes' if late else 'no'}")
    return "\n".join(lines) + "\n"


def test_a_newcomers_use_case_is_trained_and_promoted_through_prefect(
    place: Path, prefect: Prefect, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("parcels")
    (place / "parcels.csv").write_text(parcels())
    environment = {
        **os.environ,
        **prefect.environment,
        "PYTHONPATH": str(place),
        "DATABASE_URL": f"sqlite:///{home / 'catalogue.sqlite'}",
        "SNAPSHOT_URI": (home / "snapshots").as_uri(),
        "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.sqlite'}",
    }

    def run(arguments: list[str]) -> str:
        assert arguments[0] == "python"
        done = subprocess.run(
            [sys.executable, *arguments[1:]],
            cwd=place,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    loaded, *cut = (run(command) for command in commands("python -m factory"))
    trained: dict[str, Any] = json.loads(run(commands("python -m flows.pipeline_flow")[0]))
    declared = run(["python", "-m", "flows.declaring"])

    assert f"{ROWS:,} rows loaded into 'parcels'" in loaded
    assert "parcels/week-01/r1 accepted" in cut[0]
    assert trained["promoted"], trained["reason"]
    assert trained["metrics"]["auc"] > 0.75
    assert "parcels" in declared
    assert "entrypoint: flows.scoring.score" in (place / "prefect.yaml").read_text().partition("name: parcels")[2]
