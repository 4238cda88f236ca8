"""The REST endpoints of the fake Prefect: as many as the bridge uses, answering as Prefect 3's server does."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from bridge.testing.filtering import PAGE, Document, event_matches, matches, page
from bridge.testing.schemas import Refusal
from bridge.testing.state import State

VERSION = "3.9.1"
"""The version of Prefect that the contract tests hold the fake against."""

RUN_SORTS = (
    "ID_DESC",
    "START_TIME_ASC",
    "START_TIME_DESC",
    "EXPECTED_START_TIME_ASC",
    "EXPECTED_START_TIME_DESC",
    "NAME_ASC",
    "NAME_DESC",
    "NEXT_SCHEDULED_START_TIME_ASC",
    "END_TIME_DESC",
)
EVENTS_PAGE = 50
LOG_SORTS = ("TIMESTAMP_ASC", "TIMESTAMP_DESC")
ARTIFACT_SORTS = ("ID_DESC", "CREATED_DESC", "UPDATED_DESC", "KEY_ASC", "KEY_DESC")
TASK_RUN_SORTS = ("ID_DESC", "EXPECTED_START_TIME_ASC", "EXPECTED_START_TIME_DESC", "NAME_ASC", "END_TIME_DESC")
QUEUE_SORTS = ("PRIORITY_ASC",)
"""In whose order Prefect gives them."""
NAME_SORTS = ("NAME_ASC", "NAME_DESC", "CREATED_DESC", "UPDATED_DESC")

Answer = tuple[int, Any]
Handler = Callable[[Request, Any], Answer]


class Endpoints:
    """Handlers over one server's state; `begin` is told of every run that is due to start."""

    def __init__(self, state: State, begin: Callable[[str], None], cancelling: Callable[[str], None]) -> None:
        self._state = state
        self._begin = begin
        self._cancelling = cancelling

    def application(self, *further: BaseRoute) -> Starlette:
        """The ASGI application, below `/api`."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/health", lambda *_: (200, True)),
            ("GET", "/admin/version", lambda *_: (200, VERSION)),
            ("GET", "/deployments/name/{flow}/{deployment}", self.deployment_by_name),
            ("POST", "/deployments/filter", self.deployments),
            ("GET", "/deployments/{id:uuid}", self.deployment),
            ("POST", "/deployments/{id:uuid}/create_flow_run", self.create_flow_run),
            ("POST", "/deployments/{id:uuid}/pause_deployment", self.pause_deployment),
            ("POST", "/deployments/{id:uuid}/resume_deployment", self.resume_deployment),
            ("POST", "/flows/filter", self.flows),
            ("POST", "/flow_runs/filter", self.flow_runs),
            ("POST", "/flow_runs/paginate", self.flow_run_page),
            ("POST", "/flow_runs/count", self.count_flow_runs),
            ("POST", "/flow_runs/bulk_set_state", self.set_states),
            ("POST", "/task_runs/filter", self.task_runs),
            ("GET", "/flow_runs/{id:uuid}", self.flow_run),
            ("DELETE", "/flow_runs/{id:uuid}", self.delete_flow_run),
            ("PATCH", "/flow_runs/{id:uuid}/labels", self.label_flow_run),
            ("POST", "/flow_runs/{id:uuid}/set_state", self.set_state),
            ("POST", "/logs/filter", self.logs),
            ("POST", "/events/filter", self.events),
            ("POST", "/artifacts/filter", self.artifacts),
            ("GET", "/work_pools/{name}", self.work_pool),
            ("POST", "/work_pools/{name}/queues/filter", self.work_queues),
            ("POST", "/work_pools/{name}/workers/filter", self.workers),
        ]
        routes = [Route(f"/api{path}", _endpoint(handler), methods=[method]) for method, path, handler in table]
        return Starlette(routes=[*routes, *further], exception_handlers={HTTPException: _refused_by_router})

    def deployment_by_name(self, request: Request, _: Any) -> Answer:
        with self._state.lock:
            found = self._state.find_deployment(request.path_params["flow"], request.path_params["deployment"])
            return (200, deepcopy(found)) if found else (404, {"detail": "Deployment not found"})

    def deployment(self, request: Request, _: Any) -> Answer:
        with self._state.lock:
            found = self._state.deployments.get(str(request.path_params["id"]))
            return (200, deepcopy(found)) if found else (404, {"detail": "Deployment not found"})

    def deployments(self, _: Request, body: Any) -> Answer:
        return 200, self._page(self._state.deployments.values(), body, "deployments", NAME_SORTS)

    def flows(self, _: Request, body: Any) -> Answer:
        return 200, self._page(self._state.flows.values(), body, "flows", NAME_SORTS)

    def create_flow_run(self, request: Request, body: Any) -> Answer:
        run, new = self._state.create(str(request.path_params["id"]), body)
        [answer] = self._state.rows([run])
        if new and answer["state_type"] == "SCHEDULED":
            self._begin(answer["id"])
        return (201 if new else 200), answer

    def flow_run(self, request: Request, _: Any) -> Answer:
        [answer] = self._state.rows([self._state.run(str(request.path_params["id"]))])
        return 200, answer

    def delete_flow_run(self, request: Request, _: Any) -> Answer:
        self._state.delete(str(request.path_params["id"]))
        return 204, None

    def label_flow_run(self, request: Request, body: Any) -> Answer:
        self._state.label(str(request.path_params["id"]), body)
        return 204, None

    def flow_runs(self, _: Request, body: Any) -> Answer:
        return 200, page(self._found(body), body, RUN_SORTS)

    def flow_run_page(self, _: Request, body: Any) -> Answer:
        asked = dict(body)
        number, limit = asked.pop("page", 1), asked.get("limit", PAGE)
        found = self._found(asked)
        results = page(found, {**asked, "offset": (number - 1) * limit}, RUN_SORTS)
        pages = -(-len(found) // limit)
        return 200, {"results": results, "count": len(found), "limit": limit, "pages": pages, "page": number}

    def task_runs(self, _: Request, body: Any) -> Answer:
        return 200, self._page(self._state.task_runs.values(), body, "task_runs", TASK_RUN_SORTS)

    def pause_deployment(self, request: Request, _: Any) -> Answer:
        self._state.pause(str(request.path_params["id"]), paused=True)
        return 200, None

    def resume_deployment(self, request: Request, _: Any) -> Answer:
        self._state.pause(str(request.path_params["id"]), paused=False)
        return 200, None

    def count_flow_runs(self, _: Request, body: Any) -> Answer:
        return 200, len(self._found(body))

    def set_state(self, request: Request, body: Any) -> Answer:
        flow_run_id = str(request.path_params["id"])
        before = self.flow_run(request, None)[1]["state_id"]
        result = self._orchestrate(flow_run_id, body)
        return (200 if result["state"]["id"] == before else 201), result

    def set_states(self, _: Request, body: Any) -> Answer:
        with self._state.lock:
            found = self._found({"flow_runs": body.get("flow_runs")})
            results = [{"flow_run_id": run["id"], **self._orchestrate(run["id"], body)} for run in found]
        return 200, {"results": results}

    def _orchestrate(self, flow_run_id: str, body: Any) -> Document:
        state, word, reason = self._state.propose(flow_run_id, body["state"], force=body.get("force", False))
        answer = deepcopy(state)
        if word == "ACCEPT" and state["type"] == "SCHEDULED":
            self._begin(flow_run_id)
        elif word == "ACCEPT" and state["type"] == "CANCELLING":
            self._cancelling(flow_run_id)
        details = {"type": f"{word.lower()}_details", **({"reason": reason} if reason else {})}
        return {"state": answer, "status": word, "details": details}

    def logs(self, _: Request, body: Any) -> Answer:
        return 200, self._page(self._state.logs, body, "logs", LOG_SORTS)

    def events(self, _: Request, body: Any) -> Answer:
        _refuse_unknown(body, "filter")
        wanted = dict(body.get("filter") or {})
        latest_first = wanted.pop("order", "DESC") == "DESC"
        with self._state.lock:
            found = [deepcopy(event) for event in self._state.events if event_matches(event, wanted)]
        found.sort(key=lambda event: str(event["occurred"]), reverse=latest_first)
        return 200, {"events": found[: body.get("limit", EVENTS_PAGE)], "total": len(found), "next_page": None}

    def artifacts(self, _: Request, body: Any) -> Answer:
        return 200, self._page(self._state.artifacts, body, "artifacts", ARTIFACT_SORTS)

    def work_pool(self, request: Request, _: Any) -> Answer:
        name = self._pool_of(request)
        [answer] = self._state.rows([self._state.pools[name]])
        return 200, answer

    def work_queues(self, request: Request, body: Any) -> Answer:
        name = self._pool_of(request)
        with self._state.lock:
            queues = [each for each in self._state.queues.values() if each["work_pool_name"] == name]
        return 200, self._page(queues, body, "work_queues", QUEUE_SORTS)

    def workers(self, request: Request, body: Any) -> Answer:
        return 200, self._page(self._state.workers[self._pool_of(request)], body, "workers", NAME_SORTS)

    def _pool_of(self, request: Request) -> str:
        name = str(request.path_params["name"])
        if name not in self._state.pools:
            raise Refusal(404, f'Work pool "{name}" not found.')
        return name

    def _page(self, documents: Iterable[Document], body: Any, what: str, sorts: tuple[str, ...]) -> list[Document]:
        _refuse_unknown(body, what)
        return page([each for each in self._state.rows(documents) if matches(each, body.get(what))], body, sorts)

    def _found(self, body: Any) -> list[Document]:
        """Runs that pass the filters on themselves, on their deployment and on their flow."""
        _refuse_unknown(body, "flow_runs", "deployments", "flows")
        wanted = dict(body.get("flow_runs") or {})
        parents = wanted.pop("parent_flow_run_id", None)
        with self._state.lock:
            children = self._state.children(parents["any_"]) if parents else set(self._state.flow_runs)
            return self._state.rows(
                run
                for run in self._state.flow_runs.values()
                if run["id"] in children
                and matches(run, wanted)
                and matches(self._state.deployments[run["deployment_id"]], body.get("deployments"))
                and matches(self._state.flows[run["flow_id"]], body.get("flows"))
            )


def _refuse_unknown(body: Any, *known: str) -> None:
    unknown = set(body) - {*known, "limit", "offset", "sort"}
    if unknown:
        raise Refusal(501, f"the fake Prefect does not know {', '.join(sorted(unknown))} in this request")


def _endpoint(handler: Handler) -> Callable[[Request], Any]:
    async def respond(request: Request) -> Response:
        text = await request.body()
        try:
            body = json.loads(text) if text else {}
            # In a thread: what a test gave as a flow may take its time.
            status, answer = await run_in_threadpool(handler, request, body)
        except Refusal as refusal:
            return JSONResponse({"detail": refusal.detail}, refusal.status)
        return Response(status_code=status) if answer is None else JSONResponse(answer, status)

    return respond


async def _refused_by_router(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return JSONResponse({"detail": error.detail if isinstance(error, HTTPException) else str(error)}, status)
