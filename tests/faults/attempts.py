"""What an Airflow worker and a triggerer do, each in a process that can be killed: Airflow's task runner, the bridge.

Owns the child's side alone. The supervisor that Airflow would put beside it is the parent (`small_airflow`), at the
other end of a pipe; it speaks Airflow's own messages, so that XComs, task states and ends take Airflow's own code.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pkgutil import resolve_name
from types import SimpleNamespace
from typing import Any

import structlog
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRun, TIRunContext
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, ToTask
from airflow.sdk.serde import deserialize
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
from pydantic import TypeAdapter

from bridge.in_airflow.operators import RunPrefectDeployment
from tests.faults import clocks
from tests.faults.orders import DAG_ID, TASK_ID, Order

KILL_SECONDS = 30
"""Airflow's `[triggerer] on_kill_timeout`."""

LEFT_SECONDS = 60
"""How long a triggerer is let live for what its trigger has left to do."""

ANSWERS: TypeAdapter[Any] = TypeAdapter(ToTask)
ENDING: dict[type[TriggerEvent], str | None] = {
    TriggerEvent: None,
    TaskSuccessEvent: "success",
    TaskSkippedEvent: "skipped",
    TaskFailedEvent: "failed",
}


class Supervisor:
    """The parent, as the code that Airflow runs in a child sees it."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._lock = threading.RLock()  # a signal handler may ask while its own thread is asking

    def send(self, msg: Any) -> Any:
        answer = self.tell(msg.model_dump(mode="json"))
        if answer is None:
            return None
        answer = ANSWERS.validate_python(answer)
        if isinstance(answer, ErrorResponse) and answer.error != ErrorType.TASK_STORE_NOT_FOUND:  # which is no error
            raise AirflowRuntimeError(answer)
        return answer

    async def asend(self, msg: Any) -> Any:
        return await asyncio.to_thread(self.send, msg)

    def tell(self, message: Mapping[str, Any]) -> Any:
        """Send and wait for the answer; the end of the parent is this process's end."""
        with self._lock:
            try:
                self._pipe.send(dict(message))
                return self._pipe.recv()
            except (EOFError, OSError):
                os._exit(70)


def attempt(pipe: Connection, order: Order) -> None:
    """Run one attempt, or its resumption, to the end of the process."""
    supervisor = _settle(pipe, order)
    with DAG(DAG_ID, schedule=None):
        operator = RunPrefectDeployment(task_id=TASK_ID, retries=order.retries, **order.operator)
    ti = task_runner.RuntimeTaskInstance.model_construct(
        id=order.ti_id,
        dag_id=DAG_ID,
        run_id=order.run_id,
        task_id=TASK_ID,
        map_index=order.map_index,
        try_number=order.try_number,
        max_tries=order.max_tries,
        dag_version_id=order.ti_id,
        start_date=datetime.now(UTC),
        task=operator,
        is_mapped=order.map_index >= 0,
        _ti_context_from_server=_run_context(order),
    )
    log = structlog.get_logger("task")
    context = ti.get_template_context()
    state, _, error = task_runner.run(ti, context, log)
    if error is not None:
        supervisor.tell({"type": "raised", "kind": type(error).__name__, "text": str(error)})
    task_runner.finalize(ti, state, context, log, error)
    os._exit(0)  # as Airflow's child does, whatever threads there are


def trigger(pipe: Connection, orders: Connection, order: Order) -> None:
    """Run the trigger until it fires, or until the parent orders its end as a person's act would."""
    asyncio.run(_triggerer(_settle(pipe, order), orders, order))


def _settle(pipe: Connection, order: Order) -> Supervisor:
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, force=True)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    os.environ["AIRFLOW_CONN_PREFECT_DEFAULT"] = json.dumps(order.connection)
    clocks.install(order.clock)
    supervisor = Supervisor(pipe)
    task_runner.SUPERVISOR_COMMS = supervisor  # type: ignore[assignment]
    return supervisor


LOGICAL_DATE = datetime(2026, 1, 5, 7, tzinfo=UTC)


def _run_context(order: Order) -> TIRunContext:
    now = LOGICAL_DATE
    dag_run = DagRun.model_validate(
        {
            "dag_id": DAG_ID,
            "run_id": order.run_id,
            "logical_date": now,
            "data_interval_start": now,
            "data_interval_end": now,
            "run_after": now,
            "start_date": order.dag_run_began,
            "clear_number": order.clear_number,
            "end_date": None,
            "run_type": "manual",
            "state": "running",
            "consumed_asset_events": [],
            "partition_key": None,
        }
    )
    return TIRunContext(
        dag_run=dag_run,
        max_tries=order.max_tries,
        should_retry=order.should_retry,
        next_method=order.next_method,
        next_kwargs=dict(order.next_kwargs) if order.next_kwargs is not None else None,
        xcom_keys_to_clear=list(order.xcom_keys_to_clear),
    )


async def _triggerer(supervisor: Supervisor, orders: Connection, order: Order) -> None:
    assert order.trigger is not None
    path, kwargs = order.trigger
    waiting = resolve_name(path)(**deserialize(dict(kwargs)))
    waiting._task_instance = SimpleNamespace(
        id=order.ti_id,
        dag_id=DAG_ID,
        task_id=TASK_ID,
        run_id=order.run_id,
        map_index=order.map_index,
        try_number=order.try_number,
        max_tries=order.max_tries,
    )
    loop, ordered = asyncio.get_running_loop(), asyncio.Event()

    def listen() -> None:
        with suppress(EOFError, OSError):
            orders.recv()
            loop.call_soon_threadsafe(ordered.set)

    threading.Thread(target=listen, daemon=True).start()
    fired = asyncio.create_task(_first(waiting))
    told = asyncio.create_task(ordered.wait())
    await asyncio.wait({fired, told}, return_when=asyncio.FIRST_COMPLETED)
    if fired.done():
        await asyncio.to_thread(supervisor.tell, _report(fired))
    else:
        fired.cancel()
        await _kill(waiting)
    await waiting.cleanup()


async def _kill(waiting: Any) -> None:
    """Airflow's limit ends `on_kill`; but a triggerer lives on, and what it was left to do is done."""
    before = asyncio.all_tasks()
    with suppress(TimeoutError):
        async with asyncio.timeout(KILL_SECONDS):
            await waiting.on_kill()
    if left := asyncio.all_tasks() - before:
        await asyncio.wait(left, timeout=LEFT_SECONDS)


async def _first(waiting: Any) -> Any:
    async for event in waiting.run():
        return event
    raise RuntimeError("the trigger ended without an event")


def _report(fired: asyncio.Task[Any]) -> dict[str, Any]:
    error = fired.exception()
    if error is not None:
        return {"type": "trigger failed", "text": repr(error)}
    event = fired.result()
    ending = ENDING[type(event)]
    xcoms = getattr(event, "xcoms", None) or {}
    return {"type": "event", "ending": ending, "payload": None if ending else event.payload, "xcoms": xcoms}
