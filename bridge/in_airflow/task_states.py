"""What Airflow says of a try while something of it still runs here: does it go on, was it given up, has another begun?

Asked before anything is cancelled: a process that must go, a trigger that moves, a process that was stopped and wakes
up after its successor has begun, say nothing of the task.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from queue import Empty, Queue
from threading import Thread
from typing import Any

from bridge.in_airflow.airflow_internals import AirflowRuntimeError, read_task_states
from bridge.in_airflow.attempt_journal import AttemptJournal

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0

RUNNING = "running"
RESTARTING = "restarting"
"""Of a task that a person has cleared while it ran."""

DELETED = "deleted"
"""Of a task that is not in Airflow's database any more: its DAG run was deleted."""

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
"""States that a person gives a task, and in which Airflow leaves it for good."""


def state_of(ti: Any) -> str | None:
    """The task instance's state in Airflow's database, DELETED where that lacks it; None where it has none. Blocks."""
    states = read_task_states(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
    name = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    state = states.get(name, DELETED)
    return None if state is None else str(getattr(state, "value", state))


class Fate(StrEnum):
    """What has become of a try."""

    GOES_ON = "goes on"
    GIVEN_UP = "given up"
    """By a person, or by Airflow for good: nobody waits for its run any more."""
    PASSED_ON = "passed on"
    """Another try has begun or will: the run is that one's."""
    UNKNOWN = "unknown"
    """Airflow does not say."""


def fate_of(ti: Any, journal: AttemptJournal) -> Fate:
    """What has become of the try `ti`. Blocks."""
    try:
        state = state_of(ti)
        if state in {RESTARTING, DELETED}:
            return Fate.GIVEN_UP
        if state in ENDED | {RUNNING} and journal.is_of_the_current_try():
            return Fate.GOES_ON if state == RUNNING else Fate.GIVEN_UP
    except (AirflowRuntimeError, OSError, EOFError) as error:
        log.warning("Airflow does not say how the task stands: %r", error)
        return Fate.UNKNOWN
    return Fate.PASSED_ON


def fate_if_told_soon(ti: Any, journal: AttemptJournal) -> Fate:
    """The same within a signal handler; UNKNOWN when Airflow does not say within ANSWER_SECONDS.

    In a thread: the signal may have interrupted this one while it was speaking with its supervisor.
    """
    answers: Queue[Fate] = Queue()
    Thread(
        target=lambda: answers.put(fate_of(ti, journal)), name="bridge asks for the task's state", daemon=True
    ).start()
    try:
        return answers.get(timeout=ANSWER_SECONDS)
    except Empty:
        log.warning("Airflow does not say within %s s how the task stands", ANSWER_SECONDS)
        return Fate.UNKNOWN
