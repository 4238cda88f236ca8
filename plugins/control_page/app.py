"""The control page's FastAPI application: its routes, who may use them, and what is said when something goes wrong."""

from __future__ import annotations

from functools import lru_cache

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from starlette.exceptions import HTTPException as RoutingError

from bridge.errors import BridgeError, DeploymentNotFound, FlowRunNotFound, ParametersRejected, PrefectUnreachable
from plugins.control_page.access import CrossSite, Forbidden, refuse_large, refuse_other_sites
from plugins.control_page.airflow_internals import get_user
from plugins.control_page.pages import environment, show
from plugins.control_page.prefect_reader import PrefectReader
from plugins.control_page.prefect_source import find_prefect
from plugins.control_page.routes import (
    assets,
    cancelling,
    comparison,
    deployments,
    overview,
    promotion,
    run_list,
    run_log,
    runs,
    starting,
    task,
)

PARTS = (
    overview,
    starting,
    run_list,
    cancelling,
    run_log,
    runs,
    deployments,
    comparison,
    promotion,
    task,
    assets,
)


@lru_cache(maxsize=1)
def application() -> FastAPI:
    """The one application of this process, with the one reader that all its viewers share."""
    for name in environment().list_templates():
        environment().get_template(name)  # compiled now, so that the first viewer does not wait for it
    return make_application(PrefectReader(find_prefect))


def make_application(reader: PrefectReader) -> FastAPI:
    """The application over a reader. Every route wants a login and, to change something, our own page as its origin."""
    app = FastAPI(
        title="Control page",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(get_user), Depends(refuse_other_sites), Depends(refuse_large)],
    )
    app.state.prefect = reader
    for part in PARTS:
        app.include_router(part.router)
    app.add_exception_handler(RoutingError, _refused)
    app.add_exception_handler(Forbidden, _forbidden)
    app.add_exception_handler(CrossSite, _from_elsewhere)
    app.add_exception_handler(BridgeError, _prefect_refuses)
    app.add_exception_handler(RequestValidationError, _no_such_address)
    app.add_exception_handler(Exception, _broken)
    return app


async def _refused(request: Request, error: Exception) -> HTMLResponse:
    """What Airflow or the router refuses: no login, no such page, wrong input."""
    assert isinstance(error, RoutingError | HTTPException)  # noqa: S101 — the handler's registration says so
    if error.status_code == 401:
        return _notice(request, 401, "Your login has expired", "Log in to Airflow again, then come back.", login=True)
    titles = {403: "This is not yours to do", 404: "There is no such page"}
    return _notice(request, error.status_code, titles.get(error.status_code, "That did not work"), str(error.detail))


async def _forbidden(request: Request, error: Exception) -> HTMLResponse:
    return _notice(request, 403, "This is not yours to do", str(error))


async def _from_elsewhere(request: Request, _: Exception) -> HTMLResponse:
    said = "The request came from another site, or from a browser that does not say where it comes from."
    return _notice(request, 403, "Nothing was changed", said)


async def _prefect_refuses(request: Request, error: Exception) -> HTMLResponse:
    if isinstance(error, FlowRunNotFound | DeploymentNotFound):
        return _notice(request, 404, "It is not there", str(error))
    if isinstance(error, ParametersRejected):
        return _notice(request, 422, "That does not fit", str(error))
    if isinstance(error, PrefectUnreachable):
        return _notice(request, 503, "Prefect does not answer", str(error))
    return _notice(request, 409, "Prefect did not do it", str(error))


async def _no_such_address(request: Request, _: Exception) -> HTMLResponse:
    return _notice(request, 404, "There is no such page", "Something in its address is missing, or is no id.")


async def _broken(request: Request, _: Exception) -> HTMLResponse:
    """A fault of the page's own: it is raised again once this is sent, and stands in the api-server's log."""
    return _notice(request, 500, "This page is broken", "The log of Airflow's api-server says why.")


def _notice(request: Request, status: int, title: str, said: str, *, login: bool = False) -> HTMLResponse:
    given = {"view": "", "title": title, "said": said, "login": login}
    return show(request, "notice.html", status, logged_in=not login, **given)
