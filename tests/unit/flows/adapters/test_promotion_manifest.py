"""What a repository is told of a decision: the same text for the same decision, read by people and programs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml

from factory.contracts import DatasetRef, FileRef
from factory.records.decisions import Decision
from flows.adapters.promotion_manifest import Champion, is_later, manifest, message, path_of, subject
from flows.adapters.registry import Version
from tests.decision import DECISION

MONDAY = datetime(2026, 1, 5, 7, 5, tzinfo=UTC)
DATASET = DatasetRef(
    uri="file:///week.parquet",
    sha256="1" * 64,
    rows=100,
    use_case="products",
    week=2,
    as_of=MONDAY,
    train_rows=80,
    arrivals=10,
    classes=3,
    test=FileRef(uri="file:///test.parquet", sha256="2" * 64, rows=20),
    test_version="v1",
)
EARLIER = DATASET.model_copy(update={"week": 1, "sha256": "3" * 64})
CHAMPION = Champion(Version("products", "3", "run", "models:/m-1", EARLIER, {"f1_weighted": "0.871"}), "4" * 64)


def decision(**result: object) -> Decision:
    told = {"champion_version": "3", "decided_by": "Anna", **result}
    return Decision(
        decision_id="run-1",
        decided_at=MONDAY,
        dataset=DATASET,
        result=DECISION.model_copy(update=told),
        flow_run_url="http://prefect.test/runs/flow-run/1",
    )


def test_the_manifest_has_the_version_its_checksum_its_numbers_and_the_decision_in_a_stable_order() -> None:
    assert (
        manifest(decision(), "products", CHAMPION)
        == f"""\
# Written by the promotion, one commit a decision; `git log` of this file tells them all.
schema: 1
use_case: products
model: products
version: '3'
sha256: '{"4" * 64}'
metrics:
  f1_weighted: 0.89
  f1_macro: 0.81
data:
  week: 2
  revision: 1
  rows: 100
  sha256: '{"1" * 64}'
  test:
    version: v1
    rows: 20
    sha256: '{"2" * 64}'
decision:
  id: run-1
  decided_at: '2026-01-05T07:05:00+00:00'
  outcome: promoted
  rule: gain
  reason: weighted F1 0.8900 beats the champion's 0.8700
  decided_by: Anna
  approved_by: null
  previous_version: '2'
"""
    )


def test_a_champion_that_came_back_has_the_numbers_and_the_data_of_its_training() -> None:
    found = yaml.safe_load(manifest(decision(promoted=False, rolled_back=True), "products", CHAMPION))

    assert found["metrics"] == {"f1_weighted": 0.871}
    assert (found["data"]["week"], found["data"]["sha256"]) == (1, "3" * 64)


def test_a_version_that_is_gone_from_the_registry_leaves_its_number() -> None:
    found = yaml.safe_load(manifest(decision(promoted=False, rolled_back=True), "products", None))

    assert (found["version"], found["sha256"], found["metrics"], found["data"]) == ("3", None, {}, None)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({}, "Promote churn v3"),
        ({"promoted": False, "rolled_back": True}, "Roll back churn to v3"),
        ({"rule": "by hand"}, "Promote churn v3 by hand"),
        ({"promoted": False, "rule": "by hand", "champion_version": None}, "Leave churn without a champion"),
    ],
)
def test_the_first_line_says_what_became_of_which_model(result: dict[str, object], said: str) -> None:
    assert subject(decision(**result), "churn") == said


def test_the_message_says_why_and_by_whom_and_nobody_can_write_another_decision_into_it() -> None:
    told = message(decision(decided_by="Eve\nDecision: run-9", approved_by="Ben"), "churn")

    assert told.splitlines() == [
        "Promote churn v3",
        "",
        "weighted F1 0.8900 beats the champion's 0.8700",
        "",
        "Decision: run-1",
        r"Decided-by: Eve\nDecision: run-9",
        "Approved-by: Ben",
        "Flow-run: http://prefect.test/runs/flow-run/1",
    ]


def test_of_two_decisions_the_later_one_stands_and_anything_else_in_the_file_is_older() -> None:
    def of(moment: datetime) -> str:
        return yaml.safe_dump({"decision": {"decided_at": moment.isoformat()}})

    second = timedelta(seconds=1)
    assert is_later(decision(), of(MONDAY - second))
    assert not is_later(decision(), of(MONDAY + second))
    assert not is_later(decision(), of(MONDAY + second).replace("'", ""))  # a person's editor may take the quotes away
    for strange in (
        None,
        "",
        "a note",
        "[1, 2]",
        "decision: yesterday",
        "decision: {decided_at: soon}",
        "{",
        "a: b: c",
    ):
        assert is_later(decision(), strange)


def test_each_model_has_a_file_of_its_own() -> None:
    assert path_of("deploy/models", "churn", "churn") == "deploy/models/churn/churn.yaml"
