"""What the fake Prefect knows: deployments, runs, logs, artifacts, workers and events, and how runs change state.

Owns the documents and the server's rules about states; knows nothing of HTTP. Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from threading import RLock
from typing import Any
from uuid import uuid4

from bridge.contracts import RESULT_ARTIFACT_KEY
from bridge.testing.courses import STATE_TYPES, TERMINAL_TYPES
from bridge.testing.filtering import Document
from bridge.testing.schemas import Refusal, enforce

_UNLIMITED = {"concurrency_limit": None, "active_slots": None}


class State:
    """One server's knowledge."""

    def __init__(self) -> None:
        self.lock = RLock()
        self.flows: dict[str, Document] = {}
        self.deployments: dict[str, Document] = {}
        self.flow_runs: dict[str, Document] = {}
        self.task_runs: dict[str, Document] = {}
        self.logs: list[Document] = []
        self.artifacts: list[Document] = []
        self.pools: dict[str, Document] = {}
        self.queues: dict[str, Document] = {}
        """Of all pools, by id."""
        self.workers: dict[str, list[Document]] = {}
        """By work pool; a pool without workers has an empty list."""
        self.events: list[Document] = []
        self.listeners: set[Callable[[Document], None]] = set()

    def deploy(self, name: str, *, schema: Mapping[str, Any], defaults: Mapping[str, Any], **more: Any) -> Document:
        """A deployment `<flow>/<deployment>` as the server keeps it; a second one of that name takes its place."""
        flow_name, _, short = name.partition("/")
        with self.lock:
            flow = next((each for each in self.flows.values() if each["name"] == flow_name), None)
            flow = flow or _stored(name=flow_name, tags=[])
            self.flows[flow["id"]] = flow
            known = self.find_deployment(flow_name, short)
            pool = more["work_pool_name"]
            document = _stored(
                name=short,
                flow_id=flow["id"],
                parameters=dict(defaults),
                parameter_openapi_schema=dict(schema),
                enforce_parameter_schema=True,
                schedules=[],
                global_concurrency_limit=None,
                concurrency_options=None,
                description=None,
                work_queue_name="default" if pool else None,
                work_queue_id=self.pool(pool)["default_queue_id"] if pool else None,
                **more,
            )
            if known is not None:
                document["id"] = known["id"]
            self.deployments[document["id"]] = document
            return document

    def pool(self, name: str) -> Document:
        """The work pool of that name with its queue `default`, made where there is none."""
        with self.lock:
            if name not in self.pools:
                self.pools[name] = _stored(name=name, type="process", is_paused=False, status="NOT_READY", **_UNLIMITED)
                self.workers[name] = []
                self.pools[name]["default_queue_id"] = self.queue(name, "default")["id"]
            return self.pools[name]

    def queue(self, pool: str, name: str) -> Document:
        """The queue of that name in a pool that is there, made where there is none."""
        with self.lock:
            of_pool = [each for each in self.queues.values() if each["work_pool_name"] == pool]
            found = next((each for each in of_pool if each["name"] == name), None)
            if found is None:
                priority = len(of_pool) + 1
                found = _stored(
                    name=name, work_pool_name=pool, is_paused=False, status="NOT_READY", priority=priority, **_UNLIMITED
                )
                self.queues[found["id"]] = found
            return found

    def restrict(self, place: Document, *, paused: bool, limit: int | None) -> None:
        """Let a pool or a queue rest, or have so many slots."""
        with self.lock:
            status = "PAUSED" if paused else "NOT_READY"
            place |= {"is_paused": paused, "status": status, "concurrency_limit": limit}
            place["active_slots"] = None if limit is None else 0

    def find_deployment(self, flow_name: str, short: str) -> Document | None:
        """The deployment of that full name."""
        for each in self.deployments.values():
            if each["name"] == short and self.flows[each["flow_id"]]["name"] == flow_name:
                return each
        return None

    def create(self, deployment_id: str, asked: Mapping[str, Any]) -> tuple[Document, bool]:
        """A new scheduled run, or the one that bears the key already, and whether it is new. Raises Refusal."""
        with self.lock:
            deployment = self.deployments.get(deployment_id)
            if deployment is None:
                raise Refusal(404, "Deployment not found")
            parameters = {**deployment["parameters"], **(asked.get("parameters") or {})}
            if asked.get("enforce_parameter_schema", True):
                enforce(parameters, deployment["parameter_openapi_schema"])
            key = asked.get("idempotency_key")
            known = self._with_key(deployment["flow_id"], key) if key else None
            if known is not None:
                return known, False
            run = _new_run(deployment, asked, parameters, number=len(self.flow_runs) + 1)
            self.flow_runs[run["id"]] = run
            self._put(run, {"type": "SCHEDULED", **(asked.get("state") or {})})
            return run, True

    def _with_key(self, flow_id: str, key: str) -> Document | None:
        for run in self.flow_runs.values():
            if (run["flow_id"], run["idempotency_key"]) == (flow_id, key):
                return run
        return None

    def propose(self, flow_run_id: str, proposed: Mapping[str, Any], *, force: bool) -> tuple[Document, str, str]:
        """Ask for a state; gives the state then, the server's word (ACCEPT, REJECT, ABORT) and its reason.

        The rules are those of Prefect's orchestration that a bridge can meet. Raises Refusal.
        """
        with self.lock:
            run = self.run(flow_run_id)
            current, wanted = run["state_type"], proposed.get("type")
            if wanted not in STATE_TYPES:
                raise Refusal(422, f"Input should be one of {', '.join(STATE_TYPES)}")
            if not force and current in TERMINAL_TYPES and wanted in {"CANCELLING", "PAUSED", "CRASHED"}:
                return run["state"], "ABORT", f"Run is already in terminal state {current}."
            if not force and current == "CANCELLING" and wanted != "CANCELLED":
                reason = "Cannot transition flows that are cancelling to a state other than Cancelled."
                return run["state"], "REJECT", reason
            if not force and current == "SCHEDULED" and wanted == "CANCELLING":
                state = self._put(run, {"type": "CANCELLED"})
                return state, "REJECT", "Scheduled flow run has no infrastructure to terminate."
            return self._put(run, proposed), "ACCEPT", ""

    def run(self, flow_run_id: str) -> Document:
        """The run's document; raises Refusal (404)."""
        run = self.flow_runs.get(flow_run_id)
        if run is None:
            raise Refusal(404, "Flow run not found")
        return run

    def label(self, flow_run_id: str, labels: Mapping[str, Any]) -> None:
        """Write labels on a run, over those of the same names; raises Refusal (404)."""
        with self.lock:
            self.run(flow_run_id)["labels"] |= labels

    def delete(self, flow_run_id: str) -> None:
        """Forget a run with its log and its artifacts; raises Refusal (404)."""
        with self.lock:
            del self.flow_runs[self.run(flow_run_id)["id"]]
            self.logs = [each for each in self.logs if each["flow_run_id"] != flow_run_id]
            self.artifacts = [each for each in self.artifacts if each["flow_run_id"] != flow_run_id]

    def log(self, flow_run_id: str, level: int, message: str) -> None:
        """A line in the run's log."""
        with self.lock:
            self.logs.append(
                _stored(
                    name="prefect.flow_runs",
                    level=level,
                    message=message,
                    timestamp=_now(),
                    flow_run_id=self.run(flow_run_id)["id"],
                    task_run_id=None,
                )
            )

    def begin_task(self, flow_run_id: str, name: str, state_type: str, child_id: str | None = None) -> str:
        """A task run of that name within the run, or the place of the flow run `child_id`; gives its id."""
        with self.lock:
            ended = state_type in TERMINAL_TYPES
            document = _stored(
                name=name,
                flow_run_id=self.run(flow_run_id)["id"],
                state_type=state_type,
                state_name=state_type.title(),
                expected_start_time=_now(),
                start_time=None if state_type in {"SCHEDULED", "PENDING"} else _now(),
                end_time=_now() if ended else None,
            )
            self.task_runs[document["id"]] = document
            if child_id is not None:
                self.run(child_id)["parent_task_run_id"] = document["id"]
            return str(document["id"])

    def pause(self, deployment_id: str, *, paused: bool) -> None:
        """Let the deployment's schedules rest or go on; raises Refusal (404)."""
        with self.lock:
            if deployment_id not in self.deployments:
                raise Refusal(404, "Deployment not found")
            self.deployments[deployment_id]["paused"] = paused

    def children(self, flow_run_ids: Iterable[str]) -> set[str]:
        """The ids of the runs that these have begun."""
        wanted = set(flow_run_ids)
        places = {each["id"] for each in self.task_runs.values() if each["flow_run_id"] in wanted}
        return {run["id"] for run in self.flow_runs.values() if run["parent_task_run_id"] in places}

    def publish(self, flow_run_id: str, result: Mapping[str, Any], key: str = RESULT_ARTIFACT_KEY) -> None:
        """An artifact of the run; by default its result."""
        with self.lock:
            run_id = self.run(flow_run_id)["id"]
            self.artifacts.append(_stored(key=key, type="result", data=dict(result), flow_run_id=run_id))

    def attend(self, work_pool: str, name: str, *, status: str, last_heartbeat: datetime) -> None:
        """A worker that has polled a pool."""
        with self.lock:
            self.pool(work_pool)
            workers = self.workers[work_pool]
            workers[:] = [each for each in workers if each["name"] != name]
            workers.append(_stored(name=name, status=status, last_heartbeat_time=_stamp(last_heartbeat)))

    def rows(self, documents: Iterable[Document]) -> list[Document]:
        """Copies of documents as they stand together at one moment."""
        with self.lock:
            return [_timed(deepcopy(document)) for document in documents]

    def _put(self, run: Document, proposed: Mapping[str, Any]) -> Document:
        """The run is in this state now, and an event says so."""
        kind, before = proposed["type"], run["state"]
        name = proposed.get("name") or kind.title()
        now = _now()
        state = {"id": str(uuid4()), "type": kind, "name": name, "message": proposed.get("message"), "timestamp": now}
        run["total_run_time"] = _timed(run)["estimated_run_time"]
        run |= {"state": state, "state_id": state["id"], "state_type": kind, "state_name": name, "updated": now}
        if kind == "RUNNING":
            run["run_count"] += 1
        if kind == "RUNNING" or kind in TERMINAL_TYPES:
            run["start_time"] = run["start_time"] or now
        run["end_time"] = now if kind in TERMINAL_TYPES else None
        run["next_scheduled_start_time"] = now if kind == "SCHEDULED" else None
        event = deepcopy(self._event(run, before))
        self.events.append(event)
        for listener in tuple(self.listeners):
            listener(event)
        return state

    def _event(self, run: Document, before: Document | None) -> Document:
        state, deployment = run["state"], self.deployments[run["deployment_id"]]
        related = [
            _resource(f"prefect.flow.{run['flow_id']}", "flow", self.flows[run["flow_id"]]["name"]),
            _resource(f"prefect.deployment.{deployment['id']}", "deployment", deployment["name"]),
        ]
        related += [_resource(f"prefect.tag.{tag}", "tag") for tag in sorted(run["tags"])]
        return {
            "id": state["id"],
            "event": f"prefect.flow-run.{state['name']}",
            "occurred": state["timestamp"],
            "received": state["timestamp"],
            "follows": before["id"] if before else None,
            "resource": {
                "prefect.resource.id": f"prefect.flow-run.{run['id']}",
                "prefect.resource.name": run["name"],
                "prefect.run-count": str(run["run_count"]),
                "prefect.state-message": state["message"] or "",
                "prefect.state-name": state["name"],
                "prefect.state-timestamp": state["timestamp"].replace("Z", "+00:00"),
                "prefect.state-type": state["type"],
            },
            "related": related,
            "payload": {
                "intended": {"from": before["type"] if before else None, "to": state["type"]},
                "initial_state": {"type": before["type"], "name": before["name"]} if before else None,
                "validated_state": {"type": state["type"], "name": state["name"]},
            },
        }


def _new_run(deployment: Document, asked: Mapping[str, Any], parameters: Mapping[str, Any], *, number: int) -> Document:
    now = _now()
    prefects_own = {"prefect.flow.id": deployment["flow_id"], "prefect.deployment.id": deployment["id"]}
    return _stored(
        name=asked.get("name") or f"fake-run-{number}",
        flow_id=deployment["flow_id"],
        deployment_id=deployment["id"],
        parameters=parameters,
        idempotency_key=asked.get("idempotency_key"),
        tags=list(dict.fromkeys([*deployment["tags"], *(asked.get("tags") or [])])),
        labels={**prefects_own, **(asked.get("labels") or {})},
        work_pool_name=deployment["work_pool_name"],
        work_queue_name=deployment["work_queue_name"],
        job_variables=dict(asked.get("job_variables") or {}),
        parent_task_run_id=None,
        run_count=0,
        expected_start_time=now,
        next_scheduled_start_time=now,
        start_time=None,
        end_time=None,
        total_run_time=0.0,
        estimated_run_time=0.0,
        auto_scheduled=False,
        state=None,
        state_id=None,
        state_type=None,
        state_name=None,
    )


def _timed(document: Document) -> Document:
    """The document; a flow run's with the seconds that it has run until now."""
    if "total_run_time" in document:
        document["estimated_run_time"] = document["total_run_time"]
        if document["state_type"] == "RUNNING":
            begun = datetime.fromisoformat(document["state"]["timestamp"])
            document["estimated_run_time"] += (datetime.now(UTC) - begun).total_seconds()
    return document


def _resource(resource_id: str, role: str, name: str | None = None) -> dict[str, str]:
    resource = {"prefect.resource.id": resource_id, "prefect.resource.role": role}
    return {**resource, "prefect.resource.name": name} if name else resource


def _stored(**fields: Any) -> Document:
    now = _now()
    return {"id": str(uuid4()), "created": now, "updated": now, **fields}


def _now() -> str:
    return _stamp(datetime.now(UTC))


def _stamp(moment: datetime) -> str:
    """A time as Prefect writes it, always with its microseconds: as text it sorts as it does as a time."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
