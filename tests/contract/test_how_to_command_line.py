"""Every command of docs/how-to/command-line.md runs as it is written, on the fake Prefect."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.cli import exit_codes
from bridge.testing import Course, FakePrefect
from tests.live_prefect import CHECKOUT

PAGE = (CHECKOUT / "docs" / "how-to" / "command-line.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def prefect() -> Iterator[FakePrefect]:
    with FakePrefect() as fake:
        for name in ("training-pipeline/products", "score/products", "hold/t", "fail/t"):
            fake.deployment(name)
        fake.on_run("training-pipeline/products", result={"f1": 0.9}, logs=["fitted", "Finished in state Completed()"])
        fake.on_run("score/products", result={"rows": 5}, logs=["scored", "Finished in state Completed()"])
        fake.on_run("hold/t", state="RUNNING")
        failing = Course("FAILED", message="no space left", logs=["Finished in state Failed()"])
        fake.on_run("fail/t", failing, Course(result={"rows": 0}, logs=["Finished in state Completed()"]))
        yield fake


def run(block: str, prefect: FakePrefect, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")},
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_API_URL": prefect.api_url,
        "PREFECT_HOME": str(folder),
        "NO_PROXY": "127.0.0.1",
    }
    script = f"set -euo pipefail\n{block}"
    return subprocess.run(["bash", "-c", script], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.splitlines()[0][:40] for block in BLOCKS])
def test_the_pages_commands_do_what_it_says(block: str, prefect: FakePrefect, tmp_path: Path) -> None:
    if "--state failed --limit 1" in block:
        assert run("bridge run fail/t --wait", prefect, tmp_path).returncode == exit_codes.RUN_ENDED_BADLY
    done = run(block, prefect, tmp_path)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    if "--key" in block:
        assert len(prefect.runs("score/products")) == 1


def test_the_page_has_commands_for_everything_that_there_is() -> None:
    shown = set(re.findall(r"bridge (\w+)", "".join(BLOCKS)))
    assert shown == {"run", "watch", "retry", "cancel", "status", "logs", "runs", "deployments", "doctor"}


def test_the_pages_exit_codes_are_those_of_the_command() -> None:
    assert re.findall(r"^\| (\d+) \| (.*) \|$", PAGE, re.MULTILINE) == [
        (str(code), meaning) for code, meaning in exit_codes.TABLE
    ]
