"""Decisions: one row each, whatever is repeated, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from factory.cli import app
from factory.contracts import DatasetRef, FileRef, GateCheck
from factory.records.decisions import Decision, find_decision, find_promotion, read_decisions, record
from factory.settings import Settings
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
RESULT = DECISION.model_copy(
    update={
        "champion_version": "3",
        "checks": (GateCheck(rule="floor", passed=True, said="it does"),),
        "intervals": {"f1_weighted": (0.85, 0.92)},
        "approved_by": "Anna",
        "decided_by": "Airflow, weekly_ml_pipeline manual__1",
    }
)


def decision(number: int, **result: object) -> Decision:
    return Decision(
        decision_id=f"run-{number}",
        decided_at=MONDAY + timedelta(days=number),
        dataset=DATASET,
        result=RESULT.model_copy(update=result),
        flow_run_url="http://prefect.test/runs/flow-run/1",
    )


def test_a_decision_is_read_as_it_was_written(engine: Engine) -> None:
    with engine.begin() as connection:
        record(connection, decision(1))

    with engine.connect() as connection:
        found = find_decision(connection, "run-1")
        assert found == decision(1)
        assert find_decision(connection, "run-2") is None


def test_a_repeated_decision_stays_as_it_was(engine: Engine) -> None:
    with engine.begin() as connection:
        record(connection, decision(1))
        record(connection, decision(1, reason="another reason"))

        [found] = read_decisions(connection, "products")
    assert found.result.reason == RESULT.reason


def test_the_newest_comes_first_and_each_says_what_came_of_it(engine: Engine) -> None:
    with engine.begin() as connection:
        record(connection, decision(1))
        record(connection, decision(3, promoted=False, rolled_back=True))
        record(connection, decision(2, promoted=False, rejected_by="Ben"))

        found = read_decisions(connection, "products")
        assert [each.outcome for each in found] == ["rolled back", "kept", "promoted"]
        assert [each.decision_id for each in read_decisions(connection, "products", limit=1)] == ["run-3"]
        assert read_decisions(connection, "another") == []


def test_the_command_line_lists_them(engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("COLUMNS", "250")
    assert "no decision was taken on products yet" in CliRunner().invoke(app, ["decisions"]).stdout
    with engine.begin() as connection:
        record(connection, decision(1))
        record(connection, decision(2, promoted=False, rule="approval", reason="refused by Ben", rejected_by="Ben"))

    newest, first = CliRunner().invoke(app, ["decisions"]).stdout.splitlines()[1:]
    assert newest.split()[:6] == ["2026-01-07", "07:05", "kept", "approval", "v3", "v3"]
    assert "refused by Ben" in newest
    assert "Airflow, weekly_ml_pipeline manual__1 and Anna" in first


def test_the_champions_own_promotion_is_found_however_long_ago(engine: Engine) -> None:
    with engine.begin() as connection:
        record(connection, decision(1, promoted=True, champion_version="2", previous_champion_version="1"))
        for number in range(2, 40):
            record(connection, decision(number, promoted=False, champion_version="2"))

    with engine.connect() as connection:
        assert find_promotion(connection, "products", "2") == decision(
            1, promoted=True, champion_version="2", previous_champion_version="1"
        )
        assert find_promotion(connection, "products", "9") is None


def test_what_others_wrote_steers_no_terminal(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("COLUMNS", "250")
    with engine.begin() as connection:
        record(connection, decision(1, decided_by="[link=http://evil.test]me[/link]", reason="x\x1b[2J\u202ey"))

    told = CliRunner().invoke(app, ["decisions"]).output
    assert "[link=" in "".join(told.split())
    assert not any(sign in told for sign in ("\x1b", "\u202e"))
