"""`FakePrefect`: what a test says of the Prefect that it wants, and what it asks it afterwards.

Owns the face alone. How runs go by themselves is `playing`'s business, the server's rules are `state`'s, and nothing of
HTTP or sockets is known here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from bridge.contracts import Deployment
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import FlowRun
from bridge.testing.courses import Course, Flow, Result, as_json
from bridge.testing.faults import Faults
from bridge.testing.filtering import Document
from bridge.testing.playing import Player
from bridge.testing.schemas import Parameters, schema_of
from bridge.testing.state import State

if TYPE_CHECKING:
    from bridge.testing.serving import Asked, Serving

LOOK_SECONDS = 0.02

T = TypeVar("T")
Target = str | Deployment[Any, Any]
"""`<flow>/<deployment>`, or the contract that bears this name."""


class FakePrefect:
    """A fake Prefect server on a free port of loopback; a context manager.

    Runs end at once, and well, unless `on_run` says otherwise. With `basic_auth` ("user:password") or `api_key` the
    server lets nobody in without it. `faults` makes things go wrong, `requests` holds what came, in order.
    """

    def __init__(self, *, basic_auth: str | None = None, api_key: str | None = None) -> None:
        self.faults = Faults()
        self.requests: list[Asked] = []
        self._basic_auth = basic_auth
        self._api_key = api_key
        self._state = State()
        self._player = Player(self._state)
        self._serving: Serving | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen; raises ModuleNotFoundError naming the extra where it is not installed."""
        try:
            from starlette.routing import WebSocketRoute

            from bridge.testing.endpoints import Endpoints
            from bridge.testing.event_socket import EventSocket
            from bridge.testing.serving import Doorway, Serving, authorization
        except ModuleNotFoundError as error:
            remedy = f"FakePrefect needs {error.name}; install it with: pip install 'airflow-provider-prefect[testing]'"
            raise ModuleNotFoundError(remedy, name=error.name) from error
        events = EventSocket(self._state, self.faults, self._basic_auth or self._api_key)
        endpoints = Endpoints(self._state, self._player.begin, self._player.cancelling)
        application = endpoints.application(WebSocketRoute("/api/events/out", events.serve))
        shown = authorization(self._basic_auth, self._api_key)
        self._serving = Serving(Doorway(application, self.faults, self.requests.append, shown))
        self._serving.start()

    def stop(self) -> None:
        """End whatever was started."""
        self._player.stop()
        if self._serving is not None:
            self._serving.stop()
            self._serving = None

    @property
    def api_url(self) -> str:
        """Address of the API; raises RuntimeError before `start`."""
        if self._serving is None:
            raise RuntimeError("this FakePrefect does not listen; use it in a with statement")
        return f"http://127.0.0.1:{self._serving.port}/api"

    @property
    def connection(self) -> PrefectConnection:
        """For the bridge's own clients, credentials included."""
        return PrefectConnection(
            self.api_url, api_key=self._api_key, basic_auth=self._basic_auth, trust_environment=False
        )

    def airflow_connection(self) -> str:
        """The Airflow connection as JSON, credentials included: a value for AIRFLOW_CONN_PREFECT_DEFAULT."""
        login, _, password = (self._basic_auth or "").partition(":")
        connection = {
            "conn_type": "prefect",
            "host": self.api_url,
            "login": login or None,
            "password": self._api_key or password or None,
            "extra": {"trust_env": False},
        }
        return json.dumps(connection)

    def deployment(
        self,
        deployment: Target,
        *,
        parameters: Parameters = None,
        defaults: Mapping[str, Any] | None = None,
        work_pool: str | None = None,
        tags: Sequence[str] = (),
        paused: bool = False,
        ready: bool = True,
    ) -> None:
        """There is a deployment, served by its own process or, with `work_pool`, by the workers of a pool.

        `parameters` is what its runs are checked by: a pydantic model, a function with the flow's signature, a JSON
        schema, or None for no check; a contract brings its own. `defaults` are the deployment's own values. One that is
        not `ready` has nobody who serves it; its runs go as told all the same.
        """
        if isinstance(deployment, Deployment):
            parameters = parameters or deployment.params
        self._state.deploy(
            _name(deployment),
            schema=schema_of(parameters),
            defaults=defaults or {},
            work_pool_name=work_pool,
            tags=list(tags),
            paused=paused,
            status="READY" if ready else "NOT_READY",
        )

    def on_run(self, deployment: Target, *plans: Course | Flow, **course: Any) -> None:
        """How runs of the deployment go: the first run the first plan, and so on; the last plan holds from then on.

        A plan is a `Course`, or a function that stands for the flow: it is given the parameters and returns the
        result, or a Course; what it raises fails the run. Keywords are those of one Course:
        `on_run("a/b", state="FAILED", message="no space left")`. A retry in place takes the next plan.
        Raises LookupError when there is no such deployment, TypeError for plans and keywords at once.
        """
        if plans and course:
            raise TypeError("give plans, or the keywords of one Course, not both")
        self._player.plan(self._deployment_id(deployment), list(plans) or [Course(**course)])

    def work_pool(
        self, name: str, *, kind: str = "process", paused: bool = False, limit: int | None = None, queue: str = ""
    ) -> None:
        """There is a work pool, paused or with so many slots; with `queue` that queue of it is. No run heeds it."""
        pool = self._state.pool(name)
        place = self._state.queue(name, queue) if queue else pool
        self._state.restrict(place, paused=paused, limit=limit)
        pool["type"] = kind

    def worker(self, work_pool: str, name: str = "worker", *, status: str = "ONLINE", ago_seconds: float = 0.0) -> None:
        """A worker has polled the pool so long ago."""
        beat = datetime.fromtimestamp(datetime.now(UTC).timestamp() - ago_seconds, UTC)
        self._state.attend(work_pool, name, status=status, last_heartbeat=beat)

    def run(
        self,
        deployment: Target,
        parameters: Mapping[str, Any] | None = None,
        tags: Sequence[str] = (),
        labels: Mapping[str, Any] | None = None,
    ) -> FlowRun:
        """Start a run from elsewhere, as a person or a schedule would."""
        asked = {"parameters": dict(parameters or {}), "tags": list(tags), "labels": dict(labels or {})}
        created, _ = self._state.create(self._deployment_id(deployment), asked)
        self._player.begin(created["id"])
        return self.read(created["id"])

    def runs(self, deployment: Target | None = None) -> list[FlowRun]:
        """The runs as they stand, oldest first; of one deployment, or all."""
        wanted = self._deployment_id(deployment) if deployment is not None else None
        rows = self._state.rows(self._state.flow_runs.values())
        return [FlowRun.parse(row) for row in rows if wanted in (None, row["deployment_id"])]

    def read(self, run: FlowRun | str) -> FlowRun:
        """The run as it stands now."""
        return FlowRun.parse(self.document(run))

    def document(self, run: FlowRun | str) -> Document:
        """The run as the API tells of it, labels and all."""
        [document] = self._state.rows([self._state.run(_run_id(run))])
        return document

    def finish(self, run: FlowRun | str, **course: Any) -> None:
        """End a run that was left alone, whatever its state; keywords are those of a Course."""
        self._player.finish(_run_id(run), Course(**course))

    def set_state(self, run: FlowRun | str, state: str, *, name: str | None = None, message: str = "") -> None:
        """Put a run into a state, whatever the server's rules say."""
        self._state.propose(_run_id(run), {"type": state, "name": name, "message": message or None}, force=True)

    def log(self, run: FlowRun | str, message: str, level: int = logging.INFO) -> None:
        """The flow logs a line."""
        self._state.log(_run_id(run), level, message)

    def task(self, run: FlowRun | str, name: str, state: str = "COMPLETED", child: FlowRun | str | None = None) -> None:
        """The flow has a task run of that name in this state type; with `child` it is the place of that sub-run."""
        self._state.begin_task(_run_id(run), name, state, _run_id(child) if child is not None else None)

    def publish(self, run: FlowRun | str, result: Result) -> None:
        """The flow publishes its result."""
        self._state.publish(_run_id(run), as_json(result))

    def delete(self, run: FlowRun | str) -> None:
        """Somebody deletes the run."""
        self._state.delete(_run_id(run))

    def wait_for(self, holds: Callable[[], T], seconds: float = 10.0) -> T:
        """What `holds` gives once it is true; raises TimeoutError after so many seconds."""
        deadline = monotonic() + seconds
        while not (found := holds()):
            if monotonic() > deadline:
                raise TimeoutError(f"not within {seconds:g} s; the runs are: {self.runs()}")
            sleep(LOOK_SECONDS)
        return found

    def _deployment_id(self, target: Target) -> str:
        flow, _, short = _name(target).partition("/")
        with self._state.lock:
            found = self._state.find_deployment(flow, short)
        if found is None:
            raise LookupError(f"this FakePrefect has no deployment {_name(target)!r}; say so with deployment()")
        deployment_id: str = found["id"]
        return deployment_id


def _name(target: Target) -> str:
    return target.name if isinstance(target, Deployment) else target


def _run_id(run: FlowRun | str) -> str:
    return run.id if isinstance(run, FlowRun) else run
