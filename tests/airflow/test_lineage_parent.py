"""What a flow run is told to be part of is the run that Airflow's OpenLineage provider tells of, to the last digit."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.openlineage.plugins.adapter import OpenLineageAdapter

from bridge.in_airflow.run_metadata import labels_of, lineage_of
from bridge.tracing import Lineage

MOMENT = datetime(2026, 1, 12, tzinfo=UTC)


def task(*, try_number: int = 2, logical_date: datetime | None = MOMENT, **more: object) -> SimpleNamespace:
    """A task instance as its worker has it."""
    dag_run = SimpleNamespace(logical_date=logical_date, run_after=MOMENT, clear_number=1, conf={}, run_id="manual")
    return SimpleNamespace(
        dag_id="weekly_ml_pipeline",
        task_id="train",
        run_id="manual",
        map_index=-1,
        try_number=try_number,
        log_url="http://airflow.test/dags/weekly_ml_pipeline",
        dag_run=dag_run,
        get_template_context=lambda: {"dag_run": dag_run},
        **more,
    )


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", "http://receiver.test")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "factory")


@pytest.mark.parametrize("logical_date", [MOMENT, None], ids=["a logical date", "none"])
def test_the_parent_is_the_try_and_the_root_the_dag_run(configured: None, logical_date: datetime | None) -> None:
    found = Lineage.of_labels(labels_of(task(logical_date=logical_date), lineage_of(task(logical_date=logical_date))))
    assert found.parent is not None
    assert found.root is not None
    of_try = OpenLineageAdapter.build_task_instance_run_id("weekly_ml_pipeline", "train", 2, MOMENT, -1)
    assert found.parent.identifier == f"factory/weekly_ml_pipeline.train/{of_try}"
    of_run = OpenLineageAdapter.build_dag_run_id("weekly_ml_pipeline", MOMENT, clear_number=1)
    assert found.root.identifier == f"factory/weekly_ml_pipeline/{of_run}"


def test_each_try_is_a_run_of_its_own(configured: None) -> None:
    first, second = (lineage_of(task(try_number=number)).parent for number in (1, 2))
    assert first is not None
    assert second is not None
    assert first.run_id != second.run_id


def test_where_airflow_tells_of_no_run_there_is_no_parent() -> None:
    assert lineage_of(task()).parent is None
    assert lineage_of(task()).root is None
