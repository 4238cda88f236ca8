"""Runs: the list with its search, and the picture of them over time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import RunPage
from factory import use_cases
from plugins.control_page.access import Viewer
from plugins.control_page.freshness import Freshness
from plugins.control_page.lanes import picture
from plugins.control_page.pages import show
from plugins.control_page.parameter_search import SEARCHED, Found
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.routes.looking import (
    Deployments,
    ReaderDep,
    ViewerDep,
    name_of,
    see_deployments,
    see_live_runs,
    see_run_page,
    see_runs_with_parameter,
    visible_ids,
)
from plugins.control_page.routes.runs import back
from plugins.control_page.run_filter import DRAWN, RUNS_A_PAGE, SPANS, STATES, RunFilter
from plugins.control_page.run_views import is_cancellable, run_view

router = APIRouter()


@router.get("/runs")
async def run_list(request: Request, reader: ReaderDep, viewer: ViewerDep) -> Response:
    """Recent and running flow runs, those alone that the viewer may see; the id of a run leads to its page."""
    asked, now = RunFilter.parse(request.query_params), datetime.now(UTC)
    if flow_run_id := _id_in(asked.name):
        return back(request, f"runs/{flow_run_id}")
    deployments = await see_deployments(reader)
    everything, visible = await asyncio.to_thread(_visible, viewer, deployments.value or {})
    query = asked.query(visible, now, everything=everything)
    if asked.parameter:
        page = await see_runs_with_parameter(
            reader, query, asked.parameter, asked.page, asked.span, deployments.value or {}
        )
    else:
        page = await see_run_page(reader, query, asked.page, asked.span)
    found = page.value or RunPage((), 0)
    rows, cancellable = await asyncio.to_thread(_shown, viewer, found.runs, deployments.value)
    return show(
        request,
        "runs.html",
        view="runs",
        runs=[run_view(run, name_of(deployments.value, run), now) for run in rows],
        cancellable=cancellable,
        count=found.count,
        looked_through=found.looked_through if isinstance(found, Found) else None,
        pages=-(-found.count // (SEARCHED if asked.parameter else RUNS_A_PAGE)),
        fresh=Freshness.of(page, deployments),
        is_loading=page.is_loading,
        hidden=len(found.runs) - len(rows),
        **_form(asked, visible, rows),
    )


@router.get("/timeline")
async def run_picture(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """The same runs as a picture: a lane for each deployment, from left to right in time."""
    asked, now = (
        RunFilter.parse({"span": "day", **request.query_params, "page": "1", "parameter": ""}),
        datetime.now(UTC),
    )
    deployments = await see_deployments(reader)
    everything, visible = await asyncio.to_thread(_visible, viewer, deployments.value or {})
    query = asked.query(visible, now, everything=everything, limit=DRAWN, times=2)  # what began before may still run
    page = await see_run_page(reader, query, 1, f"{asked.span} drawn")
    live = await _live(reader, viewer, deployments.value or {}, asked, query.deployment_ids)
    found = page.value or RunPage((), 0)
    runs = {run.id: run for run in [*found.runs, *live]}
    rows, _ = await asyncio.to_thread(_shown, viewer, tuple(runs.values()), deployments.value)
    views = [run_view(run, name_of(deployments.value, run), now) for run in rows]
    return show(
        request,
        "lanes.html",
        view="timeline",
        picture=picture(views, SPANS[asked.span], now),
        is_cut=found.count > len(found.runs),
        fresh=Freshness.of(page, deployments),
        is_loading=page.is_loading,
        **_form(asked, visible, rows),
    )


async def _live(
    reader: PrefectReader,
    viewer: Viewer,
    deployments: Deployments,
    asked: RunFilter,
    deployment_ids: tuple[str, ...] | None,
) -> list[FlowRun]:
    """Those that run on since before the time that is shown; where a run is searched for, it is found or it is not."""
    if asked.state or asked.name or asked.tag:
        return []
    seen = await see_live_runs(reader, await asyncio.to_thread(visible_ids, viewer, deployments))
    return [run for run in seen.value or () if deployment_ids is None or run.deployment_id in deployment_ids]


def _form(asked: RunFilter, visible: Mapping[str, str], rows: Sequence[FlowRun]) -> dict[str, Any]:
    """What the form above the runs is made of."""
    return {
        "asked": asked,
        "states": STATES,
        "spans": tuple(SPANS),
        "deployments": sorted(visible),
        "use_cases": [each.name for each in use_cases.ALL],
        "tags": sorted({tag for run in rows for tag in run.tags}),
    }


def _id_in(text: str) -> str | None:
    try:
        return str(UUID(text)) if len(text) == 36 else None
    except ValueError:
        return None


def _visible(viewer: Viewer, deployments: Deployments) -> tuple[bool, dict[str, str]]:
    """Whether the viewer sees everything, and the ids of the deployments that are to be seen, by name."""
    seen = {name: record.id for name, record in deployments.items() if viewer.may("see", viewer.dags_of(name))}
    return viewer.sees_everything(), seen


def _shown(
    viewer: Viewer, runs: Iterable[FlowRun], deployments: Deployments | None
) -> tuple[list[FlowRun], frozenset[str]]:
    """Without the runs that another DAG has started; and the ids of those that the viewer may cancel now."""
    dags = {run.id: viewer.dags_of(name_of(deployments, run), run) for run in runs}
    shown = [run for run in runs if viewer.may("see", dags[run.id])]
    may_end = (run for run in shown if is_cancellable(run) and viewer.may("start", dags[run.id]))
    return shown, frozenset(run.id for run in may_end)
