"""Whoever sees the end of a flow run can tell of it: also a process that did not see it begin."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Cancelling, Completed, Crashed, Failed, Running

from bridge.tracing import Lineage, LineageRun
from factory.lineage import sending
from factory.lineage.data import Data
from flows.adapters.lineage import reads, steps_of_this_run, tell_lineage, writes
from tests.lineage_graph import Events, parent_of, root_of, to_file

TASK = LineageRun("airflow", "weekly.train", "0190f8a4-0000-7000-8000-000000000001")
DAG_RUN = LineageRun("airflow", "weekly", "0190f8a4-0000-7000-8000-000000000002")


@flow(name="training-pipeline")
def training(use_case: str = "products") -> None:
    """Never run here."""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where events are written."""
    path = tmp_path / "events.jsonl"
    for name, value in to_file(path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sending, "_made", [])
    return path


def a_run(**more: object) -> FlowRun:
    labels = Lineage(parent=TASK, root=DAG_RUN).labels
    return FlowRun(id=uuid4(), flow_id=uuid4(), name="a-run", parameters={"use_case": "churn"}, labels=labels, **more)


@pytest.mark.parametrize(
    ("state", "kind", "error"),
    [
        (Crashed(message="the process was killed"), "FAIL", "the process was killed"),
        (Failed(message="no space left"), "FAIL", "no space left"),
        (Failed(), "FAIL", "Failed"),
        (Cancelling(), "ABORT", None),
        (Completed(name="Skipped"), "COMPLETE", None),
    ],
)
def test_an_end_is_told_by_a_process_that_knows_the_run_alone(
    told: Path, state: State, kind: str, error: str | None
) -> None:
    run = a_run()
    tell_lineage(training, run, state)

    [event] = Events.of_file(told).of("training-pipeline/churn")
    assert (event["eventType"], event["run"]["runId"]) == (kind, str(run.id))
    assert event["run"]["facets"].get("errorMessage", {}).get("message") == error
    assert (parent_of(event), root_of(event)) == ((TASK.job, TASK.run_id), (DAG_RUN.job, DAG_RUN.run_id))


def test_a_run_that_begins_again_is_told_of_again(told: Path) -> None:
    run = a_run()
    for state in (Running(), Failed(), Running(), Completed()):
        tell_lineage(training, run, state)

    events = Events.of_file(told)
    assert events.kinds("training-pipeline/churn") == ["START", "FAIL", "START", "COMPLETE"]
    assert {event["run"]["runId"] for event in events.told} == {str(run.id)}


def test_outside_a_flow_nothing_is_read_and_no_step_is_part_of_it(told: Path) -> None:
    reads(Data("file", "/srv/r1.parquet"))
    writes(Data("file", "/srv/r1.parquet"))
    with steps_of_this_run():
        assert not told.exists()


def test_nothing_is_told_unless_it_is_asked_for(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    tell_lineage(training, a_run(), Completed())
    assert not told.exists()
