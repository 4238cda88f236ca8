"""A task instance's row in Airflow's database, and how tries, clears and deletions change it. Pure.

Airflow 3.3's rules, from `airflow.models.taskinstance` (`clear_task_instances`, `prepare_db_for_next_try`,
`is_eligible_to_retry`), the scheduler's `process_executor_events` and its heartbeat check, and the execution API.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

ENDS = {"success", "skipped", "failed"}


@dataclass
class TaskRow:
    """`retries` is what the DAG file says now; `max_tries` what it said when the tries were last counted anew.

    `alone`: the task is the DAG run's last one, so that the run is finished when the task has ended.
    """

    retries: int
    map_index: int = -1
    alone: bool = True
    state: str = "scheduled"
    try_number: int = 0
    max_tries: int = -1
    ti_id: UUID = field(default_factory=uuid4)
    dag_run_began: datetime = field(default_factory=lambda: datetime.now(UTC))
    clear_number: int = 0
    is_unscheduled: bool = False
    """Cleared, and not scheduled again yet."""

    def __post_init__(self) -> None:
        if self.max_tries < 0:
            self.max_tries = self.retries

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS

    @property
    def should_retry(self) -> bool:
        """What Airflow's API tells a try when it begins."""
        return self.max_tries != 0 and self.try_number <= self.max_tries

    @property
    def survives_a_loss(self) -> bool:
        """Whether the scheduler, which knows the DAG as it is now, retries a try that left no word."""
        return bool(self.retries) and self.try_number <= self.max_tries

    def begin_try(self) -> None:
        self.is_unscheduled = False
        self.try_number += 1

    def retry(self) -> None:
        """This try has failed, and another one is left."""
        self.ti_id = uuid4()
        self.state = "up_for_retry"

    def clear(self) -> None:
        """A person clears the task. One that runs is only told to end; it is afresh once its process has gone."""
        was_finished = self.alone and self.has_ended
        self.ti_id = uuid4()
        if self.state == "running":
            self.state = "restarting"
        elif self.state != "restarting":
            self._count_anew()
        self.clear_number += 1
        if was_finished:
            self.dag_run_began = datetime.now(UTC)

    def restart(self, *, heard_of: bool) -> None:
        """The process of a task that was cleared while it ran has ended; or was given up, and nobody heard of it."""
        if heard_of:
            self._count_anew()
        else:
            self.state = "up_for_retry"

    def delete(self) -> None:
        """A person deletes the DAG run: there is no such task instance any more."""
        self.ti_id = uuid4()
        self.state = "deleted"

    def create_again(self) -> None:
        """The DAG run is created anew, under the same run id."""
        self.try_number, self.max_tries, self.clear_number = 0, self.retries, 0
        self.dag_run_began = datetime.now(UTC)
        self.state = "scheduled"

    def _count_anew(self) -> None:
        self.max_tries = self.try_number + self.retries
        self.state, self.is_unscheduled = "scheduled", True
