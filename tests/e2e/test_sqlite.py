"""The same loop without PostgreSQL, and nothing is left behind."""

from __future__ import annotations

import psutil
import pytest

from stack.environment import MARK
from tests.e2e.live_stack import live_stack


def test_a_week_runs_on_sqlite_and_nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("sqlite")
    with live_stack(folder, "sqlite") as running:
        running.load_sample()
        run = running.ended(running.trigger_week(1))
        assert run.state == "success"
        assert running.champion() == "1"
    assert not [process for process in psutil.process_iter() if _belongs(process, str(folder))]


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        return process.environ().get(MARK) == folder
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
