"""Flow runs tell what they read and wrote, as parts of the Airflow task that started them, through real Prefect."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import Flow, State, flow
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow

from bridge.tracing import Lineage, LineageRun
from factory.contracts import DatasetRef
from factory.lineage.data import of_file, of_table, of_version
from factory.lineage.tables import predictions_of
from flows.adapters.lineage import tell_lineage
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.scoring import score
from tests.lineage_graph import Events, names, parent_of, root_of
from tests.prefect.conftest import LINEAGE, Home, Prefect, living_in

TASK = LineageRun("airflow", "weekly_ml_pipeline.train", "0190f8a4-0000-7000-8000-000000000001")
DAG_RUN = LineageRun("airflow", "weekly_ml_pipeline", "0190f8a4-0000-7000-8000-000000000002")


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


def test_a_training_reads_what_the_cut_wrote_and_the_cut_is_part_of_it(trained: Path) -> None:
    told, job = Events.of_file(trained / LINEAGE), "training-pipeline/products"
    first, second = told.completed(job)
    [cut, later], [check, _] = told.completed("cut/products"), told.completed("check/products")

    assert names(cut["outputs"]) == names(first["inputs"]) == names(second["inputs"])
    assert len(cut["outputs"]) == 2
    registry = f"sqlite://{trained / 'mlflow.sqlite'}"
    assert names(first["outputs"]) == {
        (registry, "models/products/versions/1"),
        (registry, "models/products@challenger"),
    }
    assert (registry, "models/products/versions/2") in names(second["outputs"])
    assert told.kinds(job) == ["START", "COMPLETE"] * 2
    assert "parent" not in {**first["run"]["facets"], **later["run"]["facets"]}
    assert parent_of(cut) == parent_of(check) == root_of(check) == (job, first["run"]["runId"])
    kind = first["job"]["facets"]["jobType"]
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
