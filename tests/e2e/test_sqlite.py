"""The same loop without PostgreSQL, whose flow runs are killed in the middle of it, and nothing is left behind.

Its lineage is told into a file, and is one graph.
"""

from __future__ import annotations

import psutil
import pytest

from factory.use_cases.products import PRODUCTS
from stack.environment import MARK
from tests.e2e.live_stack import MESSAGE_SECONDS, WEEK_SECONDS, live_stack, wait_until
from tests.lineage_graph import Events, parent_of, root_of, to_file

DAG_ID = PRODUCTS.dag_id


@pytest.mark.parametrize("flows", ["served", "worker"])
def test_a_week_on_sqlite_outlives_its_flow_runs_and_leaves_nothing_behind(
    tmp_path_factory: pytest.TempPathFactory, flows: str
) -> None:
    folder, told = tmp_path_factory.mktemp("sqlite"), tmp_path_factory.mktemp("lineage") / "events.jsonl"
    with live_stack(folder, "sqlite", flows, **to_file(told)) as running:
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
        wait_until(lambda: bool(Events.of_file(told).completed(DAG_ID)), "Airflow tells of the end", MESSAGE_SECONDS)
        assert_one_graph(Events.of_file(told))
    assert not [process for process in psutil.process_iter() if _belongs(process, str(folder))]


def assert_one_graph(events: Events) -> None:
    """Each step is part of its task's try, which Airflow's provider tells of, and reads what the one before wrote."""
    [week] = events.completed(DAG_ID)
    steps = {
        "cut_week": "cut/products",
        "check_week": "check/products",
        "score": "score/products",
        "train": "training-pipeline/products",
        "promote": "promotion/products",
        "monitor": "monitor-and-retrain/products",
    }
    for task, job in steps.items():
        [step] = events.completed(job)
        tries = {event["run"]["runId"] for event in events.of(f"{DAG_ID}.{task}")}
        name, run_id = parent_of(step)
        assert name == f"{DAG_ID}.{task}"
        assert run_id in tries
        assert root_of(step) == (DAG_ID, week["run"]["runId"])
    snapshot, test = sorted(events.outputs("cut/products"), reverse=True)
    assert "/week=01/" in snapshot[1]
    assert events.inputs("check/products") == {snapshot}
    assert events.inputs("training-pipeline/products") == {snapshot, test}
    assert events.outputs("training-pipeline/products") >= events.inputs("promotion/products") - {test}


def _belongs(process: psutil.Process, folder: str) -> bool:
    try:
        return process.environ().get(MARK) == folder
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
