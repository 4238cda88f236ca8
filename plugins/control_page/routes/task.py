"""The tab on a task instance's page: the flow run that the task has started, with all that is within it."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from plugins.control_page.airflow_reader import task_facts
from plugins.control_page.freshness import Freshness
from plugins.control_page.log_filter import LogFilter
from plugins.control_page.pages import show
from plugins.control_page.routes.looking import ReaderDep, ViewerDep
from plugins.control_page.routes.runs import run_page

router = APIRouter()


@router.get("/task")
async def task(
    request: Request,
    reader: ReaderDep,
    viewer: ViewerDep,
    dag_id: Annotated[str, Query()],
    run_id: Annotated[str, Query()],
    task_id: Annotated[str, Query()],
    map_index: Annotated[str, Query()] = "-1",
) -> HTMLResponse:
    """The run of that task instance; raises Forbidden where its DAG is not the viewer's to read."""
    await asyncio.to_thread(viewer.require, "see", [dag_id])
    index = int(map_index) if map_index.isdecimal() and len(map_index) < 10 else -1  # -1: a task that is not mapped
    facts = await asyncio.to_thread(task_facts, dag_id, run_id, task_id, index)
    named: dict[str, Any] = {"task_id": task_id, "facts": facts, "view": ""}
    if facts is None or facts.flow_run_id is None:
        return show(request, "task.html", run=None, fresh=Freshness(), **named)
    address = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
    given = await run_page(facts.flow_run_id, reader, viewer, LogFilter.parse(request.query_params), address)
    return show(request, "task.html", **{**given, **named})
