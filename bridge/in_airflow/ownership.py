"""Which flow run a worker's process owns, and what becomes of it when the process or its try ends.

Airflow ends a task's process when a person has ended the task, when the task is out of time, and when the worker is
being stopped. Only the last leaves the run: to the task's retry, where one is left and that was chosen. A process whose
try has been passed on owns nothing any more.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from threading import Thread
from typing import Any, Literal

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from bridge.errors import BridgeError, PrefectUnreachable
from bridge.in_airflow.attempt_journal import AttemptJournal
from bridge.in_airflow.submission import Order
from bridge.in_airflow.task_states import Fate, fate_if_told_soon, fate_of
from bridge.letting_go import Wish, let_go, let_go_later
from bridge.prefect_api.connection import PrefectConnection

log = logging.getLogger(__name__)

OnWorkerShutdown = Literal["leave", "cancel"]

STOPPED = "This worker is being stopped. The flow run lives on; the task's retry re-attaches to it."
ENDED = "The task was ended from outside"
PASSED_ON = "Another try of this task has begun; this one leaves the flow run to it"

LETTING_GO_SECONDS = 2.0
"""How long one request may take where Airflow kills the process five seconds after it has asked it to end."""


@dataclass(frozen=True)
class OwnedRun:
    """A run's id, or as long as that is not known the order that was placed."""

    ti: Any
    journal: AttemptJournal
    connection: PrefectConnection
    patience_seconds: float
    order: Order | None = None
    flow_run_id: str | None = None

    @property
    def has_retry(self) -> bool:
        """Whether Airflow will try the task again."""
        return bool(self.ti.try_number <= self.ti.max_tries)

    def let_go(self) -> None:
        """Cancel the run; where Prefect is away, a process of its own keeps trying."""
        if self.order is not None and not self.order.may_have_runs:
            return
        wish = Wish(claim=self.order.claim) if self.order is not None else Wish(self.flow_run_id)
        hurried = replace(self.connection, timeout_seconds=min(LETTING_GO_SECONDS, self.connection.timeout_seconds))
        try:
            for told in let_go(wish, hurried, 0.0):
                log.info("The task was ended: %s", told)
        except PrefectUnreachable as away:
            log.warning("The run is cancelled as soon as Prefect answers, within %s s: %s", self.patience_seconds, away)
            let_go_later(wish, self.connection, self.patience_seconds)
        except BridgeError as refusal:
            log.error("The run could not be cancelled: %s", refusal)


class Ownership:
    """Owns one run after another for an operator's process, and heeds the end of that process."""

    def __init__(self, on_worker_shutdown: OnWorkerShutdown) -> None:
        self._on_worker_shutdown = on_worker_shutdown
        self._owned: OwnedRun | None = None
        self._has_owned = False
        self._ended_early = False
        self._ending: Thread | None = None
        self._is_letting_go = False
        self.out_of_time = False
        """Airflow's own limit has passed: then the run ends, and Airflow raises what there is to raise."""

    def take(self, owned: OwnedRun) -> None:
        """From here on this process answers for the run, and for an end that came before."""
        self._owned, self._has_owned = owned, True
        if self._ended_early:
            self._act_on(fate_of(owned.ti, owned.journal), owned)

    def release(self) -> None:
        """The run has ended, or is not this process's to end any more."""
        self._owned = None

    def check_not_ended(self) -> None:
        """Before the task is handed on, or its run cancelled: has it been ended, or passed on, meanwhile? Raises if so.

        A worker hears of that with its next heartbeat, some seconds late; a task that has deferred by then, never.
        """
        if self._ending is not None:
            self._ending.join()
        owned = self._owned
        if owned is not None and (fate := fate_of(owned.ti, owned.journal)) in {Fate.GIVEN_UP, Fate.PASSED_ON}:
            self._act_on(fate, owned)

    def settle(self, *, will_retry: bool) -> None:
        """`execute` ends by an error that says nothing of the run: it is left to the retry, or cancelled."""
        owned, self._owned = self._owned, None
        if owned is not None and not (will_retry and owned.has_retry):
            self._let_go(owned)

    def end(self) -> None:
        """The process is ended, perhaps from a signal handler. Raises to end `execute`: Airflow would let it go on.

        Not in the middle of letting a run go, which the signal would interrupt.
        """
        if self._is_letting_go:
            return
        owned = self._owned
        if owned is None:
            # Perhaps nothing is owned yet, but an earlier attempt may have left a run: `execute` will know.
            self._ended_early = not self._has_owned
            if self._has_owned and not self.out_of_time:
                raise AirflowFailException(ENDED)
            return
        fate = fate_if_told_soon(owned.ti, owned.journal)
        if fate != Fate.UNKNOWN or not self._may_leave(owned):
            self._act_on(fate, owned)
        elif not self.out_of_time:
            # The signal may have come in the middle of a word with Airflow, whose answer must be heard out first.
            self._ending = Thread(target=_let_go_if_given_up, args=(owned,), name="bridge ends the task")
            self._ending.start()

    def _act_on(self, fate: Fate, owned: OwnedRun) -> None:
        """Cancel or leave the run; raises unless Airflow itself does."""
        self._owned = None
        if fate == Fate.PASSED_ON:
            raise AirflowException(PASSED_ON)
        if fate in {Fate.GOES_ON, Fate.UNKNOWN} and self._may_leave(owned) and not self.out_of_time:
            raise AirflowException(STOPPED)
        self._let_go(owned)
        if not self.out_of_time:
            raise AirflowFailException(ENDED)

    def _let_go(self, owned: OwnedRun) -> None:
        self._is_letting_go = True
        try:
            owned.let_go()
        finally:
            self._is_letting_go = False

    def _may_leave(self, owned: OwnedRun) -> bool:
        """Whether a worker that is merely stopped leaves the run: as chosen, and to a retry that is left."""
        return self._on_worker_shutdown == "leave" and owned.has_retry


def _let_go_if_given_up(owned: OwnedRun) -> None:
    """Cancel the run once Airflow says that nobody waits for it any more; else leave it. Blocks."""
    if fate_of(owned.ti, owned.journal) == Fate.GIVEN_UP:
        owned.let_go()
