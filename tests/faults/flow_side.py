"""Prefect's side of a fault run: drives every flow run of the task to the end that the plan gives it.

Owns a thread and a direct connection, which meets no fault. Behaves as a worker and its flow do: it asks for each
state, and a run that is being cancelled is ended as cancelled. What it did is what the task is judged by.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx

from bridge.contracts import RESULT_ARTIFACT_KEY, SKIPPED_STATE_NAME
from bridge.verdict import LIVE_TYPES
from tests.faults.clocks import Clock
from tests.faults.flow_results import Published, published
from tests.faults.judgement import RunHistory, run_history
from tests.faults.plan import Ending, FlowShape, Plan, Redeployment
from tests.live_prefect import LivePrefect

FLOW, DEPLOYMENT = "faulty", "by-hand"
ODD_LEVELS = (20, 25, 0, 60)
LOOK_SECONDS = 0.3
SILENT_SECONDS = 1.0
"""How long a run that seems to have crashed says nothing."""
LAST_STATE: dict[Ending, tuple[str, str]] = {
    "completes": ("COMPLETED", "Completed"),
    "seems to crash": ("COMPLETED", "Completed"),
    "completes without a result": ("COMPLETED", "Completed"),
    "skips": ("COMPLETED", SKIPPED_STATE_NAME),
    "fails": ("FAILED", "Failed"),
    "crashes": ("CRASHED", "Crashed"),
    "is cancelled": ("CANCELLED", "Cancelled"),
}


def deploy(prefect: LivePrefect, name: str = DEPLOYMENT, required: str = "seed") -> None:
    """A deployment whose runs nobody takes up but this module; made anew under its name, it is as told now."""
    flow = prefect.request("POST", "/flows/", {"name": FLOW})
    schema = {"type": "object", "properties": {required: {"type": "integer"}}, "required": [required]}
    wanted = {"name": name, "flow_id": flow["id"], "parameter_openapi_schema": schema}
    prefect.request("POST", "/deployments/", {**wanted, "enforce_parameter_schema": True})


def redeploy(prefect: LivePrefect, name: str, how: Redeployment) -> None:
    """What becomes of a deployment while its runs live."""
    if how != "another schema":
        deployment = prefect.request("GET", f"/deployments/name/{FLOW}/{name}")
        prefect.request("DELETE", f"/deployments/{deployment['id']}")
    if how != "deleted":
        deploy(prefect, name, "year" if how == "another schema" else "seed")


@dataclass
class _Driven:
    """A run on its way; `held`: it ends only by being cancelled."""

    shape: FlowShape
    held: bool
    begins_at: float
    ends_at: float = 0.0
    has_crashed: bool = False
    reports_again_at: float | None = None


@dataclass
class FlowSide:
    """The runs that bear `tag`. `holding` keeps runs that appear from ending by themselves; `frozen` all of them."""

    prefect: LivePrefect
    plan: Plan
    tag: str
    holding: bool = False
    frozen: bool = False
    running_since: float | None = None
    cancelled: set[str] = field(default_factory=set)
    said: dict[str, list[str]] = field(default_factory=dict)
    """The lines of each run's log."""
    clock: Clock = field(default_factory=Clock)
    """That of the machine on which the flows run."""
    _published: dict[str, Published] = field(default_factory=dict)
    _driven: dict[str, _Driven] = field(default_factory=dict)
    _shaped: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        self._thread = threading.Thread(target=self._drive, name=f"flows of {self.tag}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def runs(self) -> list[dict[str, Any]]:
        """All runs of the task as they stand, oldest first."""
        wanted = {"flow_runs": {"tags": {"all_": [self.tag]}}, "limit": 200}
        found = self._ask("POST", "/flow_runs/filter", wanted)
        return sorted(found, key=lambda run: str(run["created"]))

    def states(self, flow_run_id: str) -> list[dict[str, Any]]:
        """The states that a run has been in, oldest first."""
        found = self._ask("GET", f"/flow_run_states/?flow_run_id={flow_run_id}")
        return sorted(found, key=lambda state: str(state["timestamp"]))

    def histories(self) -> list[RunHistory]:
        """All that there is to know of the runs, read past the bridge; oldest first."""
        nothing = Published("null")
        return [
            run_history(run, self.states(run["id"]), result.value, result.holds)
            for run in self.runs()
            for result in [self._published.get(run["id"], nothing)]
        ]

    def _ask(self, method: str, path: str, json: Any = None) -> Any:
        """The server's answer; while it is away it is asked again."""
        while True:
            try:
                return self.prefect.request(method, path, json)
            except httpx.TransportError:
                time.sleep(LOOK_SECONDS)

    def _drive(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            for run in self.runs():
                with suppress(httpx.HTTPStatusError):  # the run has just gone another way: look again
                    self._move(run)

    def release(self) -> None:
        """Let the runs that are held complete."""
        for driven in self._driven.values():
            driven.shape, driven.held = replace(driven.shape, ending="completes"), False

    def _move(self, run: Mapping[str, Any]) -> None:
        flow_run_id, state_type, now = run["id"], run["state_type"], time.monotonic()
        if flow_run_id not in self._driven:
            self._driven[flow_run_id] = self._shape(now)
        driven = self._driven[flow_run_id]
        if state_type == "CANCELLING":
            self._put(flow_run_id, "CANCELLED", "Cancelled", force=True)
        elif driven.reports_again_at is not None and state_type == "CRASHED" and now >= driven.reports_again_at:
            self._put(flow_run_id, "RUNNING", "Running", force=True)
            driven.reports_again_at, driven.ends_at = None, now
        elif self.frozen or state_type not in LIVE_TYPES:
            return
        elif state_type == "SCHEDULED" and now >= driven.begins_at and driven.shape.ending != "never starts":
            self._put(flow_run_id, "PENDING", "Pending")
        elif state_type == "PENDING":
            self._put(flow_run_id, "RUNNING", "Running")
            for level in ODD_LEVELS if self.plan.odd_levels else (20,):
                self._say(flow_run_id, f"{flow_run_id} speaks at level {level}", level)
            driven.ends_at = now + driven.shape.running_seconds
            self.running_since = self.running_since or now
        elif state_type == "RUNNING" and now >= driven.ends_at and not driven.held:
            if driven.shape.ending == "seems to crash" and not driven.has_crashed:
                self._put(flow_run_id, "CRASHED", "Crashed")
                driven.has_crashed, driven.reports_again_at = True, now + SILENT_SECONDS
            else:
                self._end(flow_run_id, driven.shape.ending)

    def _shape(self, now: float) -> _Driven:
        shape = self.plan.shape(self._shaped)
        if not self.holding:
            self._shaped += 1
        held = self.holding or shape.ending == "hangs"
        if held:
            shape = FlowShape("hangs", shape.pending_seconds, shape.running_seconds)
        return _Driven(shape, held, now + shape.pending_seconds)

    def _end(self, flow_run_id: str, ending: Ending) -> None:
        if ending in {"completes", "skips", "seems to crash"}:
            result = published(self.plan.result, self.plan.seed, flow_run_id)
            artifact = {"key": RESULT_ARTIFACT_KEY, "type": "result", "data": result.text, "flow_run_id": flow_run_id}
            self._ask("POST", "/artifacts/", artifact)
            self._published[flow_run_id] = result
        if ending == "is cancelled":
            self.cancelled.add(flow_run_id)
        if ending != "crashes":
            self._say(flow_run_id, f"Finished in state {LAST_STATE[ending][1]}()")
        self._put(flow_run_id, *LAST_STATE[ending])

    def _say(self, flow_run_id: str, message: str, level: int = 20) -> None:
        """A line of the run's log, at the time that the flow's machine shows."""
        line = {"flow_run_id": flow_run_id, "name": "prefect.flow_runs", "level": level, "message": message}
        shown = self.clock.shown(datetime.now(UTC)).isoformat()
        self._ask("POST", "/logs/", [{**line, "timestamp": shown}])
        if level >= logging.INFO:  # Airflow's own level, below which it writes nothing
            self.said.setdefault(flow_run_id, []).append(message)

    def _put(self, flow_run_id: str, state_type: str, name: str, *, force: bool = False) -> None:
        body = {"state": {"type": state_type, "name": name}, "force": force}
        self._ask("POST", f"/flow_runs/{flow_run_id}/set_state", body)
