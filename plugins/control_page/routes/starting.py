"""Run: choose a deployment, fill in its parameters, start it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from bridge.errors import DeploymentNotFound, ParametersRejected, PrefectUnreachable
from bridge.intention import Intention
from bridge.parameters import check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from factory import approval as factory_approval
from factory import contracts, use_cases
from factory.settings import read_settings
from factory.use_cases.use_case import Gate
from plugins.control_page import audit
from plugins.control_page.access import Viewer
from plugins.control_page.forms import WHOLE, Field, fill, fill_as, form_of, read_form, with_problems
from plugins.control_page.freshness import Freshness
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.redaction import redacted
from plugins.control_page.routes.looking import ReaderDep, ViewerDep, name_of, see_deployments
from plugins.control_page.routes.runs import back
from plugins.control_page.run_views import USER_LABEL

router = APIRouter()
TAG = "control-page"


@router.get("/run")
async def choice(request: Request, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """The deployments that the viewer may see; those that may be started lead to their form."""
    seen = await see_deployments(reader)
    listed = await asyncio.to_thread(
        lambda: [
            (name, record, viewer.held(name, record) is not None)
            for name, record in sorted((seen.value or {}).items())
            if viewer.may("see", viewer.dags_of(name))
        ]
    )
    return show(
        request,
        "choose.html",
        view="run",
        listed=listed,
        fresh=Freshness.of(seen),
        is_loading=seen.is_loading,
    )


@router.get("/run/{deployment_id}")
async def form(
    request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep, like: UUID | None = None
) -> HTMLResponse:
    """The deployment's form with its defaults, or with the parameters of the run that it is to be like."""
    name, record = await find_deployment(reader, str(deployment_id))
    held = await asyncio.to_thread(_held, viewer, name, record)
    fields = form_of(record, name)
    if like is not None:
        fields = fill_as(fields, (await _seen_run(reader, viewer, str(like))).parameters, record)
    return _form_page(request, name, record, fields, {}, str(uuid4()), held)


@router.post("/run/{deployment_id}")
async def start(request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> Response:
    """Start a run with what was filled in, and go to its page; wrong input is shown at its field."""
    name, record = await find_deployment(reader, str(deployment_id))
    held = await asyncio.to_thread(_held, viewer, name, record)
    posted = await posted_in(request)
    token = posted.get("token") or str(uuid4())
    fields = fill(form_of(record, name), posted)
    parameters, problems = read_form(fields, record)
    await asyncio.to_thread(viewer.require_run, name, record, parameters)
    if problems:
        return _form_page(request, name, record, fields, problems, token, held)
    try:
        flow_run_id = await start_run(reader, viewer, name, record, parameters, token)
    except ParametersRejected as refusal:
        return _form_page(request, name, record, fields, {WHOLE: str(refusal)}, token, held)
    return back(request, f"runs/{flow_run_id}")


async def posted_in(request: Request) -> dict[str, str]:
    """The texts of a form; what is sent several times under one name stands on lines of its own."""
    posted: dict[str, list[str]] = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            posted.setdefault(name, []).append(value)
    return {name: "\n".join(values) for name, values in posted.items()}


async def start_run(
    reader: PrefectReader,
    viewer: Viewer,
    name: str,
    record: DeploymentRecord,
    parameters: dict[str, object],
    token: str,
    *,
    event: str = "start",
) -> str:
    """The id of the run that these parameters start; the same `token` starts one run, however often it is sent.

    Who asks is the user who is logged in, whatever the parameters say. Raises Forbidden, ParametersRejected and what
    else `bridge.submitting` does.
    """
    dag_id = await asyncio.to_thread(viewer.require_run, name, record, parameters)
    signed = parameters | signature(name, record, parameters, viewer.name)
    check_parameters(signed, record, name)
    what = {"deployment": name, "parameters": redacted(signed, record.parameter_schema)}
    await asyncio.to_thread(audit.record, event, viewer.name, what, dag_id)
    meant = Intention(name, ("control-page", viewer.name, token))
    asked = Submission(signed, tags=[TAG], labels={USER_LABEL: viewer.name})
    return (await reader.act(submit(record, meant, asked))).run.id


def signature(
    name: str, record: DeploymentRecord, parameters: Mapping[str, object], user_name: str
) -> dict[str, object]:
    """What the fields that name people are given, for a flow that has such: the user alone, who asks.

    Where a promotion has to be approved, who starts it by hand approves it.
    """
    takes = record.parameter_schema.get("properties", {})
    contract = contracts.params_of(name, takes)
    if contract is None or not contract.people:
        return {}
    taken = {"use_case": contracts.PromotionParams.model_fields["use_case"].default, **record.parameters, **parameters}
    gate = _gate(taken)
    given: dict[str, object] = dict.fromkeys(contract.people & record.parameters.keys())
    given["requested_by"] = user_name
    moves_title = not (taken.get("rollback") or taken.get("rehearsal"))
    if moves_title and gate is not None and factory_approval.is_asked_for(read_settings(), gate):
        given["approved_by"] = user_name
    return {field: value for field, value in given.items() if not takes or field in takes}


def _gate(taken: Mapping[str, object]) -> Gate | None:
    """That of the model which the parameters name; None where there is no such model: then the flow refuses the run."""
    models = [model for each in use_cases.current() if each.name == taken["use_case"] for model in each.models]
    named = [model for model in models if len(models) == 1 or model.name == taken.get("model")]
    return named[0].gate if named else None


async def _seen_run(reader: PrefectReader, viewer: Viewer, flow_run_id: str) -> FlowRun:
    """The run, for who may see it; raises Forbidden, FlowRunNotFound."""
    run = await reader.act(wire.read_flow_run(flow_run_id))
    deployments = await see_deployments(reader)
    await asyncio.to_thread(viewer.require, "see", viewer.dags_of(name_of(deployments.value, run), run))
    return run


def _held(viewer: Viewer, name: str, record: DeploymentRecord) -> Mapping[str, Any]:
    """The parameters that stand fast for the viewer; raises Forbidden for who may start no run of it."""
    held = viewer.held(name, record)
    if held is None:
        viewer.require_run(name, record, {})
    return held or {}


async def find_deployment(reader: PrefectReader, deployment_id: str) -> tuple[str, DeploymentRecord]:
    """The deployment of that id with its name; raises DeploymentNotFound, PrefectUnreachable."""
    seen = await see_deployments(reader)
    if seen.value is None:
        raise PrefectUnreachable(seen.trouble or "Prefect has not answered yet; try again")
    for name, record in seen.value.items():
        if record.id == deployment_id:
            return name, record
    raise DeploymentNotFound(f"Prefect has no deployment {deployment_id}; it may have been deleted")


def _form_page(
    request: Request,
    name: str,
    record: DeploymentRecord,
    fields: list[Field],
    problems: dict[str, str],
    token: str,
    held: Mapping[str, Any],
) -> HTMLResponse:
    shown = with_problems(fields, problems)
    asked = [field for field in shown if not field.fixed and field.name not in held]
    known = {field.name for field in asked}
    return show(
        request,
        "form.html",
        422 if problems else 200,
        view="run",
        name=name,
        deployment=record,
        fields=[field for field in asked if not field.rare],
        rare=[field for field in asked if field.rare],
        is_open=any(field.problem or field.is_changed for field in asked if field.rare),
        fixed=[field for field in shown if field.fixed],
        held=[field for field in shown if field.name in held],
        elsewhere=[said for field, said in problems.items() if field not in known],
        wrong=len(problems),
        token=token,
    )
