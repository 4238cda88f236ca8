"""Runs: the list, one run with its log and result, and what may be done to it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bridge.errors import FlowRunNotFound, ResultInvalid
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import RunPage
from bridge.prefect_api.wire import ENDED_TYPES
from factory import use_cases
from plugins.control_page import audit
from plugins.control_page.access import Viewer
from plugins.control_page.log_book import LogShelf
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.redaction import redacted
from plugins.control_page.routes.looking import (
    Deployments,
    ReaderDep,
    ViewerDep,
    name_of,
    see_deployments,
    see_run,
    see_run_page,
    see_sub_runs,
    see_task_runs,
)
from plugins.control_page.run_filter import RUNS_A_PAGE, SPANS, STATES, RunFilter
from plugins.control_page.run_views import CANCELLED_BY_LABEL, RETRIED_BY_LABEL, links_in, log_view, pretty, run_view
from plugins.control_page.timeline import timeline

router = APIRouter()
shelf = LogShelf()
LOG_SECONDS = 4.0
ENDED_SECONDS = 30.0
RETRIED = frozenset({"FAILED", "CRASHED", "CANCELLED"})


@router.get("/runs")
async def run_list(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """Recent and running flow runs, those alone that the viewer may see."""
    now, asked = datetime.now(UTC), RunFilter.parse(request.query_params)
    deployments = await see_deployments(reader)
    everything, visible = await asyncio.to_thread(_visible, viewer, deployments.value or {})
    query = asked.query(visible, now, everything=everything)
    page = await see_run_page(reader, query, asked.page, asked.span)
    found = page.value or RunPage((), 0)
    rows = await asyncio.to_thread(_shown, viewer, found.runs, deployments.value)
    views = [run_view(run, name_of(deployments.value, run), now) for run in rows]
    return show(
        request,
        "runs.html",
        view="runs",
        runs=views,
        asked=asked,
        count=found.count,
        pages=-(-found.count // RUNS_A_PAGE),
        states=STATES,
        spans=tuple(SPANS),
        deployments=sorted(visible),
        use_cases=[each.name for each in use_cases.ALL],
        trouble=page.trouble or deployments.trouble,
        read_at=page.read_at,
        is_loading=page.is_loading,
        hidden=len(found.runs) - len(rows),
    )


@router.get("/runs/{flow_run_id}")
async def one_run(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """One run: state, log, result, what runs within it, and what may be done."""
    given = await run_page(str(flow_run_id), reader, viewer)
    return show(request, "run.html", view="runs", **given)


async def run_page(flow_run_id: str, reader: PrefectReader, viewer: Viewer) -> dict[str, Any]:
    """What the page of a run is made of; raises FlowRunNotFound, Forbidden."""
    run, deployments = await asyncio.gather(see_run(reader, flow_run_id), see_deployments(reader))
    if run.value is None:
        if run.trouble and "has no flow run" in run.trouble:
            raise FlowRunNotFound(run.trouble)
        return {"run": None, "trouble": run.trouble, "read_at": None}
    name = name_of(deployments.value, run.value)
    dag_ids = viewer.dags_of(name, run.value)
    await asyncio.to_thread(viewer.require, "see", dag_ids)
    record = (deployments.value or {}).get(name)
    may_start = await asyncio.to_thread(viewer.may, "start", dag_ids)
    may_run = await asyncio.to_thread(viewer.may_run, name, record, run.value.parameters, run.value)
    may_start_anew = record is not None and await asyncio.to_thread(viewer.may, "start", viewer.dags_of(name))
    now = datetime.now(UTC)
    view, book = run_view(run.value, name, now), shelf.book(flow_run_id)
    log, result, tasks, below = await asyncio.gather(
        reader.see(("log", flow_run_id), book.read, fresh_seconds=ENDED_SECONDS if book.is_closed else LOG_SECONDS),
        reader.see(
            ("result", flow_run_id, run.value.state_type),
            lambda: _result(flow_run_id),
            fresh_seconds=ENDED_SECONDS,
        ),
        see_task_runs(reader, flow_run_id),
        see_sub_runs(reader, flow_run_id),
    )
    connection = await reader.connection()
    task_names = {task.id: task.name for task in tasks.value or ()}
    return {
        "run": view,
        "trouble": run.trouble,
        "read_at": run.read_at,
        "log": [log_view(line, task_names) for line in log.value or ()],
        "log_trouble": log.trouble,
        "log_is_cut": book.begins_in_the_middle,
        "parameters": pretty(redacted(run.value.parameters, record.parameter_schema if record else {})),
        "result": pretty(result.value) if result.value else None,
        "links": links_in(result.value or {}),
        "bars": timeline(run.value, tasks.value or [], below.value or [], now),
        "prefect_url": connection.flow_run_url(flow_run_id),
        "may_cancel": may_start and view.is_live and run.value.state_type != "CANCELLING",
        "may_retry": may_run and run.value.state_type in RETRIED,
        "again": f"run/{record.id}?like={flow_run_id}" if record and may_start_anew else None,
    }


@router.post("/runs/{flow_run_id}/cancel")
async def cancel(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Ask Prefect to cancel the run."""
    run = await _for_change("cancel", str(flow_run_id), reader, viewer)
    if run.state_type not in ENDED_TYPES:
        await reader.act(wire.label_flow_run(run.id, {CANCELLED_BY_LABEL: viewer.name}))
    said = f"Cancelled by {viewer.name} from the control page"
    await reader.act(wire.cancel_flow_run(run.id, confirm_seconds=1, message=said))
    return back(request, f"runs/{run.id}")


@router.post("/runs/{flow_run_id}/retry")
async def retry(request: Request, flow_run_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Let Prefect run it again in place; what it decides then is decided by who asks for it now."""
    run = await _for_change("retry", str(flow_run_id), reader, viewer)
    if run.state_type in ENDED_TYPES:
        await reader.act(wire.label_flow_run(run.id, {RETRIED_BY_LABEL: viewer.name, CANCELLED_BY_LABEL: ""}))
    await reader.act(wire.retry_flow_run(run.id))
    return back(request, f"runs/{run.id}")


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
    what = {"flow_run_id": run.id, "flow_run": run.name, "deployment": name, "state": run.state_name}
    asked = redacted(run.parameters, record.parameter_schema if record else {})
    await asyncio.to_thread(audit.record, event, viewer.name, {**what, "parameters": asked}, dag_id)
    return run


def _result(flow_run_id: str) -> Operation[dict[str, object]]:
    """What the run has published, or why that cannot be shown; empty where it has not, so that it counts as read."""
    try:
        return dict((yield from wire.read_result(flow_run_id)) or {})
    except ResultInvalid as unfit:
        return {"trouble": str(unfit)}


def _visible(viewer: Viewer, deployments: Deployments) -> tuple[bool, dict[str, str]]:
    """Whether the viewer sees everything, and the ids of the deployments that are to be seen, by name."""
    seen = {name: record.id for name, record in deployments.items() if viewer.may("see", viewer.dags_of(name))}
    return viewer.sees_everything(), seen


def _shown(viewer: Viewer, runs: tuple[FlowRun, ...], deployments: Deployments | None) -> list[FlowRun]:
    """Without the runs that another DAG has started."""
    named = [(run, name_of(deployments, run)) for run in runs]
    return [run for run, name in named if viewer.may("see", viewer.dags_of(name, run))]
