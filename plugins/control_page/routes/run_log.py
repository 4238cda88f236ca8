"""A run's whole log as a text file: read page by page, within the budget of requests, while it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from bridge.errors import BridgeError
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import PAGE
from bridge.prefect_api.records import LogLine
from plugins.control_page.log_filter import file_name, text_lines
from plugins.control_page.pages import HEADERS
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.routes.looking import (
    ReaderDep,
    ViewerDep,
    name_of,
    see_deployments,
    see_run,
    see_task_runs,
)

router = APIRouter()


@router.get("/runs/{flow_run_id}/log.txt")
async def whole_log(flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> StreamingResponse:
    """Every line that the run has written so far; raises Forbidden, FlowRunNotFound, PrefectUnreachable."""
    key = str(flow_run_id)
    run, deployments, tasks = await asyncio.gather(
        see_run(reader, key), see_deployments(reader), see_task_runs(reader, key)
    )
    found = run.value if run.value is not None else await reader.read(wire.read_flow_run(key))
    name = name_of(deployments.value, found)
    await asyncio.to_thread(viewer.require, "see", viewer.dags_of(name, found))
    first = await reader.read(wire.read_logs(key))  # before the answer begins: what goes wrong here is told by a page
    attached = {"Content-Disposition": f'attachment; filename="{file_name(found.name, key)}"'}
    lines = _lines(reader, key, first, {task.id: task.name for task in tasks.value or ()})
    return StreamingResponse(lines, media_type="text/plain; charset=utf-8", headers={**HEADERS, **attached})


async def _lines(
    reader: PrefectReader, flow_run_id: str, page: list[LogLine], task_names: Mapping[str, str]
) -> AsyncIterator[str]:
    """A line that came late moves the next page on by one: what came before it is not sent twice."""
    sent: set[str] = set()
    offset = 0
    while True:
        for text in text_lines((line for line in page if line.id not in sent), task_names):
            yield text
        sent = {line.id for line in page}
        offset += len(page)
        if len(page) < PAGE:
            return
        try:
            page = await reader.read(wire.read_logs(flow_run_id, offset=offset))
        except BridgeError as error:
            yield f"--- The log breaks off here, after {offset:,} lines: {error} ---\n"
            return
