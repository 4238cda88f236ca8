"""The weekly DAG with a person between training and promotion, in a real Airflow and with a Prefect that is faked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bridge.testing import Course, FakePrefect
from bridge.tracing import Lineage
from factory import contracts
from tests.airflow.talkative_airflow import TalkativeAirflow
from tests.decision import DECISION
from tests.lineage_graph import Events, parent_of, root_of
from tests.live_airflow import ADMIN, LiveAirflow
from tests.live_prefect import wait_until

DAG_ID = "weekly_ml_pipeline"
PATIENCE_SECONDS = 240
SKIPPED = contracts.ScoreResult(
    status="skipped",
    reason="there is no champion yet",
    use_case="products",
    week_number=1,
    rows=0,
    model_version=None,
    mean_confidence=None,
)
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
REFUSED = DECISION.model_copy(update={"promoted": False, "reason": "it does not beat the champion"})
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


@pytest.fixture(scope="module")
def fake(guarded_fake: FakePrefect) -> FakePrefect:
    for build in (contracts.score, contracts.training, contracts.promotion, contracts.monitor):
        guarded_fake.deployment(build("products"))
    skipped = Course(state_name="Skipped", message=SKIPPED.reason, result=SKIPPED)
    guarded_fake.on_run(contracts.score("products"), skipped)
    guarded_fake.on_run(contracts.training("products"), Course(result=TRAINED))
    guarded_fake.on_run(contracts.promotion("products"), Course(result=REFUSED))
    guarded_fake.on_run(contracts.monitor("products"), Course(result=WATCHED))
    return guarded_fake


@pytest.fixture(scope="module")
def airflow(talkative: TalkativeAirflow, fake: FakePrefect) -> LiveAirflow:
    known = "SELECT 1 FROM dag WHERE dag_id = ?"
    wait_until(lambda: talkative.rows(known, DAG_ID), "the DAG is known", PATIENCE_SECONDS)
    return talkative


@dataclass
class Week:
    """A run of the weekly DAG."""

    airflow: LiveAirflow
    run_id: str
    answers: int = 0

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

    def ask_again(self) -> None:
        """Everything behind the training once more, now that the run has ended."""
        again = {"dag_run_id": self.run_id, "task_ids": ["judge"], "include_downstream": True}
        clear = {**again, "dry_run": False, "only_failed": False, "reset_dag_runs": True}
        self.airflow.request("POST", f"/dags/{DAG_ID}/clearTaskInstances", clear)

    def answer(self, option: str) -> None:
        """Answer as the administrator, once the task waits for it."""
        wait_until(self._asks, "the task awaits an answer", PATIENCE_SECONDS)
        body = {"chosen_options": [option], "params_input": {}}
        self.airflow.request("PATCH", f"{self.path}/taskInstances/approve/-1/hitlDetails", body)
        self.answers += 1

    def end(self) -> None:
        """Wait until the run has ended; it must have succeeded."""
        wait_until(lambda: self._state() in {"success", "failed"}, f"{self.run_id} ends", PATIENCE_SECONDS)
        assert self._state() == "success", self.states

    def _state(self) -> str:
        return str(self.airflow.request("GET", self.path)["state"])

    def _asks(self) -> bool:
        """Whether the task waits, and the scheduler has heard that its process ended.

        Airflow 3.3.2 takes that news for a failure once the answered task is queued anew, and asks a second time.
        """
        assert self._state() != "failed", self.states
        log = (self.airflow.home / "scheduler.log").read_text(errors="replace").splitlines()
        heard = [line for line in log if "TaskInstance Finished" in line and "task_id=approve," in line]
        waits = sum("state=awaiting_input" in line for line in heard)
        return waits > self.answers and self.states["approve"] == "awaiting_input"


@dataclass
class Refused:
    """What a week came to whose challenger the gate refused: states by task, and the promotions' parameters."""

    week: Week
    states: dict[str, str]
    promotions: list[dict[str, Any]]


@pytest.fixture(scope="module")
def refused(airflow: LiveAirflow, fake: FakePrefect) -> Refused:
    started = airflow.request("POST", f"/dags/{DAG_ID}/dagRuns", {"logical_date": "2026-01-05T07:05:00Z"})
    week = Week(airflow, started["dag_run_id"])
    week.end()
    return Refused(week, week.states, promotions(fake))


@pytest.fixture
def week(refused: Refused, fake: FakePrefect) -> Week:
    """The same week, whose challenger meets the gate now; a person is asked."""
    fake.on_run(contracts.promotion("products"), Course(result=DECISION))
    refused.week.ask_again()
    return refused.week


def test_nobody_is_asked_for_what_the_gate_refuses_and_the_week_goes_on(refused: Refused) -> None:
    assert refused.states["approve"] == "skipped"
    assert refused.promotions == [
        {"model_version": "3", "rehearsal": True},
        {"model_version": "3", "approved_by": "", "rejected_by": ""},
    ]
    assert refused.states["promote"] == refused.states["monitor"] == "success"


def test_steps_and_flow_runs_are_part_of_the_tries_that_airflow_tells_of(
    refused: Refused, fake: FakePrefect, talkative: TalkativeAirflow
) -> None:
    told = Events.of_file(talkative.lineage)

    def tries(task: str) -> set[str]:
        return {event["run"]["runId"] for event in told.of(f"{DAG_ID}.{task}")}

    [of_dag] = {event["run"]["runId"] for event in told.of(DAG_ID)}
    for task, job in {"cut_week": "cut/products", "check_week": "check/products"}.items():
        [step] = told.completed(job)
        name, run_id = parent_of(step)
        assert (name, root_of(step)) == (f"{DAG_ID}.{task}", (DAG_ID, of_dag))
        assert run_id in tries(task)
    assert told.inputs("check/products") < told.outputs("cut/products")
    [trained] = fake.runs(contracts.training("products"))
    lineage = Lineage.of_labels(trained.labels)
    assert lineage.parent is not None
    assert lineage.root is not None
    assert lineage.parent.run_id in tries("train")
    assert lineage.root.run_id == of_dag


def test_a_person_sees_the_numbers_and_an_approval_names_them(week: Week, fake: FakePrefect) -> None:
    week.answer("Approve")

    week.end()
    assert week.question["subject"] == "Promote version 3 of products?"
    assert "| weighted F1 | 0.8900 | 0.8700 |" in week.question["body"]
    assert f"[Model card]({DECISION.card_url})" in week.question["body"]
    assert promotions(fake)[-1] == {"model_version": "3", "approved_by": ADMIN, "rejected_by": ""}
    assert week.states["promote"] == week.states["monitor"] == "success"


def test_a_refusal_is_handed_over_too_and_the_week_goes_on(week: Week, fake: FakePrefect) -> None:
    week.answer("Reject")

    week.end()
    assert promotions(fake)[-1] == {"model_version": "3", "approved_by": "", "rejected_by": ADMIN}
    assert week.states["promote"] == week.states["monitor"] == "success"


def promotions(fake: FakePrefect) -> list[dict[str, Any]]:
    """The parameters of the promotion's runs, oldest first."""
    return [dict(run.parameters) for run in fake.runs(contracts.promotion("products"))]
