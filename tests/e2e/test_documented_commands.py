"""The commands of the pages, as they are written, in a shell of the stack after two weeks."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documented import CHECKOUT, Block, blocks, shown_in
from tests.e2e.live_stack import Stack, live_stack

COMMAND_SECONDS = 600
KEPT = ("HOME", "LANG", "USER", "TZ", "TMPDIR")
BLOCKS = [block for block in blocks() if block.to_run]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack on which two weeks have succeeded, so that there are a champion and one before; a third is cut.

    Customers have their first week, and a champion.
    """
    with live_stack(tmp_path_factory.mktemp("a documented stack"), "embedded") as running:
        running.load_sample()
        for week in (1, 2):
            assert running.ended(running.trigger_week(week)).state == "success"
        running.command("python", "-m", "factory", "cut", "--week", "3")
        running.command("python", "-m", "factory", "load", "sample", "--use-case", "churn")
        running.command("python", "-m", "factory", "cut", "--use-case", "churn", "--week", "1")
        running.command("python", "-m", "flows.pipeline_flow", "--use-case", "churn", "--week", "1")
        yield running


@pytest.fixture
def folder(stack: Stack, tmp_path: Path) -> Path:
    """What a person sees who stands in the checkout, with the stack as its `.stack`, and with data of their own."""
    for entry in CHECKOUT.iterdir():
        if entry.name != ".stack":
            (tmp_path / entry.name).symlink_to(entry)
    (tmp_path / ".stack").symlink_to(stack.home.path)
    (tmp_path / "my.toml").write_text(shown_in("docs/how-to/check-data.md", "toml"))
    for name in ("FOLDER", "path/to/folder"):
        rakuten = tmp_path / name
        rakuten.mkdir(parents=True)
        (rakuten / "X_train_update.csv").write_text(
            ",designation,description,productid,imageid\n0,Coffret 3 DVD,La trilogie,1,1\n1,Table basse,En bois,2,2\n"
        )
        (rakuten / "Y_train.csv").write_text(",prdtypecode\n0,10\n1,1560\n")
    return tmp_path


@pytest.fixture
def two_champions(stack: Stack) -> None:
    """However often the title is given back, there is somebody to give it back to."""
    for version, before in (("1", "2"), ("2", "1")):
        tag = {"name": "products", "version": version, "key": "previous_champion", "value": before}
        stack.mlflow.post("/api/2.0/mlflow/model-versions/set-tag", json=tag).raise_for_status()


def in_a_shell(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    """Run it as a person would who has sourced the stack's file, in an environment that knows nothing else."""
    environment = {
        **{name: os.environ[name] for name in KEPT if name in os.environ},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail\nsource .stack/env\n{script}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )


def scripts(block: Block, folder: Path) -> list[str]:
    """The block, or its lines one by one where each is meant for an empty catalogue."""
    if not any("factory load" in command for command in block.to_run):
        return ["\n".join(block.to_run)]
    header = "" if block.page == "README.md" else "id,title,c2,category,listed\n"
    row = "1,A table,shop,7,x,y,10\n" if block.page == "README.md" else "1,A table,shop,10,2026-01-31\n"
    for name in ("offers.csv", "more.csv"):
        (folder / name).write_text(f"{header}{row}{row.replace('1,A table', '2,A chair')}")
    return [
        f"export DATABASE_URL=sqlite:///{folder}/{number}.sqlite\n{command}"
        for number, command in enumerate(block.to_run)
    ]


@pytest.mark.parametrize("block", BLOCKS, ids=[f"{block.page}:{block.line}" for block in BLOCKS])
def test_the_commands_do_what_the_page_says(block: Block, folder: Path, two_champions: None) -> None:
    for script in scripts(block, folder):
        done = in_a_shell(folder, script)
        assert done.returncode == 0, f"{script}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
