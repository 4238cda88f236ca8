"""Promote and roll back: a model's history, and the buttons that start its promotion as everybody else does."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from bridge.errors import DeploymentNotFound, ParametersRejected, PrefectUnreachable
from bridge.prefect_api.records import DeploymentRecord
from factory import contracts, use_cases
from factory.approval import is_asked_for
from factory.contracts import PromotionParams
from factory.settings import read_settings
from factory.use_cases.use_case import Declared
from plugins.control_page.access import Viewer
from plugins.control_page.factory_reader import facts_of
from plugins.control_page.overview import challenger_of, champion_of
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.promotion_views import decision_view, standing
from plugins.control_page.routes.looking import ReaderDep, ViewerDep, see_deployments
from plugins.control_page.routes.runs import back
from plugins.control_page.routes.starting import posted_in, start_run
from plugins.control_page.run_views import shortened

router = APIRouter()


@router.get("/promotion")
def first(request: Request, viewer: ViewerDep) -> RedirectResponse:
    """The first model that the viewer may see."""
    for name in _others(viewer):
        return back(request, f"promotion/{name}")
    raise HTTPException(404, "There is no use case that you may see")


@router.get("/promotion/{model}")
async def history(request: Request, model: str, viewer: ViewerDep) -> HTMLResponse:
    """The decisions on the model's champions, the newest first, and what may be done now."""
    declared = find_model(model)
    name = contracts.promotion(declared.use_case.name).name
    dag_ids = viewer.dags_of(name)
    await asyncio.to_thread(viewer.require, "see", dag_ids)
    facts = await asyncio.to_thread(facts_of, model)
    return show(
        request,
        "promotion.html",
        view="promotion",
        declared=declared,
        others=await asyncio.to_thread(_others, viewer),
        decisions=[decision_view(each) for each in facts.decisions],
        champion=champion_of(facts.decisions),
        challenger=challenger_of(facts.decisions),
        earlier=standing(facts.decisions)[1],
        may_promote=await asyncio.to_thread(viewer.may, "promote", dag_ids),
        approves=is_asked_for(read_settings(), declared.model.gate),
        trouble=facts.trouble,
    )


@router.post("/promotion/{model}/promote")
async def promote(request: Request, model: str, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Let the gate judge a version now: that of the form, else the newest challenger."""
    declared, form = await _form(request, model, viewer)
    version = form.get("version", "").strip() or None
    if version is not None and not (version.isascii() and version.isdigit()):
        raise ParametersRejected(f"{shortened(version, 40)!r} is no version of a model; versions are whole numbers")
    params = PromotionParams(use_case=declared.use_case.name, model=declared.parameter, model_version=version)
    return await _start(request, "promote", params, form.get("token", ""), reader, viewer)


@router.post("/promotion/{model}/rollback")
async def roll_back(request: Request, model: str, reader: ReaderDep, viewer: ViewerDep) -> RedirectResponse:
    """Give the title back to the champion before."""
    declared, form = await _form(request, model, viewer)
    params = PromotionParams(use_case=declared.use_case.name, model=declared.parameter, rollback=True)
    return await _start(request, "rollback", params, form.get("token", ""), reader, viewer)


async def _form(request: Request, model: str, viewer: Viewer) -> tuple[Declared, dict[str, str]]:
    """The model and what was sent, which is not read for those who may not change anything here; raises Forbidden."""
    declared = find_model(model)
    dag_ids = viewer.dags_of(contracts.promotion(declared.use_case.name).name)
    await asyncio.to_thread(viewer.require, "promote", dag_ids)
    return declared, await posted_in(request)


async def _start(
    request: Request, event: str, params: PromotionParams, token: str, reader: PrefectReader, viewer: Viewer
) -> RedirectResponse:
    name = contracts.promotion(params.use_case).name
    record = await _deployment(reader, name)
    parameters = contracts.promotion(params.use_case).encode(params)
    asked = {key: value for key, value in parameters.items() if value is not None}
    token = f"{event} {token or uuid4()}"
    flow_run_id = await start_run(reader, viewer, name, record, asked, token, event=event)
    return back(request, f"runs/{flow_run_id}")


async def _deployment(reader: PrefectReader, name: str) -> DeploymentRecord:
    seen = await see_deployments(reader)
    if seen.value is None:
        raise PrefectUnreachable(seen.trouble or "Prefect has not answered yet; try again")
    if name not in seen.value:
        raise DeploymentNotFound(f"Prefect has no deployment {name!r}. Deploy it with: prefect deploy --all")
    return seen.value[name]


def find_model(name: str) -> Declared:
    """The model of that name; answers 404 where there is none."""
    try:
        return use_cases.get_model(name)
    except KeyError as error:
        raise HTTPException(404, str(error.args[0])) from error


def _others(viewer: Viewer) -> list[str]:
    seen = [each for each in use_cases.ALL if viewer.may("see", viewer.dags_of(contracts.promotion(each.name).name))]
    return [model.name for each in seen for model in each.models]
