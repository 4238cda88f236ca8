"""What the routes ask of Prefect, each under one key, so that all viewers share one reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request

from bridge.prefect_api import run_queries, wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun, TaskRun, Worker
from bridge.prefect_api.run_queries import RunPage, RunQuery
from plugins.control_page.access import Viewer, viewer
from plugins.control_page.prefect_reader import PATIENCE_SECONDS, PrefectReader, Seen

DEPLOYMENTS_SECONDS = 30.0
WORKERS_SECONDS = 15.0
RUNS_SECONDS = 2.0
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
    key = ("runs", query.deployment_ids, query.states, span, page)
    return await reader.see(key, lambda: run_queries.read_run_page(query, page), fresh_seconds=RUNS_SECONDS)


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
