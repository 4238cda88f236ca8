"""The weekly DAG with a person between training and promotion, in a real Airflow and with a Prefect that is faked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.testing import Course, FakePrefect
from factory import contracts, loading, sources
from factory.catalogue import open_catalogue
from factory.settings import read_settings
from tests.live_airflow import ADMIN, LiveAirflow
from tests.live_prefect import CHECKOUT, wait_until

DAG_ID = "weekly_ml_pipeline"
PATIENCE_SECONDS = 120
TRAINED = contracts.TrainingResult(
    run_id="a",
    metrics={"f1_weighted": 0.89, "f1_macro": 0.81, "accuracy": 0.9},
    promoted=False,
    promotion_decided=False,
    dataset_run_id="a",
    week_number=1,
    use_case="products",
    model_version="3",
    reason="promotion is left to its own run",
)
JUDGED = contracts.PromotionResult(
    use_case="products",
    promoted=True,
    reason="weighted F1 0.8900 beats the champion's 0.8700",
    rule="gain",
    challenger_version="3",
    challenger_metrics={"f1_weighted": 0.89, "f1_macro": 0.81},
    champion_version="2",
    previous_champion_version="2",
    previous_champion_metrics={"f1_weighted": 0.87, "f1_macro": 0.8},
    threshold=0.75,
    test_version="v1",
    test_rows=1122,
    card_url="http://mlflow.test/#/experiments/1/runs/a/artifacts/model_card.html",
)
WATCHED = contracts.MonitorResult(
    status="ok",
    reason="no drift",
    drift_detected=False,
    drift_score=0.0,
    threshold=0.3,
    retrained=False,
    drift_metrics={},
    retrain_result=None,
    notification="Airflow tells of this run",
    use_case="products",
    samples=100,
)


class WithApproval(LiveAirflow):
    """An Airflow whose weekly DAG asks a person; `catalogue` is a folder."""

    catalogue: Path

    @property
    def environment(self) -> dict[str, str]:
        more = {
            "AIRFLOW_SCHEDULE": "none",
            "PROMOTION_APPROVAL": "true",
            "DATABASE_URL": f"sqlite:///{self.catalogue / 'catalogue.sqlite'}",
            "SNAPSHOT_URI": (self.catalogue / "snapshots").as_uri(),
        }
        return super().environment | more


@pytest.fixture(scope="module")
def fake() -> Iterator[FakePrefect]:
    with FakePrefect() as prefect:
        for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor):
            prefect.deployment(build("products"))
        prefect.on_run(contracts.score("products"), Course(state_name="Skipped", message="there is no champion yet"))
        prefect.on_run(contracts.training("products"), Course(result=TRAINED))
        prefect.on_run(contracts.promotion("products"), Course(result=JUDGED))
        prefect.on_run(contracts.monitor("products"), Course(result=WATCHED))
        yield prefect


@pytest.fixture(scope="module")
def airflow(fake: FakePrefect, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveAirflow]:
    running = WithApproval(tmp_path_factory.mktemp("approval"), CHECKOUT / "dags", fake.api_url)
    running.catalogue = tmp_path_factory.mktemp("catalogue")
    settings = read_settings(running.environment)
    loading.load(
        open_catalogue(settings.database_url), sources.read_sample(), source="sample", created_at=settings.weeks.epoch
    )
    try:
        running.start()
        wait_until(lambda: running.rows("SELECT 1 FROM dag WHERE dag_id = ?", DAG_ID), "the DAG is known", 60)
        yield running
    finally:
        running.stop()


@dataclass
class Week:
    """A run of the weekly DAG."""

    airflow: LiveAirflow
    run_id: str

    @property
    def path(self) -> str:
        return f"/dags/{DAG_ID}/dagRuns/{self.run_id}"

    @property
    def question(self) -> dict[str, Any]:
        return dict(self.airflow.request("GET", f"{self.path}/taskInstances/approve/-1/hitlDetails"))

    @property
    def states(self) -> dict[str, str]:
        found = self.airflow.request("GET", f"{self.path}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in found}

    def answer(self, option: str) -> None:
        """Answer as the administrator, once the task waits for it."""
        wait_until(lambda: self.states["approve"] == "awaiting_input", f"{self.states} awaits", PATIENCE_SECONDS)
        body = {"chosen_options": [option], "params_input": {}}
        self.airflow.request("PATCH", f"{self.path}/taskInstances/approve/-1/hitlDetails", body)

    def end(self) -> str:
        """The run's state once it has ended."""
        state = lambda: self.airflow.request("GET", self.path)["state"]  # noqa: E731
        wait_until(lambda: state() in {"success", "failed"}, f"{self.run_id} ends", PATIENCE_SECONDS)
        return str(state())


def begin(airflow: LiveAirflow, logical_date: str) -> Week:
    started = airflow.request("POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": logical_date})
    return Week(airflow, started["dag_run_id"])


def test_a_person_sees_the_numbers_and_an_approval_names_them(airflow: LiveAirflow, fake: FakePrefect) -> None:
    week = begin(airflow, "2026-01-05T07:05:00Z")
    week.answer("Approve")

    assert week.end() == "success"
    assert week.question["subject"] == "Promote version 3 of products?"
    assert "| weighted F1 | 0.8900 | 0.8700 |" in week.question["body"]
    assert f"[Model card]({JUDGED.card_url})" in week.question["body"]
    rehearsed, decided = promotions(fake)[-2:]
    assert rehearsed == {"model_version": "3", "rehearsal": True}
    assert decided == {"model_version": "3", "approved_by": ADMIN, "rejected_by": ""}
    assert week.states["promote"] == week.states["monitor"] == "success"


def test_a_refusal_is_handed_over_too_and_the_week_goes_on(airflow: LiveAirflow, fake: FakePrefect) -> None:
    week = begin(airflow, "2026-01-12T07:05:00Z")
    week.answer("Reject")

    assert week.end() == "success"
    assert promotions(fake)[-1] == {"model_version": "3", "approved_by": "", "rejected_by": ADMIN}
    assert week.states["promote"] == week.states["monitor"] == "success"


def test_nobody_is_asked_for_what_the_gate_refuses_and_the_week_goes_on(
    airflow: LiveAirflow, fake: FakePrefect
) -> None:
    refused = JUDGED.model_copy(update={"promoted": False, "reason": "it does not beat the champion"})
    fake.on_run(contracts.promotion("products"), Course(result=refused))
    week = begin(airflow, "2026-01-19T07:05:00Z")

    assert week.end() == "success"
    assert week.states["approve"] == "skipped"
    assert promotions(fake)[-1] == {"model_version": "3", "approved_by": "", "rejected_by": ""}
    assert week.states["promote"] == week.states["monitor"] == "success"


def promotions(fake: FakePrefect) -> list[dict[str, Any]]:
    """The parameters of the promotion's runs, oldest first."""
    return [run.parameters for run in fake.runs(contracts.promotion("products"))]
