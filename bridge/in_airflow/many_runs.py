"""Waiting in the triggerer for many flow runs at once: one trigger for a task, the shared wait for every run of it.

Knows how runs stand, not what that means to the task: the worker reads them again and decides. Never cancels a run: it
has started none. Serialised form: plain JSON, no credential.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from bridge.errors import FlowRunLost, FlowRunNotFound
from bridge.in_airflow.hand_over import seconds_to_resumption
from bridge.in_airflow.hook import PrefectHook
from bridge.in_airflow.polling import OUTAGES
from bridge.prefect_api.records import FlowRun
from bridge.quorum import Quorum
from bridge.verdict import Completed, is_final, judge
from bridge.waiting.shared import SharedWaiting, shared_waiting
from bridge.waiting.until_final import DATE_STEP_SECONDS, Terms, until_final


class FlowRunsTrigger(BaseTrigger):
    """Fires when `needed` of the runs have completed, when so many no longer can, or at the deadline.

    The deadline is a moment by Prefect's clock in ISO 8601: how far off it is, is seen in the first reading, and from
    then on the event loop's clock counts, which nobody sets. A run that is gone counts as one that failed. For
    `patience_seconds` Prefect may give no answer. Before `resume_not_before` the task
    is not resumed on a worker. `errors_so_far` counts the waits before this one that failed, one after the other,
    before each run had been heard of.
    """

    def __init__(
        self,
        prefect_conn_id: str,
        flow_run_ids: Sequence[str],
        needed: int,
        deadline: str | None = None,
        crash_grace_seconds: float = 0.0,
        patience_seconds: float = 300.0,
        resume_not_before: str | None = None,
        errors_so_far: int = 0,
    ) -> None:
        super().__init__()
        self.prefect_conn_id = prefect_conn_id
        self.flow_run_ids = list(flow_run_ids)
        self.needed = needed
        self.deadline = deadline
        self.crash_grace_seconds = crash_grace_seconds
        self.patience_seconds = patience_seconds
        self.resume_not_before = resume_not_before
        self.errors_so_far = errors_so_far
        self._unheard = set(self.flow_run_ids)
        self._first_read_at: asyncio.Future[datetime] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "prefect_conn_id": self.prefect_conn_id,
                "flow_run_ids": self.flow_run_ids,
                "needed": self.needed,
                "deadline": self.deadline,
                "crash_grace_seconds": self.crash_grace_seconds,
                "patience_seconds": self.patience_seconds,
                "resume_not_before": self.resume_not_before,
                "errors_so_far": self.errors_so_far,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event: why the task must look at its runs."""
        detail, errors = "", 0
        try:
            because = await self._wait()
        except OUTAGES as error:
            self.log.warning("Resuming on a worker: %s", error)
            because, detail = "error", str(error)
            errors = self.errors_so_far + 1 if self._unheard else 1
        except Exception as error:  # else Airflow ends the task by "Trigger failure", whatever its runs do
            self.log.warning("Resuming on a worker: %r", error, exc_info=error)
            because, detail, errors = "error", repr(error), self.errors_so_far + 1
        await asyncio.sleep(seconds_to_resumption(self.resume_not_before))
        yield TriggerEvent(
            {
                "because": because,
                "detail": detail,
                "flow_run_ids": self.flow_run_ids,
                "needed": self.needed,
                "deadline": self.deadline,
                "errors_so_far": errors,
            }
        )

    async def _wait(self) -> str:
        waiting = shared_waiting(await PrefectHook(self.prefect_conn_id).connection_async())
        waits = [asyncio.create_task(self._completes(waiting, each)) for each in self.flow_run_ids]
        self._first_read_at = asyncio.get_running_loop().create_future()
        over = asyncio.create_task(self._until_deadline(self._first_read_at))
        open_waits = set(waits)
        quorum, completed, failed = Quorum(self.needed, len(waits)), 0, 0
        try:
            while quorum.standing(completed, failed) == "open":
                await asyncio.wait({*open_waits, over}, return_when=asyncio.FIRST_COMPLETED)
                ended = {each for each in open_waits if each.done()}
                if over.done() and not ended:
                    return "deadline"
                open_waits -= ended
                completed += sum(each.result() for each in ended)
                failed += sum(not each.result() for each in ended)
            return "settled"
        finally:
            for each in (over, *open_waits):
                each.cancel()
            # The ended ones too: asyncio logs every error that nobody has asked for.
            await asyncio.gather(over, *waits, return_exceptions=True)

    async def _completes(self, waiting: SharedWaiting, flow_run_id: str) -> bool:
        """Whether the run has completed, once it has ended for good."""
        try:
            while True:
                async with aclosing(waiting.follow(flow_run_id, patience_seconds=self.patience_seconds)) as news:
                    await until_final(news, Terms(crash_grace_seconds=self.crash_grace_seconds), self._hear)
                    run = await waiting.confirm(flow_run_id)
                if is_final(run, self.crash_grace_seconds, datetime.now(UTC)):
                    self.log.info("Flow run %r is %s", run.name, run.state_name)
                    return isinstance(judge(run), Completed)
        except (FlowRunLost, FlowRunNotFound) as error:
            self._unheard.discard(flow_run_id)
            self.log.warning("%s", error)
            return False

    async def _until_deadline(self, first_read_at: asyncio.Future[datetime]) -> None:
        now = await first_read_at
        if self.deadline is None:
            await asyncio.Event().wait()
        else:
            left_seconds = (datetime.fromisoformat(self.deadline) - now).total_seconds()
            await asyncio.sleep(max(0.0, left_seconds) + DATE_STEP_SECONDS)

    def _hear(self, run: FlowRun) -> None:
        self._unheard.discard(run.id)
        if self._first_read_at is not None and not self._first_read_at.done():
            self._first_read_at.set_result(run.read_at or datetime.now(UTC))
