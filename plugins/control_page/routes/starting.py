"""Run: choose a deployment, fill in its parameters, start it."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from bridge.errors import DeploymentNotFound, ParametersRejected, PrefectUnreachable
from bridge.intention import Intention
from bridge.parameters import check_parameters
from bridge.prefect_api.records import DeploymentRecord
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from plugins.control_page import audit
from plugins.control_page.access import Viewer
from plugins.control_page.forms import WHOLE, Field, fill, form_of, read_form, with_problems
from plugins.control_page.pages import show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.routes.looking import ReaderDep, ViewerDep, see_deployments
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
            (name, record, viewer.may("start", viewer.dags_of(name)))
            for name, record in sorted((seen.value or {}).items())
            if viewer.may("see", viewer.dags_of(name))
        ]
    )
    return show(
        request,
        "choose.html",
        view="run",
        listed=listed,
        trouble=seen.trouble,
        read_at=seen.read_at,
        is_loading=seen.is_loading,
    )


@router.get("/run/{deployment_id}")
async def form(request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> HTMLResponse:
    """The deployment's form, empty."""
    name, record = await find_deployment(reader, str(deployment_id))
    await asyncio.to_thread(viewer.require, "start", viewer.dags_of(name))
    return _form_page(request, name, record, form_of(record), {}, str(uuid4()))


@router.post("/run/{deployment_id}")
async def start(request: Request, deployment_id: UUID, reader: ReaderDep, viewer: ViewerDep) -> Response:
    """Start a run with what was filled in, and go to its page; wrong input is shown at its field."""
    name, record = await find_deployment(reader, str(deployment_id))
    await asyncio.to_thread(viewer.require, "start", viewer.dags_of(name))
    posted = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    token = posted.get("token") or str(uuid4())
    fields = fill(form_of(record), posted)
    parameters, problems = read_form(fields, record)
    if problems:
        return _form_page(request, name, record, fields, problems, token)
    try:
        flow_run_id = await start_run(reader, viewer, name, record, parameters, token)
    except ParametersRejected as refusal:
        return _form_page(request, name, record, fields, {WHOLE: str(refusal)}, token)
    return back(request, f"runs/{flow_run_id}")


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

    Raises Forbidden, ParametersRejected and what else `bridge.submitting` does.
    """
    action = "start" if event == "start" else "change"
    dag_id = await asyncio.to_thread(viewer.require, action, viewer.dags_of(name))  # type: ignore[arg-type]
    check_parameters(parameters, record, name)
    await asyncio.to_thread(
        audit.record, event, viewer.name, {"deployment": name, "fields": sorted(parameters)}, dag_id
    )
    meant = Intention(name, ("control-page", viewer.name, token))
    asked = Submission(parameters, tags=[TAG], labels={USER_LABEL: viewer.name})
    return (await reader.act(submit(record, meant, asked))).run.id


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
    request: Request, name: str, record: DeploymentRecord, fields: list[Field], problems: dict[str, str], token: str
) -> HTMLResponse:
    known = {field.name for field in fields}
    return show(
        request,
        "form.html",
        422 if problems else 200,
        view="run",
        name=name,
        deployment=record,
        fields=with_problems(fields, problems),
        elsewhere=[said for field, said in problems.items() if field not in known],
        wrong=len(problems),
        token=token,
    )
