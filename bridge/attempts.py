"""The tries of one Airflow task instance: which of them continue each other, and which begin anew.

Pure. A retry continues what the try before it has begun; a clear begins anew. Airflow tells a task nothing of clears,
so that they are read off the numbers that it does tell (docs/decisions/0019-whose-run-it-is.md has the argument).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from bridge.prefect_api.records import FlowRun

IDENTITY_LABEL = "bridge.task_instance"
EPOCH_LABEL = "bridge.epoch"
GENERATION_LABEL = "bridge.generation"
DEPLOYMENT_LABEL = "bridge.deployment"
ASKED_AT_LABEL = "bridge.asked_at"
"""When the run was asked for, in ISO 8601, by the clock of who asked."""

HowEnded = Literal["success", "failed"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try, by Airflow's numbers. `retries` is the task's as the DAG has it now, `max_tries` the database's."""

    ti_id: str
    try_number: int
    max_tries: int
    clear_number: int
    retries: int

    @property
    def labels(self) -> dict[str, str | int]:
        """As a flow run bears them."""
        return {f"airflow.{name}": value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """What is remembered of an attempt until the next one.

    `identity` names the task instance, and no other of the same names in another DAG run or another Airflow. `epoch`
    counts its clears. `flow_run_id` is the newest run that is known; while `pending`, a creation may be under way.
    `ended` is how the attempt ended by itself; None where it was never heard of again.
    """

    identity: str
    epoch: int
    attempt: Attempt
    deployment: str
    flow_run_id: str | None = None
    pending: bool = False
    ended: HowEnded | None = None

    @property
    def labels(self) -> dict[str, str | int]:
        """By which a flow run says whose it is."""
        return {
            IDENTITY_LABEL: self.identity,
            EPOCH_LABEL: self.epoch,
            DEPLOYMENT_LABEL: self.deployment,
            **self.attempt.labels,
        }

    def encode(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def decode(cls, document: Mapping[str, Any]) -> AttemptRecord:
        """Raises KeyError or TypeError where the document is no record."""
        return cls(**{**document, "attempt": Attempt(**document["attempt"])})

    @classmethod
    def of_run(cls, run: FlowRun) -> AttemptRecord:
        """The attempt that started a flow run, by what the run bears; raises KeyError where it bears nothing."""
        labels = run.labels
        numbers = ("try_number", "max_tries", "clear_number", "retries")
        attempt = Attempt(str(labels["airflow.ti_id"]), *(int(labels[f"airflow.{name}"]) for name in numbers))
        return cls(labels[IDENTITY_LABEL], int(labels[EPOCH_LABEL]), attempt, labels[DEPLOYMENT_LABEL], run.id)


def is_cleared(before: AttemptRecord, now: Attempt) -> bool:
    """Whether the task instance was cleared between the attempt before and this one.

    Airflow (3.2 and 3.3, `clear_task_instances`) sets `max_tries = last try_number + task.retries` at a clear and
    raises the DAG run's `clear_number`; a retry moves neither, and happens only where `try_number <= max_tries`.
    """
    then = before.attempt
    if now.ti_id == then.ti_id:
        return False
    no_retry_was_left = now.try_number - 1 > now.max_tries
    was_made_anew = now.try_number <= then.try_number
    if now.max_tries != then.max_tries or no_retry_was_left or was_made_anew:
        return True
    # From here on `max_tries` stands where it stood: as after a retry, or after a clear with fewer retries than before.
    looks_cleared = now.max_tries == now.try_number - 1 + now.retries
    if now.clear_number == then.clear_number:
        return looks_cleared and before.ended == "success"
    # Something of the DAG run was cleared. Where the attempt before was never heard of again, it was this task, which
    # Airflow took for running: `max_tries` then stays.
    return looks_cleared or before.ended is None


def follow(before: AttemptRecord | None, now: Attempt, deployment: str, new_identity: str) -> AttemptRecord:
    """The record of this attempt, given that of the attempt before."""
    if before is None:
        return AttemptRecord(new_identity, 0, now, deployment)
    if is_cleared(before, now):
        return AttemptRecord(before.identity, before.epoch + 1, now, deployment)
    return AttemptRecord(before.identity, before.epoch, now, deployment, before.flow_run_id)
