"""Flow runs tell what they read and wrote, as parts of the Airflow task that started them, through real Prefect."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import Flow, State, flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from bridge.tracing import Lineage, LineageRun
from factory.contracts import DatasetRef
from factory.lineage import sending
from factory.lineage.data import of_file, of_table, of_version
from factory.lineage.tables import predictions_of
from flows.adapters.lineage import tell_lineage
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.lineage_graph import Events, parent_of, root_of
from tests.prefect.conftest import Home, Prefect, living_in

TASK = LineageRun("airflow", "weekly_ml_pipeline.train", "0190f8a4-0000-7000-8000-000000000001")
DAG_RUN = LineageRun("airflow", "weekly_ml_pipeline", "0190f8a4-0000-7000-8000-000000000002")


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Events]]:
    """What was told since the test began."""
    path = tmp_path / "events.jsonl"
    transport = {"type": "file", "log_file_path": str(path), "append": True}
    monkeypatch.setenv("OPENLINEAGE__TRANSPORT", json.dumps(transport))
    sending._made.clear()
    yield lambda: Events.of_file(path)
    sending._made.clear()


TOLD = {f"on_{state}": [tell_lineage] for state in ("running", "completion", "failure", "crashed", "cancellation")}


@flow(**TOLD)
def inner(use_case: str) -> str:
    return use_case


@flow(**TOLD)
def outer(use_case: str) -> None:
    inner(use_case)
    raise ValueError("no space left")


def started_by(flow: Flow[..., Any], lineage: Lineage, **parameters: Any) -> State:
    """How a run of the flow ends that bears the labels which the bridge sets."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flow, parameters=parameters)
        client.update_flow_run_labels(run.id, lineage.labels)
        state: State = run_flow(flow, flow_run=client.read_flow_run(run.id), parameters=parameters, return_type="state")
        return state


def named(*found: Any) -> set[tuple[str, str]]:
    return {(each.namespace, each.name) for each in found}


def test_a_training_reads_what_the_cut_wrote_and_is_part_of_its_task(home: Home, events: Callable[[], Events]) -> None:
    state = started_by(
        training_pipeline, Lineage(parent=TASK, root=DAG_RUN), week=1, max_features=100, auto_promote_threshold=None
    )

    told, training = events(), "training-pipeline/products"
    assert told.outputs("cut/products") == told.inputs(training)
    assert len(told.inputs(training)) == 2
    [version] = of_version(home.settings.mlflow_tracking_uri, "products", state.result()["model_version"])
    assert named(version) < told.outputs(training)
    begun, ended = told.of(training)
    assert (begun["eventType"], ended["eventType"]) == ("START", "COMPLETE")
    assert begun["run"]["runId"] == ended["run"]["runId"]
    assert parent_of(ended) == (TASK.job, TASK.run_id)
    for job in ("cut/products", "check/products"):  # what the training has begun
        assert parent_of(told.last(job)) == (training, ended["run"]["runId"])
        assert root_of(told.last(job)) == (DAG_RUN.job, DAG_RUN.run_id)
    kind = ended["job"]["facets"]["jobType"]
    assert (kind["integration"], kind["jobType"]) == ("PREFECT", "FLOW")


def test_a_flow_is_part_of_the_flow_that_calls_it(
    tmp_path: Path, events: Callable[[], Events], prefect_server: Prefect
) -> None:
    with living_in(tmp_path, prefect_server):
        state = started_by(outer, Lineage(parent=TASK, root=DAG_RUN), use_case="churn")

    told = events()
    [begun, ended] = told.of("outer/churn")
    assert (begun["eventType"], ended["eventType"]) == ("START", "FAIL")
    assert ended["run"]["facets"]["errorMessage"]["message"] == state.message
    [inner_begun, inner_ended] = told.of("inner/churn")
    assert (inner_begun["eventType"], inner_ended["eventType"]) == ("START", "COMPLETE")
    for event in (inner_begun, inner_ended):
        assert parent_of(event) == ("outer/churn", begun["run"]["runId"])
        assert root_of(event) == (DAG_RUN.job, DAG_RUN.run_id)


def test_a_week_is_one_graph_from_its_tables_to_its_drift_check(veteran: Home, events: Callable[[], Events]) -> None:
    promotion()
    week: DatasetRef = veteran.cut(2)
    score(dataset=week)
    monitor_and_retrain()

    told, settings = events(), veteran.settings
    decided, scored, watched = (f"{name}/products" for name in ("promotion", "score", "monitor-and-retrain"))
    version, champion = of_version(settings.mlflow_tracking_uri, "products", "2", "champion")
    assert named(version, of_file(week.test)) <= told.inputs(decided)
    assert named(champion) < told.outputs(decided)
    assert told.inputs(scored) == named(of_file(week), version, champion)
    predictions = of_table(settings.database_url, predictions_of("products"))
    assert told.outputs(scored) == named(predictions)
    [written] = told.last(scored)["outputs"]
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == week.arrivals
    assert told.inputs(watched) == named(predictions, version)
    assert told.outputs(watched) == {(predictions.namespace, "main.drift_looks")}
    assert [told.kinds(job) for job in (decided, scored, watched)] == [["START", "COMPLETE"]] * 3


def test_a_flow_that_fails_says_why_and_what_it_read(veteran: Home, events: Callable[[], Events]) -> None:
    week = veteran.cut(1)
    state = training_pipeline(dataset=week.model_copy(update={"sha256": "0" * 64}), return_state=True)

    failed = events().last("training-pipeline/products")
    assert failed["eventType"] == "FAIL"
    assert failed["run"]["facets"]["errorMessage"]["message"] == state.message
    assert "parent" not in failed["run"]["facets"]
    assert ("file", of_file(week).name) in events().inputs("training-pipeline/products")


def test_a_rehearsal_writes_nothing(veteran: Home, events: Callable[[], Events]) -> None:
    promotion(rehearsal=True)

    assert events().outputs("promotion/products") == set()


def test_a_run_without_a_champion_ends_as_complete(home: Home, events: Callable[[], Events]) -> None:
    home.cut(1)
    score()

    assert events().kinds("score/products") == ["START", "COMPLETE"]
    assert events().outputs("score/products") == set()
