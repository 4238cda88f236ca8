"""What a fault run must not have done: the four counts, taken from Prefect's database and Airflow's. Pure.

Knows no plan: it judges by what happened, whatever was meant to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

from bridge.contracts import SKIPPED_STATE_NAME
from bridge.verdict import LIVE_TYPES

Count = Literal["duplicates", "orphans", "lost results", "wrong verdicts"]
COUNTS: tuple[Count, ...] = ("duplicates", "orphans", "lost results", "wrong verdicts")


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that must not be; `count` is the sum into which it goes."""

    count: Count
    what: str

    def __str__(self) -> str:
        return f"{self.count}: {self.what}"


@dataclass(frozen=True, slots=True)
class RunHistory:
    """A flow run as Prefect's database tells it."""

    id: str
    created: datetime
    states: Sequence[tuple[datetime, str, str]]
    """When, type and name; oldest first."""
    result: Any

    @property
    def state_type(self) -> str:
        return self.states[-1][1]

    @property
    def state_name(self) -> str:
        return self.states[-1][2]

    def lives_at(self, moment: datetime) -> bool:
        """Whether it had not ended by then, nor been asked to end."""
        past = [kind for when, kind, _ in self.states if when <= moment]
        return "CANCELLING" not in past and (not past or past[-1] in LIVE_TYPES)

    @property
    def is_live(self) -> bool:
        """Whether it goes on; a run that has been asked to end does not, however long Prefect takes over it."""
        return self.state_type in LIVE_TYPES - {"CANCELLING"}

    @property
    def was_cancelled(self) -> bool:
        return any(kind in {"CANCELLING", "CANCELLED"} for _, kind, _ in self.states)


@dataclass(frozen=True, slots=True)
class TaskHistory:
    """The task as Airflow's database tells it. `attempts_left`: Airflow would have retried a retryable error."""

    state: str
    xcom: Any
    attempts_left: bool
    error: str = ""
    failed_by_hand_at: datetime | None = None
    cleared_at: datetime | None = None
    cancelled_elsewhere: frozenset[str] = field(default_factory=frozenset)
    """Runs that somebody cancelled in Prefect."""
    has_deadlines: bool = False


def judge_run(task: TaskHistory, runs: Sequence[RunHistory]) -> list[Finding]:
    """Everything that is wrong; `runs` are all of the task's, oldest first."""
    return [*_duplicates(task, runs), *_orphans(runs), *_cancellations(task, runs), *_ending(task, runs)]


def _duplicates(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    for earlier, later in pairwise(runs):
        if earlier.lives_at(later.created):
            yield Finding("duplicates", f"{later.id} was started while {earlier.id} lived")
        elif earlier.state_type == "COMPLETED" and not (task.cleared_at and task.cleared_at <= later.created):
            yield Finding("duplicates", f"{later.id} was started although {earlier.id} completed")


def _orphans(runs: Sequence[RunHistory]) -> Iterator[Finding]:
    for run in runs:
        if run.is_live:
            yield Finding("orphans", f"{run.id} is {run.state_name}, and nobody waits for it")


def _cancellations(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    if task.failed_by_hand_at or task.cleared_at or task.has_deadlines:
        return
    for run in runs:
        if run.was_cancelled and run.id not in task.cancelled_elsewhere:
            yield Finding("wrong verdicts", f"{run.id} was cancelled, and nobody had asked for that")


def _ending(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    last = runs[-1] if runs else None
    if task.state == "failed":
        if task.failed_by_hand_at is None:
            yield from _failure(task, last)
    elif task.state not in {"success", "skipped"}:
        yield Finding("wrong verdicts", f"the task is {task.state} still")
    elif last is None or last.state_type != "COMPLETED":
        how = f"its run {last.id} is {last.state_name}" if last else "it has no run"
        yield Finding("wrong verdicts", f"the task is {task.state}, but {how}")
    else:
        if (task.state == "skipped") != (last.state_name == SKIPPED_STATE_NAME):
            yield Finding("wrong verdicts", f"the task is {task.state}, but its run {last.id} is {last.state_name}")
        if task.xcom != last.result:
            yield Finding("lost results", f"{last.id} published {last.result}, the task handed back {task.xcom}")


def _failure(task: TaskHistory, last: RunHistory | None) -> Iterator[Finding]:
    if last is None:
        yield Finding("wrong verdicts", f"the task failed without any run: {task.error}")
    elif last.state_type == "COMPLETED":
        yield Finding("wrong verdicts", f"the task failed, but its run {last.id} completed: {task.error}")
    elif task.attempts_left:
        yield Finding("wrong verdicts", f"the task failed with attempts left: {task.error}")


def run_history(run: Mapping[str, Any], states: Sequence[Mapping[str, Any]], result: Any) -> RunHistory:
    """From Prefect's documents."""
    past = [(datetime.fromisoformat(each["timestamp"]), each["type"], each["name"]) for each in states]
    return RunHistory(run["id"], datetime.fromisoformat(run["created"]), past, result)
