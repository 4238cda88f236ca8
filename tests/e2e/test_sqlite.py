"""The same loop without PostgreSQL, whose flow runs are killed in the middle of it, and nothing is left behind."""

from __future__ import annotations

import psutil
import pytest

from stack.environment import MARK
from tests.e2e.live_stack import WEEK_SECONDS, live_stack, wait_until


@pytest.mark.parametrize("flows", ["served", "worker"])
def test_a_week_on_sqlite_outlives_its_flow_runs_and_leaves_nothing_behind(
    tmp_path_factory: pytest.TempPathFactory, flows: str
) -> None:
    folder = tmp_path_factory.mktemp("sqlite")
    with live_stack(folder, "sqlite", flows) as running:
        running.load_sample()
        run = running.trigger_week(1)

        def trainings() -> list[tuple[str, str]]:
            return [(each["id"], each["state_type"]) for each in running.flow_runs(run, "train")]

        wait_until(lambda: [state for _, state in trainings()] == ["RUNNING"], "the training runs", WEEK_SECONDS)
        running.kill_flow_runs()
        assert running.ended(run).state == "success"
        assert [state for _, state in trainings()] == ["CRASHED", "COMPLETED"]
        assert "No sign of life" in running.flow_runs(run, "train")[0]["state"]["message"]
        assert running.champion() == "1"
    assert not [process for process in psutil.process_iter() if _belongs(process, str(folder))]


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        return process.environ().get(MARK) == folder
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
