"""The small Airflow's row changes as Airflow's own does."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.faults.task_row import TaskRow

LONG_AGO = datetime(2026, 1, 5, tzinfo=UTC)


def row(**more: object) -> TaskRow:
    return TaskRow(**{"retries": 2, "state": "running", "try_number": 1, "dag_run_began": LONG_AGO, **more})  # type: ignore[arg-type]


def test_a_retry_moves_neither_max_tries_nor_the_number_of_clears() -> None:
    task = row()
    first = task.ti_id
    task.retry()
    task.begin_try()
    assert (task.try_number, task.max_tries, task.clear_number) == (2, 2, 0)
    assert task.ti_id != first


@pytest.mark.parametrize(("alone", "begins_anew"), [(True, True), (False, False)])
def test_a_clear_after_the_end_moves_the_begin_of_a_dag_run_that_has_finished(alone: bool, begins_anew: bool) -> None:
    task = row(state="success", alone=alone)
    task.clear()
    assert (task.dag_run_began > LONG_AGO) is begins_anew
    assert (task.state, task.max_tries, task.clear_number) == ("scheduled", 3, 1)


def test_with_fewer_retries_a_clear_may_leave_max_tries_as_it_was() -> None:
    task = row(state="success", retries=2)
    task.retries = 1
    task.clear()
    assert task.max_tries == 2


def test_a_task_that_is_cleared_while_it_runs_is_counted_anew_when_its_process_has_ended() -> None:
    task = row()
    task.clear()
    assert (task.state, task.max_tries) == ("restarting", 2)
    task.restart(heard_of=True)
    assert (task.state, task.max_tries) == ("scheduled", 3)


def test_a_process_that_was_given_up_after_a_clear_leaves_max_tries() -> None:
    task = row()
    task.clear()
    task.restart(heard_of=False)
    assert (task.state, task.max_tries) == ("up_for_retry", 2)


def test_a_dag_run_that_is_made_anew_begins_with_the_first_try() -> None:
    task = row(state="success", try_number=3, max_tries=5, clear_number=2)
    before = task.ti_id
    task.delete()
    task.create_again()
    task.begin_try()
    assert (task.try_number, task.max_tries, task.clear_number) == (1, 2, 0)
    assert task.ti_id != before


@pytest.mark.parametrize(
    ("task", "told", "kept"),
    [
        (row(), True, True),
        (row(try_number=3), False, False),
        (row(retries=0), False, False),
        (row(retries=0, max_tries=2), True, False),
    ],
)
def test_a_retry_is_left_by_the_apis_count_and_by_the_schedulers(task: TaskRow, told: bool, kept: bool) -> None:
    assert (task.should_retry, task.survives_a_loss) == (told, kept)
