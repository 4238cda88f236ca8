"""Prefect's own waiting, as `run_deployment` does it: read the run, sleep five seconds, read it again.

Run in Prefect's environment: `python -m benchmarks.waits.prefect_waiters <file>`; the file holds the flow runs' ids.
The loop is that of prefect.deployments.flow_runs.arun_deployment. All waits share one client, which is kinder than
`run_deployment`, where each call makes its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client

from benchmarks.waits.report import Reporter

POLL_SECONDS = 5.0


async def wait_for_all(flow_run_ids: list[str]) -> None:
    reporter = Reporter()
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def counting(transport: httpx.AsyncHTTPTransport, request: httpx.Request) -> httpx.Response:
        reporter.requests += 1
        return await send(transport, request)

    httpx.AsyncHTTPTransport.handle_async_request = counting  # type: ignore[method-assign]

    async def wait_for(client: PrefectClient, flow_run_id: str) -> None:
        reporter.began()
        while True:
            flow_run = await client.read_flow_run(UUID(flow_run_id))
            if flow_run.state and flow_run.state.is_final():
                break
            await asyncio.sleep(POLL_SECONDS)
        reporter.fired(flow_run_id)

    async with get_client() as client:
        await asyncio.gather(*(wait_for(client, each) for each in flow_run_ids))
        await asyncio.sleep(3600)  # until the harness has measured and ends this process


if __name__ == "__main__":
    asyncio.run(wait_for_all(json.loads(Path(sys.argv[1]).read_text())))
