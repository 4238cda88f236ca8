"""Cancel several runs at once: each is asked about, noted and told by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse

from bridge.errors import BridgeError
from bridge.prefect_api import wire
from bridge.prefect_api.records import FlowRun
from plugins.control_page import audit
from plugins.control_page.access import Forbidden, Viewer
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.routes.looking import Deployments, ReaderDep, ViewerDep, name_of, see_deployments
from plugins.control_page.routes.runs import described, end_run
from plugins.control_page.run_filter import RUNS_A_PAGE, RunFilter
from plugins.control_page.run_views import is_cancellable, shortened

router = APIRouter()
AT_ONCE = 4
LONGEST_REASON = 400


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run; `is_shown` tells whether its page is the viewer's to see."""

    flow_run_id: str
    name: str
    words: str
    is_done: bool = False
    is_shown: bool = True


@router.post("/runs/cancel")
async def cancel_several(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """Ask Prefect to cancel each of the runs that were chosen, and say run by run what became of it."""
    form = await request.form()
    ids = _ids(str(each) for each in form.getlist("run"))
    if not ids:
        raise HTTPException(422, "No run was chosen. Choose runs in the list, then cancel them.")
    runs = await reader.act(wire.read_flow_runs(ids))
    deployments = (await see_deployments(reader)).value or {}
    places = asyncio.Semaphore(AT_ONCE)

    async def one(flow_run_id: str) -> Outcome:
        async with places:
            return await _cancel(flow_run_id, runs.get(flow_run_id), deployments, reader, viewer)

    outcomes = await asyncio.gather(*(one(each) for each in ids))
    done = sum(each.is_done for each in outcomes)
    asked = RunFilter.parse(dict(parse_qsl(str(form.get("back", "")))))
    return show(request, "cancelled.html", view="runs", outcomes=outcomes, done=done, back=asked.address())


async def _cancel(
    flow_run_id: str, run: FlowRun | None, deployments: Deployments, reader: PrefectReader, viewer: Viewer
) -> Outcome:
    unknown = Outcome(flow_run_id, f"run {flow_run_id[:8]}", "Prefect has no such run.", is_shown=False)
    if run is None:
        return unknown
    name = name_of(deployments, run)
    dag_ids = viewer.dags_of(name, run)
    if not await asyncio.to_thread(viewer.may, "see", dag_ids):
        return unknown
    try:
        dag_id = await asyncio.to_thread(viewer.require, "start", dag_ids)
    except Forbidden as refusal:
        return Outcome(run.id, run.name, str(refusal))
    if not is_cancellable(run):
        return Outcome(run.id, run.name, f"It was left alone: it was {run.state_name} before.")
    what = described(run, name, deployments.get(name))
    await asyncio.to_thread(audit.record, "cancel", viewer.name, what, dag_id)
    try:
        left = await end_run(run, reader, viewer)
    except BridgeError as error:
        return Outcome(run.id, run.name, f"Prefect did not do it. {shortened(str(error), LONGEST_REASON)}")
    if left.state_type == "CANCELLED":
        return Outcome(run.id, run.name, "Cancelled.", is_done=True)
    if left.state_type == "CANCELLING":
        return Outcome(run.id, run.name, "It was asked to end, and its process is being ended.", is_done=True)
    return Outcome(run.id, run.name, f"It ended of itself before: {left.state_name}.")


def _ids(sent: Iterable[str]) -> list[str]:
    """The runs' ids, each once, no more than a page shows; raises HTTPException where one is no id."""
    try:
        return list(dict.fromkeys(str(UUID(each)) for each in sent))[:RUNS_A_PAGE]
    except ValueError as error:
        raise HTTPException(422, "One of the runs that were chosen has no id. Choose them in the list.") from error
