"""Which flow run a worker's process owns, and what becomes of it when the process is ended.

Airflow ends a task's process when a person has ended the task, when the task is out of time, and when the worker is
being stopped. Only the last leaves the run: to the task's retry, where one is left and that was chosen.
"""

from __future__ import annotations

from threading import Thread
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from bridge.in_airflow.submission import Order
from bridge.in_airflow.task_states import UNKNOWN, state_if_known, state_or_unknown
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.retrying import RetryPolicy

OnWorkerShutdown = Literal["leave", "cancel"]

STOPPED = "This worker is being stopped. The flow run lives on; the task's retry re-attaches to it."
ENDED = "The task was ended from outside"
RUNNING = {"running", UNKNOWN}


class OwnedRun:
    """A run's id, or as long as that is not known the order that was placed."""

    def __init__(
        self, ti: Any, connection: PrefectConnection, *, order: Order | None = None, flow_run_id: str | None = None
    ) -> None:
        self.ti = ti
        self._connection = connection
        self._order = order
        self._flow_run_id = flow_run_id

    def let_go(self) -> None:
        """Cancel the run."""
        if self._order is not None:
            self._order.withdraw(self._connection)
        elif self._flow_run_id is not None:
            with PrefectClient(self._connection, RetryPolicy(attempts=3)) as client:
                client.run(wire.cancel_flow_run(self._flow_run_id))


class Ownership:
    """Owns one run after another for an operator's process, and heeds the end of that process."""

    def __init__(self, on_worker_shutdown: OnWorkerShutdown) -> None:
        self._on_worker_shutdown = on_worker_shutdown
        self._owned: OwnedRun | None = None
        self._has_owned = False
        self._ended_early = False
        self._ending: Thread | None = None
        self.out_of_time = False
        """Airflow's own limit has passed: then the run ends, and Airflow raises what there is to raise."""

    def take(self, owned: OwnedRun) -> None:
        """From here on this process answers for the run, and for an end that came before."""
        self._owned, self._has_owned = owned, True
        if not self._ended_early:
            return
        if self._may_leave(owned.ti) and state_or_unknown(owned.ti) in RUNNING:
            raise AirflowException(STOPPED)
        owned.let_go()
        raise AirflowFailException(ENDED)

    def release(self) -> None:
        """The run has ended, or is not this process's to end any more."""
        self._owned = None

    def check_not_ended(self) -> None:
        """Before the task is handed to the triggerer: has a person ended it meanwhile?

        A worker hears of that with its next heartbeat, some seconds late; a task that has deferred by then, never.
        """
        if self._ending is not None:
            self._ending.join()
        owned = self._owned
        if owned is not None and state_or_unknown(owned.ti) not in RUNNING:
            owned.let_go()
            raise AirflowFailException(ENDED)

    def end(self) -> None:
        """The process is ended, perhaps from a signal handler. Raises to end `execute`: Airflow would let it go on."""
        owned = self._owned
        if not self._has_owned and not self.out_of_time:
            # Nothing is owned yet, but an earlier attempt may have left a run: `execute` will know.
            self._ended_early = True
            return
        if owned is not None and not self.out_of_time and self._may_leave(owned.ti):
            known = state_if_known(owned.ti)
            if known == UNKNOWN:
                # The signal may have come in the middle of a word with Airflow, whose answer must be heard out first.
                self._ending = Thread(target=_let_go_unless_running, args=(owned,), name="bridge ends the task")
                self._ending.start()
                return
            if known == "running":
                raise AirflowException(STOPPED)
        if owned is not None:
            owned.let_go()
        if not self.out_of_time:
            raise AirflowFailException(ENDED)

    def _may_leave(self, ti: Any) -> bool:
        """Whether a worker that is merely stopped leaves the run: as chosen, and to a retry that is left."""
        return self._on_worker_shutdown == "leave" and bool(ti.try_number <= ti.max_tries)


def _let_go_unless_running(owned: OwnedRun) -> None:
    """Cancel the run once Airflow says that the task does not run any more; while it does, leave it. Blocks."""
    if state_or_unknown(owned.ti) not in RUNNING:
        owned.let_go()
