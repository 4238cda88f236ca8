"""Runs: the list, one run with its log and result, and what may be done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bridge.errors import FlowRunNotFound
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import ENDED_TYPES
from plugins.control_page import audit
from plugins.control_page.access import Viewer
from plugins.control_page.freshness import Freshness
from plugins.control_page.log_book import LogShelf
from plugins.control_page.log_filter import LEVELS, LogFilter
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.redaction import redacted
from plugins.control_page.routes.looking import (
    ReaderDep,
    ViewerDep,
    name_of,
    see_deployments,
    see_run,
    see_sub_runs,
    see_task_runs,
)
from plugins.control_page.routes.stuck import find_out_why
from plugins.control_page.run_views import (
    CANCELLED_BY_LABEL,
    RETRIED_BY_LABEL,
    is_cancellable,
    links_in,
    log_view,
    pretty,
    run_view,
)
from plugins.control_page.timeline import timeline

router = APIRouter()
shelf = LogShelf()
LOG_SECONDS = 4.0
ENDED_SECONDS = 30.0
RETRIED = frozenset({"FAILED", "CRASHED", "CANCELLED"})


@router.get("/runs/{flow_run_id}")
async def one_run(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """One run: state, log, result, what runs within it, and what may be done."""
    given = await run_page(str(flow_run_id), reader, viewer, LogFilter.parse(request.query_params))
    return show(request, "run.html", view="runs", **given)


async def run_page(
    flow_run_id: str,
    reader: PrefectReader,
    viewer: Viewer,
    log_filter: LogFilter,
    log_address: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """What the page of a run is made of; raises FlowRunNotFound, Forbidden.

    `log_address` are the parameters of the page's own address, which a search of the log keeps.
    """
    run, deployments = await asyncio.gather(see_run(reader, flow_run_id), see_deployments(reader))
    if run.value is None:
        if run.trouble and "has no flow run" in run.trouble:
            raise FlowRunNotFound(run.trouble)
        return {"run": None, "fresh": Freshness.of(run)}
    name = name_of(deployments.value, run.value)
    dag_ids = viewer.dags_of(name, run.value)
    await asyncio.to_thread(viewer.require, "see", dag_ids)
    record = (deployments.value or {}).get(name)
    may_start = await asyncio.to_thread(viewer.may, "start", dag_ids)
    may_run = await asyncio.to_thread(viewer.may_run, name, record, run.value.parameters, run.value)
    may_start_anew = record is not None and await asyncio.to_thread(viewer.may, "start", viewer.dags_of(name))
    now = datetime.now(UTC)
    view, book = run_view(run.value, name, now), shelf.book(flow_run_id)
    log, result, tasks, below, (stuck, findings) = await asyncio.gather(
        reader.see(("log", flow_run_id), book.read, fresh_seconds=ENDED_SECONDS if book.is_closed else LOG_SECONDS),
        reader.see(
            ("result", flow_run_id, run.value.state_type),
            lambda: _result(flow_run_id),
            fresh_seconds=ENDED_SECONDS,
        ),
        see_task_runs(reader, flow_run_id),
        see_sub_runs(reader, flow_run_id),
        find_out_why(reader, run.value, now),
    )
    connection = await reader.connection()
    task_names = {task.id: task.name for task in tasks.value or ()}
    return {
        "run": view,
        "fresh": Freshness.of(run, tasks, below),
        "stuck": stuck,
        "findings": findings,
        "log": [log_view(line, task_names) for line in log.value or () if log_filter.keeps(line, task_names)],
        "log_lines": len(log.value or ()),
        "log_filter": log_filter,
        "log_levels": LEVELS,
        "log_tasks": sorted(set(task_names.values())),
        "log_address": log_address,
        "log_trouble": log.trouble,
        "log_is_cut": book.begins_in_the_middle,
        "parameters": pretty(redacted(run.value.parameters, record.parameter_schema if record else {})),
        "result": pretty(result.value) if result.value else None,
        "result_trouble": result.trouble,
        "links": links_in(result.value or {}),
        "bars": timeline(run.value, tasks.value or [], below.value or [], now),
        "prefect_url": connection.flow_run_url(flow_run_id),
        "may_cancel": may_start and is_cancellable(run.value),
        "may_retry": may_run and run.value.state_type in RETRIED,
        "again": f"run/{record.id}?like={flow_run_id}" if record and may_start_anew else None,
    }


@router.post("/runs/{flow_run_id}/cancel")
async def cancel(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Ask Prefect to cancel the run."""
    run = await _for_change("cancel", str(flow_run_id), reader, viewer)
    await end_run(run, reader, viewer)
    return back(request, f"runs/{run.id}")


@router.post("/runs/{flow_run_id}/retry")
async def retry(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Let Prefect run it again in place; what it decides then is decided by who asks for it now."""
    run = await _for_change("retry", str(flow_run_id), reader, viewer)
    if run.state_type in ENDED_TYPES:
        await reader.act(wire.label_flow_run(run.id, {RETRIED_BY_LABEL: viewer.name, CANCELLED_BY_LABEL: ""}))
    await reader.act(wire.retry_flow_run(run.id))
    return back(request, f"runs/{run.id}")


async def end_run(run: FlowRun, reader: PrefectReader, viewer: Viewer) -> FlowRun:
    """Ask Prefect to cancel the run in the viewer's name; gives it as it stands a moment later."""
    if run.state_type not in ENDED_TYPES:
        await reader.act(wire.label_flow_run(run.id, {CANCELLED_BY_LABEL: viewer.name}))
    said = f"Cancelled by {viewer.name} from the control page"
    return await reader.act(wire.cancel_flow_run(run.id, confirm_seconds=1, message=said))


def described(run: FlowRun, name: str, record: DeploymentRecord | None) -> dict[str, Any]:
    """The run as the audit log names it."""
    shown = redacted(run.parameters, record.parameter_schema if record else {})
    what = {"flow_run_id": run.id, "flow_run": run.name, "deployment": name, "state": run.state_name}
    return {**what, "parameters": shown}


def back(request: Request, path: str) -> RedirectResponse:
    """To a page of ours, to be read afresh."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/{path}", 303)


async def _for_change(
    event: Literal["cancel", "retry"], flow_run_id: str, reader: PrefectReader, viewer: Viewer
) -> FlowRun:
    """The run, once it is known that the viewer may do this and it stands in the audit log."""
    run = await reader.act(wire.read_flow_run(flow_run_id))
    deployments = await see_deployments(reader)
    name = name_of(deployments.value, run)
    record = (deployments.value or {}).get(name)
    if event == "retry":
        dag_id = await asyncio.to_thread(viewer.require_run, name, record, run.parameters, run)
    else:
        dag_id = await asyncio.to_thread(viewer.require, "start", viewer.dags_of(name, run))
    await asyncio.to_thread(audit.record, event, viewer.name, described(run, name, record), dag_id)
    return run


def _result(flow_run_id: str) -> Operation[dict[str, object]]:
    """What the run has published; empty where it has not, so that it counts as read."""
    return dict((yield from wire.read_result(flow_run_id)) or {})
