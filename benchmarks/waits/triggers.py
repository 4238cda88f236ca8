"""The triggers that are measured, as they run in Airflow's triggerer. All report the same way.

Requests are counted where this process sends them: in httpx's transport for the bridge, one a poll for the polling
trigger, whose aiohttp retries nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aiohttp
import httpx
from airflow.triggers.base import BaseTrigger, TriggerEvent

from benchmarks.waits.report import Reporter
from bridge.errors import PrefectUnreachable
from bridge.in_airflow.triggers import FlowRunTrigger
from bridge.prefect_api.events import StateChange
from bridge.waiting import shared

reporter = Reporter()
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


class NothingTrigger(BaseTrigger):
    """Waits for a moment instead of a flow run: what Airflow itself needs for a trigger that fires then.

    `after_seconds` count from the moment at which the harness begins to drive.
    """

    def __init__(self, flow_run_id: str, after_seconds: float) -> None:
        super().__init__()
        self.flow_run_id = flow_run_id
        self.after_seconds = after_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"flow_run_id": self.flow_run_id, "after_seconds": self.after_seconds}
        return f"{__name__}.{type(self).__name__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        reporter.began()
        await reporter.until(self.after_seconds)
        reporter.fired(self.flow_run_id)
        yield TriggerEvent({"flow_run_id": self.flow_run_id})


class PollingTrigger(BaseTrigger):
    """Asks for its run every five seconds, as the triggers of the Databricks and dbt Cloud providers do.

    As in the Databricks provider there is one aiohttp session a trigger (dbt Cloud's opens one a poll).
    """

    def __init__(self, flow_run_id: str, api_url: str, poll_seconds: float = 5.0) -> None:
        super().__init__()
        self.flow_run_id = flow_run_id
        self.api_url = api_url
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"flow_run_id": self.flow_run_id, "api_url": self.api_url, "poll_seconds": self.poll_seconds}
        return f"{__name__}.{type(self).__name__}", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        reporter.began()
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(f"{self.api_url}/flow_runs/{self.flow_run_id}") as answer:
                        reporter.requests += 1
                        answer.raise_for_status()
                        run = await answer.json()
                    if run["state_type"] in ENDED:
                        break
                except aiohttp.ClientError as error:
                    self.log.warning("Asking for flow run %s failed: %s", self.flow_run_id, error)
                await asyncio.sleep(self.poll_seconds)
        reporter.fired(self.flow_run_id)
        yield TriggerEvent({"flow_run_id": self.flow_run_id})


class BridgeTrigger(FlowRunTrigger):
    """The bridge's own trigger, reporting."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        reporter.began()
        async for event in super().run():
            reporter.fired(self.flow_run_id)
            yield event


async def _no_socket(*_: object) -> AsyncGenerator[StateChange, None]:
    raise PrefectUnreachable("the event socket is cut off for this measurement")
    yield


def _count_requests() -> None:
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def counting(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        reporter.requests += 1
        return await send(transport, request)

    httpx.AsyncHTTPTransport.handle_async_request = counting  # type: ignore[method-assign]


_count_requests()
if "BENCH_NO_SOCKET" in os.environ:
    shared.state_changes = _no_socket
