"""The overview: every use case at a glance. It paints at once with what is known, and asks for the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from bridge.prefect_api import run_queries
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import RunQuery
from factory import contracts, use_cases
from factory.use_cases.use_case import Declared
from plugins.control_page.access import Viewer
from plugins.control_page.airflow_reader import LastDagRun, last_dag_runs
from plugins.control_page.factory_reader import ModelFacts, facts_of
from plugins.control_page.form_fields import MODEL
from plugins.control_page.freshness import Freshness, Seen
from plugins.control_page.overview import attention, model_row
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PATIENCE_SECONDS, PrefectReader
from plugins.control_page.routes.deployments import workers_of
from plugins.control_page.routes.looking import (
    Deployments,
    ReaderDep,
    ViewerDep,
    name_of,
    see_deployments,
    see_live_runs,
    visible_ids,
)
from plugins.control_page.routes.stuck import find_stuck
from plugins.control_page.run_views import run_view

router = APIRouter()
FIRST_PAINT_SECONDS = 0.1
"""How long the first paint waits for Prefect in all; what has not come by then comes with the first live look."""
LAST_RUNS = 30
FAILED = ("Failed", "Crashed")


@router.get("/")
async def overview(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """Every use case that the viewer may see, and what needs attention."""
    patience = PATIENCE_SECONDS if "x-live" in request.headers else FIRST_PAINT_SECONDS
    now, began = datetime.now(UTC), monotonic()
    deployments = await see_deployments(reader, patience)
    if patience < PATIENCE_SECONDS:
        patience = max(0.0, began + patience - monotonic())
    known = deployments.value or {}
    cases = await asyncio.to_thread(_visible_cases, viewer)
    ids = await asyncio.to_thread(visible_ids, viewer, known)
    (facts, dags), (last, failed, planned), live, (workers, _) = await asyncio.gather(
        asyncio.to_thread(_facts, cases, viewer),
        _runs(reader, deployments.value, cases, ids, patience),
        see_live_runs(reader, ids, patience),
        workers_of(reader, [record for name, record in known.items() if name.partition("/")[2] in cases], patience),
    )
    lists: dict[str, Seen[Any]] = {**last, "": failed, "live": live}
    shown = await asyncio.to_thread(
        lambda: {key: [run for run in seen.value or () if _may_see(viewer, known, run)] for key, seen in lists.items()}
    )
    stuck = await find_stuck(reader, shown["live"], known, now, patience)
    views = {key: [run_view(run, name_of(known, run), now) for run in runs] for key, runs in shown.items()}
    rows = [
        model_row(
            model,
            facts[model.name],
            dags[name],
            [view for run, view in zip(shown.get(name, ()), views.get(name, ()), strict=True) if is_of(run, model)],
            [run.expected_start_time for run in planned.value or () if _belongs(known, run, name)],  # type: ignore[misc]
        )
        for name in cases
        for model in use_cases.models_of(name)
    ]
    parts: list[Seen[Any]] = [deployments, failed, live, planned, *last.values()]
    return show(
        request,
        "overview.html",
        view="overview",
        rows=rows,
        attention=attention(rows, facts, views[""], stuck, workers),
        fresh=Freshness.of(*parts),
    )


def is_of(run: FlowRun, model: Declared) -> bool:
    """Whether a run of the model's use case is about this model: one of several is named in its parameters."""
    return model.parameter is None or run.parameters.get(MODEL) == model.parameter


def deployments_of(use_case: str) -> list[str]:
    """The names of a use case's deployments."""
    built = (contracts.score, contracts.training, contracts.promotion, contracts.monitor)
    return [build(use_case).name for build in built]


async def _runs(
    reader: PrefectReader,
    deployments: Deployments | None,
    cases: Sequence[str],
    visible: tuple[str, ...] | None,
    patience: float,
) -> tuple[dict[str, Seen[tuple[FlowRun, ...]]], Seen[tuple[FlowRun, ...]], Seen[list[FlowRun]]]:
    """The newest runs of each use case, those of all that have failed lately, and those that are planned."""
    now = datetime.now(UTC)
    ids = {name: tuple(sorted(_ids(deployments or {}, name))) for name in cases}
    everything = tuple(sorted({each for some in ids.values() for each in some}))

    def page(query: RunQuery) -> Operation[tuple[FlowRun, ...]]:
        return (yield from run_queries.read_run_page(query)).runs

    async def see(
        key: str, of: tuple[str, ...] | None, query: RunQuery, fresh_seconds: float
    ) -> Seen[tuple[FlowRun, ...]]:
        if of == ():
            return Seen(())
        return await reader.see(
            ("overview", key, of), lambda: page(query), fresh_seconds=fresh_seconds, patience_seconds=patience
        )

    if deployments is None:
        return {}, Seen(), Seen()
    day = RunQuery(deployment_ids=visible, states=FAILED, since=now - timedelta(days=1), limit=100)
    queries = [see(name, ids[name], RunQuery(deployment_ids=ids[name], limit=_enough(name)), 5.0) for name in cases]
    last, failed, coming = await asyncio.gather(
        asyncio.gather(*queries),
        see("failed", visible, day, 6.0),
        _see_planned(reader, everything, now, patience),
    )
    return dict(zip(cases, last, strict=True)), failed, coming


def _enough(use_case: str) -> int:
    """So many runs that each model's last one is among them."""
    return min(LAST_RUNS * len(use_cases.models_of(use_case)), PAGE)


async def _see_planned(
    reader: PrefectReader, deployment_ids: tuple[str, ...], now: datetime, patience: float
) -> Seen[list[FlowRun]]:
    """The next runs that their schedules have planned."""
    if not deployment_ids:
        return Seen([])
    runs = {
        "deployment_id": {"any_": list(deployment_ids)},
        "state": {"type": {"any_": ["SCHEDULED"]}},
        "expected_start_time": {"after_": now.isoformat()},
    }
    return await reader.see(
        ("overview", "planned", deployment_ids),
        lambda: run_queries.filter_flow_runs({"flow_runs": runs}, sort="EXPECTED_START_TIME_ASC", limit=LAST_RUNS),
        fresh_seconds=60.0,
        patience_seconds=patience,
    )


def _facts(cases: Sequence[str], viewer: Viewer) -> tuple[dict[str, ModelFacts], dict[str, list[LastDagRun]]]:
    """What the catalogue says of each model, and Airflow's database of each use case."""
    dags = {name: [dag for dag in _dags_of(viewer, name) if viewer.may("see", [dag])] for name in cases}
    models = [model.name for name in cases for model in use_cases.models_of(name)]
    return {name: facts_of(name) for name in models}, {name: last_dag_runs(dags[name]) for name in cases}


def _dags_of(viewer: Viewer, use_case: str) -> set[str]:
    return {dag for name in deployments_of(use_case) for dag in viewer.owners.get(name, ())}


def _visible_cases(viewer: Viewer) -> list[str]:
    """Those with a deployment that the viewer may see."""
    named = [each.name for each in use_cases.ALL]
    return [name for name in named if any(viewer.may("see", viewer.dags_of(each)) for each in deployments_of(name))]


def _ids(known: Deployments, use_case: str) -> list[str]:
    wanted = set(deployments_of(use_case))
    return [record.id for name, record in known.items() if name in wanted]


def _belongs(known: Deployments, run: FlowRun, use_case: str) -> bool:
    return run.deployment_id in _ids(known, use_case) and run.expected_start_time is not None


def _may_see(viewer: Viewer, known: Deployments, run: FlowRun) -> bool:
    return viewer.may("see", viewer.dags_of(name_of(known, run), run))
