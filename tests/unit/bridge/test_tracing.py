"""A trace and a lineage parent cross as labels and as environment, and come out as they went in."""

from __future__ import annotations

from bridge.tracing import PREFECT_TRACEPARENT_LABEL, Lineage, LineageRun, parent_run_facet

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
PARENT = LineageRun("airflow", "weekly.train", "0190f8a4-0000-7000-8000-000000000001")
ROOT = LineageRun("airflow", "weekly", "0190f8a4-0000-7000-8000-000000000002")


def test_nothing_is_said_where_nobody_traces() -> None:
    assert Lineage().labels == {}
    assert Lineage().environment == {}
    assert parent_run_facet({"airflow.dag_id": "weekly"}) is None


def test_prefects_own_telemetry_finds_the_trace() -> None:
    assert Lineage(TRACE).labels[PREFECT_TRACEPARENT_LABEL] == TRACE
    assert Lineage(TRACE).environment == {"TRACEPARENT": TRACE}


def test_the_facet_is_made_of_the_labels_of_the_run() -> None:
    facet = parent_run_facet(Lineage(parent=PARENT, root=ROOT).labels)
    assert facet is not None
    assert facet["run"] == {"runId": PARENT.run_id}
    assert facet["job"] == {"namespace": "airflow", "name": "weekly.train"}
    assert facet["root"] == {"run": {"runId": ROOT.run_id}, "job": {"namespace": "airflow", "name": "weekly"}}


def test_a_process_finds_its_parent_in_its_environment() -> None:
    environment = Lineage(parent=PARENT, root=ROOT).environment
    assert environment["OPENLINEAGE_PARENT_ID"] == f"airflow/weekly.train/{PARENT.run_id}"
    assert environment["OPENLINEAGE_ROOT_PARENT_ID"] == f"airflow/weekly/{ROOT.run_id}"


def test_a_lineage_is_read_back_from_labels_and_from_the_environment() -> None:
    lineage = Lineage(parent=PARENT, root=ROOT)
    assert Lineage.of_labels(lineage.labels) == Lineage.of_environment(lineage.environment) == lineage
    assert Lineage.of_labels({}) == Lineage.of_environment({}) == Lineage()


def test_a_namespace_may_hold_slashes_and_what_names_no_run_is_none() -> None:
    run = LineageRun("airflow://one", "weekly.train", PARENT.run_id)
    assert LineageRun.of_identifier(run.identifier) == run
    assert LineageRun.of_identifier("weekly.train") is None
    assert LineageRun.of_identifier("//") is None
