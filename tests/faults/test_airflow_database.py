"""The small Airflow's API is as strict as the real one, and as lenient."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.faults.airflow_database import OK, Database
from tests.faults.task_row import TaskRow


@pytest.fixture
def database() -> Database:
    return Database("a-run", TaskRow(retries=1, state="running", try_number=1))


def stored(database: Database, ti_id: object, kind: str = "GetTaskStateStore") -> dict[str, Any]:
    answer = database.answer(kind, {"ti_id": str(ti_id), "key": "k", "value": 1})
    assert answer is not None
    return answer


def test_an_xcom_that_is_no_json_is_refused_and_not_kept(database: Database) -> None:
    answer = database.answer("SetXCom", {"key": "k", "value": {"rate": float("nan")}})
    assert answer is not None
    assert answer["type"] == "ErrorResponse"
    assert not database.xcoms


def test_the_state_store_answers_to_the_current_try_alone(database: Database) -> None:
    first = database.row.ti_id
    assert stored(database, first, "SetTaskStateStore") == OK
    assert stored(database, first)["value"] == 1
    database.row.retry()
    assert stored(database, first)["error"] == "TASK_STORE_NOT_FOUND"
    assert stored(database, first, "SetTaskStateStore")["type"] == "ErrorResponse"
    assert stored(database, database.row.ti_id)["value"] == 1


def test_the_state_store_goes_with_its_dag_run(database: Database) -> None:
    stored(database, database.row.ti_id, "SetTaskStateStore")
    database.delete()
    database.row.create_again()
    assert stored(database, database.row.ti_id)["error"] == "TASK_STORE_NOT_FOUND"


def test_xcoms_are_taken_from_a_try_that_was_given_up(database: Database) -> None:
    database.row.ti_id = uuid4()
    assert database.answer("SetXCom", {"key": "k", "value": 1}) == OK


def test_a_cleared_task_has_no_state_for_a_moment_and_a_deleted_one_is_not_there(database: Database) -> None:
    def told() -> Any:
        answer = database.answer("GetTaskStates", {})
        assert answer is not None
        return answer["task_states"]["a-run"]

    assert told() == {"run": "running"}
    database.row.state = "deferred"
    database.row.clear()
    assert told() == {"run": None}
    database.row.begin_try()
    assert told() == {"run": "scheduled"}
    database.delete()
    assert told() == {}
