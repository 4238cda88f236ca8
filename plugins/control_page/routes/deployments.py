"""Deployments: how each stands, and whether its schedules rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bridge.errors import DeploymentNotFound
from bridge.prefect_api import run_queries, wire
from bridge.prefect_api.records import DeploymentRecord, Worker
from plugins.control_page import audit
from plugins.control_page.access import Viewer
from plugins.control_page.deployment_views import DeploymentView, deployment_view
from plugins.control_page.freshness import Freshness, Seen
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PATIENCE_SECONDS, PrefectReader
from plugins.control_page.routes.looking import ReaderDep, ViewerDep, see_deployments, see_workers
from plugins.control_page.routes.runs import back

router = APIRouter()


@router.get("/deployments")
async def deployment_list(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """Every deployment that the viewer may see, with its pool's workers."""
    seen = await see_deployments(reader)
    workers, looked = await workers_of(reader, (seen.value or {}).values())
    views = await asyncio.to_thread(_views, viewer, seen.value or {}, workers)
    return show(
        request,
        "deployments.html",
        view="deployments",
        deployments=views,
        fresh=Freshness.of(seen, *looked),
        is_loading=seen.is_loading,
    )


@router.post("/deployments/{deployment_id}/pause")
async def pause(request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Let its schedules rest."""
    await _for_change("pause", str(deployment_id), reader, viewer)
    await reader.act(run_queries.pause_deployment(str(deployment_id)))
    return back(request, "deployments")


@router.post("/deployments/{deployment_id}/resume")
async def resume(request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Let its schedules go on."""
    await _for_change("resume", str(deployment_id), reader, viewer)
    await reader.act(run_queries.resume_deployment(str(deployment_id)))
    return back(request, "deployments")


async def workers_of(
    reader: PrefectReader, records: Iterable[DeploymentRecord], patience_seconds: float = PATIENCE_SECONDS
) -> tuple[dict[str, list[Worker]], list[Seen[list[Worker]]]]:
    """The workers of these deployments' pools, by pool, as far as they are known, and how each pool was seen."""
    pools = sorted({record.work_pool_name for record in records if record.work_pool_name})
    seen = await asyncio.gather(*(see_workers(reader, pool, patience_seconds) for pool in pools))
    known = {pool: each.value for pool, each in zip(pools, seen, strict=True) if each.value is not None}
    return known, seen


def _views(
    viewer: Viewer, deployments: Mapping[str, DeploymentRecord], workers: Mapping[str, list[Worker]]
) -> list[DeploymentView]:
    views = []
    for name, record in sorted(deployments.items()):
        dag_ids = viewer.dags_of(name)
        if viewer.may("see", dag_ids):
            held = viewer.held(name, record)
            may_change = viewer.may_resume(name, record) if record.paused else viewer.may("change", dag_ids)
            may = {"may_start": held is not None, "may_default": not held, "may_change": may_change}
            views.append(deployment_view(name, record, workers.get(record.work_pool_name or ""), **may))
    return views


async def _for_change(
    event: Literal["pause", "resume"], deployment_id: str, reader: PrefectReader, viewer: Viewer
) -> None:
    """Once it is known that the viewer may do this, it stands in the audit log."""
    found = dict(await reader.act(wire.list_deployments()))
    name = next((name for name, record in found.items() if record.id == deployment_id), None)
    if name is None:
        raise DeploymentNotFound(f"Prefect has no deployment {deployment_id}; it may have been deleted")
    if event == "resume":
        dag_id = await asyncio.to_thread(viewer.require_resume, name, found[name])
    else:
        dag_id = await asyncio.to_thread(viewer.require, "change", viewer.dags_of(name))
    await asyncio.to_thread(audit.record, event, viewer.name, {"deployment": name}, dag_id)
