"""What the routes ask of Prefect, each under one key, so that all viewers share one reading."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request

from bridge.prefect_api import run_queries, wire
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun, TaskRun, Worker
from bridge.prefect_api.run_queries import RunPage, RunQuery
from bridge.verdict import LIVE_TYPES
from plugins.control_page.access import Viewer, viewer
from plugins.control_page.freshness import Seen
from plugins.control_page.parameter_search import find_runs
from plugins.control_page.prefect_reader import PATIENCE_SECONDS, PrefectReader
from plugins.control_page.redaction import redacted

DEPLOYMENTS_SECONDS = 30.0
WORKERS_SECONDS = 15.0
RUNS_SECONDS = 2.0
LIVE_SECONDS = 6.0
SEARCH_SECONDS = 15.0
ONE_RUN_SECONDS = 1.5
INSIDE_SECONDS = 12.0

ViewerDep = Annotated[Viewer, Depends(viewer)]
Deployments = Mapping[str, DeploymentRecord]


def reader_of(request: Request) -> PrefectReader:
    """The process's one reader."""
    reader: PrefectReader = request.app.state.prefect
    return reader


ReaderDep = Annotated[PrefectReader, Depends(reader_of)]


async def see_deployments(reader: PrefectReader, patience_seconds: float = PATIENCE_SECONDS) -> Seen[Deployments]:
    """All deployments by their full name."""

    def listed() -> Operation[Deployments]:
        return dict((yield from wire.list_deployments()))

    return await reader.see("deployments", listed, fresh_seconds=DEPLOYMENTS_SECONDS, patience_seconds=patience_seconds)


async def see_workers(
    reader: PrefectReader, pool: str, patience_seconds: float = PATIENCE_SECONDS
) -> Seen[list[Worker]]:
    """The workers of a pool."""
    return await reader.see(
        ("workers", pool),
        lambda: wire.list_workers(pool),
        fresh_seconds=WORKERS_SECONDS,
        patience_seconds=patience_seconds,
    )


async def see_run_page(reader: PrefectReader, query: RunQuery, page: int, span: str) -> Seen[RunPage]:
    """A page of runs; `span` tells queries apart, whose `since` moves on. What finds nothing is not asked."""
    if query.deployment_ids == ():
        return Seen(RunPage((), 0))
    key = ("runs", *_key_of(query, span, page))
    return await reader.see(key, lambda: run_queries.read_run_page(query, page), fresh_seconds=RUNS_SECONDS)


def visible_ids(viewer: Viewer, deployments: Deployments) -> tuple[str, ...] | None:
    """The ids of the deployments that the viewer may see; None where nothing has to be held back. Blocks."""
    if viewer.sees_everything():
        return None
    return tuple(sorted(record.id for name, record in deployments.items() if viewer.may("see", viewer.dags_of(name))))


async def see_runs_with_parameter(
    reader: PrefectReader, query: RunQuery, parameter: str, page: int, span: str, deployments: Deployments
) -> Seen[RunPage]:
    """Of a page of many runs, those that were given the parameter: some requests, and so seldom."""
    if query.deployment_ids == ():
        return Seen(RunPage((), 0))
    schemas = {record.id: record.parameter_schema for record in deployments.values()}
    return await reader.see(
        ("searched", parameter, *_key_of(query, span, page)),
        lambda: find_runs(
            query, parameter, page, lambda run: redacted(run.parameters, schemas.get(run.deployment_id or "", {}))
        ),
        fresh_seconds=SEARCH_SECONDS,
    )


def _key_of(query: RunQuery, span: str, page: int) -> tuple[Any, ...]:
    return (query.deployment_ids, query.states, query.name_part, query.tags, query.limit, span, page)


async def see_live_runs(
    reader: PrefectReader, deployment_ids: tuple[str, ...] | None, patience_seconds: float = PATIENCE_SECONDS
) -> Seen[list[FlowRun]]:
    """The runs that should run by now and have not ended, the oldest first; of all deployments where it is None."""
    if deployment_ids == ():
        return Seen([])
    wanted: dict[str, Any] = {"state": {"type": {"any_": sorted(LIVE_TYPES)}}}
    wanted |= {"deployment_id": {"any_": list(deployment_ids)}} if deployment_ids else {}
    wanted["expected_start_time"] = {"before_": datetime.now(UTC).isoformat()}
    return await reader.see(
        ("overview", "live", deployment_ids),
        lambda: run_queries.filter_flow_runs({"flow_runs": wanted}, sort="EXPECTED_START_TIME_ASC", limit=PAGE),
        fresh_seconds=LIVE_SECONDS,
        patience_seconds=patience_seconds,
    )


async def see_run(reader: PrefectReader, flow_run_id: str) -> Seen[FlowRun]:
    """One run."""
    return await reader.see(
        ("run", flow_run_id), lambda: wire.read_flow_run(flow_run_id), fresh_seconds=ONE_RUN_SECONDS
    )


async def see_task_runs(reader: PrefectReader, flow_run_id: str) -> Seen[list[TaskRun]]:
    """What runs within a run."""
    return await reader.see(
        ("task runs", flow_run_id), lambda: run_queries.read_task_runs(flow_run_id), fresh_seconds=INSIDE_SECONDS
    )


async def see_sub_runs(reader: PrefectReader, flow_run_id: str) -> Seen[list[FlowRun]]:
    """The flow runs that a run has begun."""
    return await reader.see(
        ("sub-runs", flow_run_id), lambda: run_queries.read_sub_runs(flow_run_id), fresh_seconds=INSIDE_SECONDS
    )


def name_of(deployments: Deployments | None, run: FlowRun) -> str:
    """The deployment's full name; empty where the run has none or it is not known."""
    named = (name for name, record in (deployments or {}).items() if record.id == run.deployment_id)
    return next(named, "")
