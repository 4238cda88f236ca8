"""What Airflow says of a task instance while something of it still runs here: does it wait, was it ended?

Asked before anything is cancelled: a process that must go, or a trigger that moves, says nothing of the task.
"""

from __future__ import annotations

import logging
from queue import Empty, Queue
from threading import Thread
from typing import Any

from bridge.in_airflow.airflow_internals import AirflowRuntimeError, read_task_states

log = logging.getLogger(__name__)

ANSWER_SECONDS = 2.0
UNKNOWN = "unknown"


def state_of(ti: Any) -> str | None:
    """The task instance's state in Airflow's database; None where it has none. Blocks."""
    states = read_task_states(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
    name = ti.task_id if ti.map_index is None or ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}"
    state = states.get(name)
    return None if state is None else str(getattr(state, "value", state))


def state_or_unknown(ti: Any) -> str | None:
    """The same; UNKNOWN where Airflow does not say. Blocks."""
    try:
        return state_of(ti)
    except (AirflowRuntimeError, OSError, EOFError) as error:
        log.warning("Airflow does not say how the task stands: %r", error)
        return UNKNOWN


def state_if_known(ti: Any) -> str | None:
    """The same within a signal handler; UNKNOWN when Airflow does not say within ANSWER_SECONDS.

    In a thread: the signal may have interrupted this one while it was speaking with its supervisor.
    """
    answers: Queue[str | None] = Queue()
    Thread(
        target=lambda: answers.put(state_or_unknown(ti)), name="bridge asks for the task's state", daemon=True
    ).start()
    try:
        return answers.get(timeout=ANSWER_SECONDS)
    except Empty:
        log.warning("Airflow does not say within %s s how the task stands", ANSWER_SECONDS)
        return UNKNOWN
