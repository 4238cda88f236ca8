"""Waiting in the triggerer: one trigger a run, one socket and one batched read for all of them.

A success may end the task from here. Everything else resumes on a worker, so that the typed exception reaches
Airflow's retry policy. Serialised form: plain JSON, no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pkgutil import resolve_name
from typing import Any

from airflow.sdk.execution_time.xcom import XCom
from airflow.triggers.base import BaseTrigger, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from asgiref.sync import sync_to_async
from pydantic import BaseModel

from bridge.ending import Outcome, conclude
from bridge.errors import BridgeError
from bridge.in_airflow.hook import PrefectHook
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.waiting import shared_waiting
from bridge.verdict import Completed, Live, judge


class FlowRunTrigger(BaseTrigger):
    """Fires when the flow run has ended, or when a deadline has passed.

    Deadlines are wall-clock times in ISO 8601, so that they outlive a restart of the triggerer. `result_model` is
    `module:name` of the pydantic model that the result must fit, or None. Before `resume_not_before` the task is not
    resumed on a worker; a success that the trigger ends itself is not held back.
    """

    def __init__(
        self,
        prefect_conn_id: str,
        flow_run_id: str,
        start_deadline: str | None = None,
        run_deadline: str | None = None,
        result_model: str | None = None,
        end_from_trigger: bool = False,
        push_result: bool = True,
        resume_not_before: str | None = None,
    ) -> None:
        super().__init__()
        self.prefect_conn_id = prefect_conn_id
        self.flow_run_id = flow_run_id
        self.start_deadline = start_deadline
        self.run_deadline = run_deadline
        self.result_model = result_model
        self.end_from_trigger = end_from_trigger
        self.push_result = push_result
        self.resume_not_before = resume_not_before

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "prefect_conn_id": self.prefect_conn_id,
                "flow_run_id": self.flow_run_id,
                "start_deadline": self.start_deadline,
                "run_deadline": self.run_deadline,
                "result_model": self.result_model,
                "end_from_trigger": self.end_from_trigger,
                "push_result": self.push_result,
                "resume_not_before": self.resume_not_before,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: the task's success, or why it must resume on a worker."""
        try:
            connection = await PrefectHook(self.prefect_conn_id).connection_async()
            run, passed = await self._follow(connection)
            if passed is None and self._ends_the_task() and isinstance(judge(run), Completed):
                yield await self._success(connection, run)
                return
        except BridgeError as error:
            self.log.warning("Resuming on a worker: %s", error)
            await self._until_the_worker_is_gone()
            yield TriggerEvent({"flow_run_id": self.flow_run_id, "because": "error", "detail": str(error)})
            return
        await self._until_the_worker_is_gone()
        yield TriggerEvent({"flow_run_id": self.flow_run_id, "because": passed or "ended"})

    async def _until_the_worker_is_gone(self) -> None:
        """Hold a resumption back while the executor may still report the worker that deferred the task.

        Airflow 3.3.2's scheduler takes that report, when the task is queued again already, for the death of the resumed
        one and spends a retry. A worker's supervisor may notice the end of its process `min_heartbeat_interval` late.
        """
        if self.resume_not_before is not None:
            left = (datetime.fromisoformat(self.resume_not_before) - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(0.0, left))

    async def on_kill(self) -> None:
        """Cancel the run when a person has ended the task; never when triggers merely move.

        Airflow 3.3 also calls this when it redistributes triggers after a stale heartbeat (apache/airflow #73454):
        then the task still waits, and its run must live.
        """
        if await self._task_still_waits():
            self.log.info("The task still waits for flow run %s; it is not cancelled", self.flow_run_id)
            return
        connection = await PrefectHook(self.prefect_conn_id).connection_async()
        async with AsyncPrefectClient(connection) as client:
            run = await client.run(wire.cancel_flow_run(self.flow_run_id))
        self.log.info("Cancelled flow run %s: it is %s now", self.flow_run_id, run.state_name)

    async def _follow(self, connection: PrefectConnection) -> tuple[FlowRun, str | None]:
        """The run as last read, and which deadline has passed, if any."""
        readings = shared_waiting(connection).follow(self.flow_run_id)
        try:
            # Without a deadline: how the run stands decides which there are. An API that stays away ends this.
            run = await anext(readings)
            while True:
                self.log.info("Flow run %r is %s", run.name, run.state_name)
                verdict = judge(run)
                if not isinstance(verdict, Live):
                    return run, None
                name, seconds = self._next_deadline(started=verdict.started)
                try:
                    run = await asyncio.wait_for(anext(readings), seconds)
                except TimeoutError:
                    return await self._read(connection), name
        finally:
            await readings.aclose()

    def _next_deadline(self, *, started: bool) -> tuple[str | None, float | None]:
        """Name of the deadline that comes next and the seconds until then."""
        deadlines = {"run_timeout": self.run_deadline, "start_timeout": None if started else self.start_deadline}
        left = {
            name: (datetime.fromisoformat(text) - datetime.now(UTC)).total_seconds()
            for name, text in deadlines.items()
            if text is not None
        }
        if not left:
            return None, None
        name = min(left, key=lambda key: left[key])
        return name, max(0.0, left[name])

    async def _read(self, connection: PrefectConnection) -> FlowRun:
        async with AsyncPrefectClient(connection) as client:
            return await client.run(wire.reread_flow_run(self.flow_run_id, connection.flow_run_url(self.flow_run_id)))

    def _ends_the_task(self) -> bool:
        """`dag.test()` runs triggers without a task instance and knows of no task that ends here."""
        return self.end_from_trigger and self.task_instance is not None

    async def _success(self, connection: PrefectConnection, run: FlowRun) -> TriggerEvent:
        model = await self._result_model()
        async with AsyncPrefectClient(connection) as client:
            outcome: Outcome = await client.run(conclude(run, connection.flow_run_url(run.id), model))
        if self.push_result and outcome.result is not None:
            await self._push(outcome.result)
        if outcome.skipped_because is not None:
            self.log.info("Skipped: %s", outcome.skipped_because)
            return TaskSkippedEvent()
        return TaskSuccessEvent()

    async def _push(self, result: Mapping[str, Any]) -> None:
        # Not through the event: Airflow 3.3.2 stores an event's XComs as text, which a task then pulls as such.
        ti = self.task_instance
        if ti is None:
            raise BridgeError("the trigger belongs to no task instance: there is nowhere to push the result")
        await XCom.aset(
            XCom.XCOM_RETURN_KEY,
            dict(result),
            dag_id=ti.dag_id,
            task_id=ti.task_id,
            run_id=ti.run_id,
            map_index=-1 if ti.map_index is None else ti.map_index,
        )

    async def _result_model(self) -> type[BaseModel] | None:
        if self.result_model is None:
            return None
        # An import may read files; the event loop must not wait for them.
        try:
            model: type[BaseModel] = await asyncio.to_thread(resolve_name, self.result_model)
        except (ImportError, AttributeError, ValueError) as error:
            raise BridgeError(f"The triggerer cannot import {self.result_model}: {error}") from error
        return model

    async def _task_still_waits(self) -> bool:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        ti = self.task_instance
        if ti is None:
            return True
        states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=ti.map_index
        )
        state = states.get(ti.run_id, {}).get(ti.task_id if ti.map_index < 0 else f"{ti.task_id}_{ti.map_index}")
        return bool(state == "deferred")
