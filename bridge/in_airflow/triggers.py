"""Waiting in the triggerer: one trigger a run, one socket and one batched read for all of them.

A success may end the task from here. Everything else resumes on a worker, so that the typed exception reaches
Airflow's retry policy. Serialised form: plain JSON, no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import Any

from airflow.sdk import BaseXCom
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async
from pydantic import BaseModel

from bridge.ending import outcome
from bridge.errors import BridgeError
from bridge.in_airflow.airflow_internals import write_xcom
from bridge.in_airflow.hand_over import seconds_to_resumption, seconds_until
from bridge.in_airflow.hook import PrefectHook
from bridge.in_airflow.run_log import AIRFLOW_ERRORS, RunLog, xcom_place
from bridge.in_airflow.task_states import state_of
from bridge.in_airflow.warm_up import warm_up_once
from bridge.letting_go import Wish, let_go_async
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import FlowRun
from bridge.verdict import Completed, Live, judge
from bridge.waiting.shared import shared_waiting
from bridge.waiting.until_final import Terms, until_final

GOING_ON = {"deferred", "scheduled", "queued", "running", "up_for_retry"}
"""States of a task that nobody has ended."""

_endings: set[asyncio.Task[None]] = set()
"""What is being ended; an event loop itself keeps no task alive."""


class FlowRunTrigger(BaseTrigger):
    """Fires when the flow run has ended, or when a limit has passed.

    The run must have started after `start_seconds` and ended after `run_seconds`, counted from its creation, or from
    `counted_from`, a moment by Prefect's clock in ISO 8601. A restart of the triggerer does not begin the count anew:
    it begins with the run's age. A CRASHED run is waited for `crash_grace_seconds` longer. For `patience_seconds`
    Prefect may give no answer. With `stream_logs` the run's log goes into the task's; lines up to `logged_until` are
    there already. `result_model` is `module:name` of the pydantic model that the result must fit, or None. Before
    `resume_not_before` the task is not resumed on a worker; a success that the trigger ends itself is not held back.
    `begun_before` is how often the run had begun before it was asked for, `errors_before` how many waits in a row have
    ended with an error.
    """

    def __init__(
        self,
        prefect_conn_id: str,
        flow_run_id: str,
        start_seconds: float | None = None,
        run_seconds: float | None = None,
        counted_from: str | None = None,
        begun_before: int = 0,
        crash_grace_seconds: float = 0.0,
        patience_seconds: float = 300.0,
        stream_logs: bool = False,
        logged_until: str | None = None,
        result_model: str | None = None,
        end_from_trigger: bool = False,
        push_result: bool = True,
        resume_not_before: str | None = None,
        errors_before: int = 0,
        start_deadline: str | None = None,
        run_deadline: str | None = None,
    ) -> None:
        super().__init__()
        if start_deadline is not None or run_deadline is not None:
            # As the bridge before 0.2 wrote it down: moments, which count as what is left of them.
            start_seconds, run_seconds = seconds_until(start_deadline), seconds_until(run_deadline)
            counted_from = datetime.now(UTC).isoformat()
        self.prefect_conn_id = prefect_conn_id
        self.flow_run_id = flow_run_id
        self.start_seconds = start_seconds
        self.run_seconds = run_seconds
        self.counted_from = counted_from
        self.begun_before = begun_before
        self.crash_grace_seconds = crash_grace_seconds
        self.patience_seconds = patience_seconds
        self.stream_logs = stream_logs
        self.logged_until = logged_until
        self.result_model = result_model
        self.end_from_trigger = end_from_trigger
        self.push_result = push_result
        self.resume_not_before = resume_not_before
        self.errors_before = errors_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "prefect_conn_id": self.prefect_conn_id,
                "flow_run_id": self.flow_run_id,
                "start_seconds": self.start_seconds,
                "run_seconds": self.run_seconds,
                "counted_from": self.counted_from,
                "begun_before": self.begun_before,
                "crash_grace_seconds": self.crash_grace_seconds,
                "patience_seconds": self.patience_seconds,
                "stream_logs": self.stream_logs,
                "logged_until": self.logged_until,
                "result_model": self.result_model,
                "end_from_trigger": self.end_from_trigger,
                "push_result": self.push_result,
                "resume_not_before": self.resume_not_before,
                "errors_before": self.errors_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the task's success, or why it must resume on a worker."""
        written = RunLog(self.log, self._task(), self.logged_until)
        warm_up_once(self._task())
        try:
            connection = await PrefectHook(self.prefect_conn_id).connection_async()
            if self.stream_logs:
                await written.find_position(self.resume_not_before)
            event = await self._wait(connection, written)
        except (BridgeError, *AIRFLOW_ERRORS) as error:
            self.log.warning("Resuming on a worker: %s", error)
            event = self._resumption("error", written, str(error))
        except Exception as error:  # else Airflow ends the task by "Trigger failure", and its run lives on
            self.log.warning("Resuming on a worker: %r", error, exc_info=error)
            event = self._resumption("error", written, repr(error))
        if type(event) is TriggerEvent:
            await asyncio.sleep(seconds_to_resumption(self.resume_not_before))
        yield event

    async def on_kill(self) -> None:
        """Cancel the run when a person has ended the task; never when triggers merely move.

        Goes on by itself when Airflow gives up on it after `[triggerer] on_kill_timeout`: the first question that a
        triggerer asks Airflow takes it seconds, on a busy machine more than it allows.
        """
        ending = asyncio.create_task(self._end())
        _endings.add(ending)
        ending.add_done_callback(_endings.discard)
        await asyncio.shield(ending)

    async def _end(self) -> None:
        """Airflow 3.3 also ends triggers that it redistributes after a stale heartbeat (apache/airflow #73454).

        Then the task still waits, or another triggerer has resumed it, and its run must live. A task that was cleared
        goes on as well: its next attempt cancels what the one before has left.
        """
        ti = self._task()
        if ti is None or await sync_to_async(state_of)(ti) in GOING_ON:
            self.log.info("The task goes on; flow run %s is not cancelled", self.flow_run_id)
            return
        connection = await PrefectHook(self.prefect_conn_id).connection_async()
        for told in await let_go_async(Wish(self.flow_run_id), connection, self.patience_seconds):
            self.log.info("The task was ended: %s", told)

    async def _wait(self, connection: PrefectConnection, written: RunLog) -> TriggerEvent:
        waiting = shared_waiting(connection)
        while True:
            news = waiting.follow(
                self.flow_run_id,
                patience_seconds=self.patience_seconds,
                with_log=self.stream_logs,
                log_after=written.position,
            )
            async with aclosing(news):
                waited = await until_final(news, self._terms, self._tell, written.write)
                run, passed = waited.run, waited.passed
                if passed is not None or not self._ends_the_task() or not isinstance(judge(run), Completed):
                    return self._resumption(passed or "ended", written)
                confirmed, result = await asyncio.gather(
                    waiting.confirm(self.flow_run_id), waiting.result_of(self.flow_run_id)
                )
            verdict = judge(confirmed)
            if isinstance(verdict, Completed):
                return await self._success(connection, confirmed, verdict, result)
            if not isinstance(verdict, Live):
                return self._resumption("ended", written)
            self.log.info("Flow run %r is %s again", run.name, confirmed.state_name)

    @property
    def _terms(self) -> Terms:
        return Terms(
            self.start_seconds,
            self.run_seconds,
            self.crash_grace_seconds,
            self.begun_before,
            None if self.counted_from is None else datetime.fromisoformat(self.counted_from),
        )

    def _tell(self, run: FlowRun) -> None:
        self.log.info("Flow run %r is %s", run.name, run.state_name)

    def _resumption(self, because: str, written: RunLog, detail: str = "") -> TriggerEvent:
        return TriggerEvent(
            {
                "flow_run_id": self.flow_run_id,
                "because": because,
                "detail": detail,
                "counted_from": self.counted_from,
                "begun_before": self.begun_before,
                "logged_until": written.position and written.position.isoformat(),
                "log_is_closed": written.closed,
                "errors": self.errors_before + 1 if because == "error" else 0,
            }
        )

    def _task(self) -> Any:
        """The task instance that waits; `dag.test()` runs triggers without one."""
        return self.task_instance

    def _ends_the_task(self) -> bool:
        return self.end_from_trigger and self._task() is not None

    async def _success(
        self, connection: PrefectConnection, run: FlowRun, completed: Completed, result: Mapping[str, Any] | None
    ) -> TriggerEvent:
        model = await self._result_model()
        concluded = outcome(run, connection.flow_run_url(run.id), completed, result, model)
        if self.push_result and result is not None:
            await self._push(result)
        if concluded.skipped_because is not None:
            self.log.info("Skipped: %s", concluded.skipped_because)
            return TaskSkippedEvent()
        return TaskSuccessEvent()

    async def _push(self, result: Mapping[str, Any]) -> None:
        # Not through the event: Airflow 3.3.2 stores an event's XComs as text, which a task then pulls as such.
        await write_xcom(BaseXCom.XCOM_RETURN_KEY, dict(result), **xcom_place(self._task()))

    async def _result_model(self) -> type[BaseModel] | None:
        if self.result_model is None:
            return None
        # An import may read files; the event loop must not wait for them.
        try:
            model: type[BaseModel] = await asyncio.to_thread(resolve_name, self.result_model)
        except (ImportError, AttributeError, ValueError) as error:
            raise BridgeError(f"The triggerer cannot import {self.result_model}: {error}") from error
        return model
