"""What a fault run must not have done: the four counts, taken from Prefect's database and Airflow's. Pure.

Knows no plan: it judges by what happened, whatever was meant to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise, zip_longest
from typing import Any, Literal

from bridge.contracts import SKIPPED_STATE_NAME
from bridge.verdict import LIVE_TYPES
from tests.faults.flow_results import Holds

Count = Literal["duplicates", "orphans", "lost results", "wrong verdicts"]
RESULT_INVALID = "result"
"""Of the message of `bridge.errors.ResultInvalid`."""
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
    holds: Holds = "yes"
    """Whether Airflow can hold the result."""
    deployment: str | None = None
    """Its id; None where it was deleted."""

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
    def never_began(self) -> bool:
        """Cancelled before it did anything, a run has only been there for a moment."""
        return all(kind != "RUNNING" for _, kind, _ in self.states)

    @property
    def was_born_cancelled(self) -> bool:
        return self.states[0][1] == "CANCELLED"

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
    set_by_hand: str | None = None
    """The state that a person has given it, after which nothing else is asked of it."""
    asked_afresh_at: tuple[datetime, ...] = ()
    """When a person cleared it, or created its DAG run anew: from then on the runs before do not count."""
    waits: bool = True
    may_not_start: bool = False
    """Its deployment has gone or takes other parameters: a run that is there is taken, no new one is started."""
    cancelled_elsewhere: frozenset[str] = field(default_factory=frozenset)
    """Runs that somebody cancelled in Prefect."""
    has_deadlines: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was seen beside the task and its runs."""

    neighbours: Sequence[RunHistory] = ()
    """Runs of other members of the mapped task, which nobody has ended."""
    strayed: int = 0
    """Requests that followed a redirect to another host."""
    endured: int = 0
    """Answers that dripped for ever, and were listened to as long."""
    missing_lines: Sequence[str] = ()
    doubled_lines: Sequence[str] = ()


def judge_run(task: TaskHistory, runs: Sequence[RunHistory], around: Surroundings = Surroundings()) -> list[Finding]:
    """Everything that is wrong; `runs` are all of the task's, oldest first.

    One that was born cancelled only holds the place of a creation that may still arrive.
    """
    runs = [run for run in runs if not run.was_born_cancelled]
    return [
        *_duplicates(task, runs),
        *_orphans(task, runs),
        *_cancellations(task, runs),
        *_ending(task, runs),
        *_around(around),
    ]


def _duplicates(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    for earlier, later in pairwise(runs):
        if earlier.lives_at(later.created):
            if not (earlier.never_began and earlier.was_cancelled) and not (later.never_began and later.was_cancelled):
                yield Finding("duplicates", f"{later.id} was started while {earlier.id} lived")
        elif earlier.state_type == "COMPLETED" and not _asks_for_another(task, earlier, later):
            yield Finding("duplicates", f"{later.id} was started although {earlier.id} completed")


def _asks_for_another(task: TaskHistory, earlier: RunHistory, later: RunHistory) -> bool:
    """Whether the task was asked for afresh in between, or the DAG names another deployment by now."""
    is_of_another = None not in {earlier.deployment, later.deployment} and earlier.deployment != later.deployment
    return is_of_another or any(earlier.created <= moment <= later.created for moment in task.asked_afresh_at)


def _orphans(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    """A task that does not wait leaves its run, the last one."""
    for run in runs if task.waits else runs[:-1]:
        if run.is_live:
            yield Finding("orphans", f"{run.id} is {run.state_name}, and nobody waits for it")


def _cancellations(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    if task.set_by_hand or task.asked_afresh_at or task.has_deadlines:
        return
    for run, later in zip_longest(runs, runs[1:]):
        if later is not None and _asks_for_another(task, run, later):
            continue  # the DAG names another deployment by now: the run of the old one is nobody's
        if run.was_cancelled and run.id not in task.cancelled_elsewhere:
            yield Finding("wrong verdicts", f"{run.id} was cancelled, and nobody had asked for that")


def _ending(task: TaskHistory, runs: Sequence[RunHistory]) -> Iterator[Finding]:
    last = runs[-1] if runs else None
    if task.set_by_hand is not None:
        if task.state != task.set_by_hand:
            yield Finding("wrong verdicts", f"a person set the task to {task.set_by_hand}, and it is {task.state}")
    elif task.state == "failed":
        yield from _failure(task, last)
    elif task.state not in {"success", "skipped"}:
        yield Finding("wrong verdicts", f"the task is {task.state} still")
    elif last is None:
        yield Finding("wrong verdicts", f"the task is {task.state}, but it has no run")
    elif any(last.created < moment for moment in task.asked_afresh_at):
        yield Finding("wrong verdicts", f"the task was asked for afresh, but {last.id} from before is its last run")
    elif not task.waits:
        if (task.xcom or {}).get("flow_run_id") != last.id:
            yield Finding("lost results", f"{last.id} was started, the task handed back {task.xcom}")
    else:
        yield from _success(task, last)


def _success(task: TaskHistory, last: RunHistory) -> Iterator[Finding]:
    if last.state_type != "COMPLETED":
        yield Finding("wrong verdicts", f"the task is {task.state}, but its run {last.id} is {last.state_name}")
        return
    if (task.state == "skipped") != (last.state_name == SKIPPED_STATE_NAME):
        yield Finding("wrong verdicts", f"the task is {task.state}, but its run {last.id} is {last.state_name}")
    if last.holds == "no":
        yield Finding("wrong verdicts", f"the task is {task.state}, but what {last.id} published cannot be held")
    elif task.xcom != last.result:
        handed = f"the task handed back {task.xcom!s:.200}"
        yield Finding("lost results", f"{last.id} published {last.result!s:.200}, {handed}")


def _failure(task: TaskHistory, last: RunHistory | None) -> Iterator[Finding]:
    if last is None:
        if not task.may_not_start:  # a run that has not begun goes with its deployment
            yield Finding("wrong verdicts", f"the task failed without any run: {task.error}")
    elif last.state_type == "COMPLETED":
        if last.holds == "yes":
            yield Finding("wrong verdicts", f"the task failed, but its run {last.id} completed: {task.error}")
        elif RESULT_INVALID not in task.error:
            yield Finding("wrong verdicts", f"the result of {last.id} cannot be held, which is not said: {task.error}")
    elif task.attempts_left and not task.may_not_start:
        yield Finding("wrong verdicts", f"the task failed with attempts left: {task.error}")


def _around(around: Surroundings) -> Iterator[Finding]:
    for run in around.neighbours:
        if run.was_cancelled:
            yield Finding("wrong verdicts", f"{run.id} of another member was cancelled")
    if around.strayed:
        yield Finding("wrong verdicts", f"{around.strayed} requests followed a redirect to another host")
    if around.endured:
        yield Finding("wrong verdicts", f"{around.endured} answers that dripped were listened to for ever")
    for line in around.missing_lines:
        yield Finding("lost results", f"the log lacks {line!r}")
    for line in around.doubled_lines:
        yield Finding("lost results", f"the log has {line!r} twice")


def run_history(
    run: Mapping[str, Any], states: Sequence[Mapping[str, Any]], result: Any, holds: Holds = "yes"
) -> RunHistory:
    """From Prefect's documents."""
    past = [(datetime.fromisoformat(each["timestamp"]), each["type"], each["name"]) for each in states]
    return RunHistory(run["id"], datetime.fromisoformat(run["created"]), past, result, holds, run["deployment_id"])
