"""A retry continues, a clear begins anew: told apart by Airflow's own numbers, whatever people do to them.

The numbers are those of a model of Airflow's `clear_task_instances` and of its retries; `tests/airflow` and the seeded
faults hold the model against Airflow itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.attempts import Attempt, AttemptRecord, follow, is_cleared
from bridge.prefect_api.records import FlowRun


@dataclass
class TaskInstance:
    """A task instance's row in Airflow 3.3, and what is done to it."""

    retries: int = 1
    try_number: int = 0
    max_tries: int = 0
    clear_number: int = 0
    ti_id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    def begin(self) -> Attempt:
        self.try_number += 1
        return Attempt(self.ti_id, self.try_number, self.max_tries, self.clear_number, self.retries)

    @property
    def may_retry(self) -> bool:
        return self.max_tries != 0 and self.try_number <= self.max_tries

    def retry(self) -> None:
        self.ti_id = uuid4().hex

    def clear(self) -> None:
        self.ti_id = uuid4().hex
        self.max_tries = self.try_number + self.retries
        self.clear_number += 1

    def clear_while_it_runs(self) -> None:
        """Airflow lets it end, and tries it again whatever `max_tries` says."""
        self.ti_id = uuid4().hex
        self.clear_number += 1


def begun(ti: TaskInstance, **more: Any) -> AttemptRecord:
    return AttemptRecord("me", 0, ti.begin(), "a/b", **more)


def test_a_retry_goes_on_and_a_clear_begins_anew() -> None:
    ti = TaskInstance(retries=3)
    first = begun(ti)
    ti.retry()
    second = follow(first, ti.begin(), "a/b", "another")
    assert (second.identity, second.epoch) == ("me", 0)
    ti.clear()
    third = follow(second, ti.begin(), "a/b", "another")
    assert (third.identity, third.epoch) == ("me", 1)


def test_the_first_attempt_gets_a_name_of_its_own() -> None:
    assert follow(None, TaskInstance().begin(), "a/b", "fresh").identity == "fresh"


def test_the_same_try_again_goes_on() -> None:
    ti = TaskInstance()
    first = begun(ti)
    assert not is_cleared(first, first.attempt)


def test_a_success_that_is_cleared_after_retries_was_lowered_begins_anew() -> None:
    ti = TaskInstance(retries=2)
    first = begun(ti)
    ti.retries = 1
    ti.clear()
    assert ti.max_tries == first.attempt.max_tries  # the number that says nothing
    assert is_cleared(first, ti.begin())


def test_a_success_that_is_cleared_without_the_dag_run_begins_anew_where_it_told_of_its_end() -> None:
    ti = TaskInstance(retries=2)
    first = begun(ti, ended="success")
    ti.retries, ti.clear_number = 1, -1
    ti.clear()
    assert is_cleared(first, ti.begin())


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_a_retry_goes_on_after_the_dags_retries_were_changed(retries: int) -> None:
    ti = TaskInstance(retries=2)
    first = begun(ti)
    ti.retries = retries
    ti.retry()
    assert not is_cleared(first, ti.begin())


def test_a_retry_goes_on_although_another_task_was_cleared_meanwhile() -> None:
    ti = TaskInstance(retries=3)
    first = begun(ti, ended="failed")
    ti.clear_number += 1
    ti.retry()
    assert not is_cleared(first, ti.begin())


def test_a_task_that_is_cleared_while_its_lost_worker_counts_as_running_begins_anew() -> None:
    ti = TaskInstance(retries=3)
    first = begun(ti)
    ti.clear_while_it_runs()
    assert is_cleared(first, ti.begin())


def test_a_task_that_is_cleared_on_its_last_try_begins_anew_whatever_the_numbers_say() -> None:
    ti = TaskInstance(retries=0)
    first = begun(ti, ended="failed")
    ti.clear_while_it_runs()
    ti.clear_number = first.attempt.clear_number
    assert is_cleared(first, ti.begin())


def test_a_row_that_was_made_anew_begins_anew() -> None:
    first = begun(TaskInstance())
    assert is_cleared(first, TaskInstance().begin())


@given(st.lists(st.tuples(st.sampled_from(["retry", "clear"]), st.integers(0, 4)), max_size=12))
def test_every_history_is_read_as_it_was(history: list[tuple[str, int]]) -> None:
    ti = TaskInstance(retries=3)
    record = replace(follow(None, ti.begin(), "a/b", "me"), ended="failed")
    clears = 0
    for what, retries in history:
        ti.retries = retries
        if what == "clear":
            ti.clear()
            clears += 1
        elif ti.may_retry:
            ti.retry()
        else:
            continue
        record = replace(follow(record, ti.begin(), "a/b", "another"), ended="failed")
        assert (record.identity, record.epoch) == ("me", clears)


def test_a_record_survives_airflows_store_and_a_flow_runs_labels() -> None:
    record = replace(begun(TaskInstance()), flow_run_id="r")
    assert AttemptRecord.decode(record.encode()) == record
    run = FlowRun.parse({"id": "r", "name": "n", "labels": record.labels})
    assert AttemptRecord.of_run(run) == record
