"""Just enough of an Airflow: one task instance, from its first attempt to its end, as Airflow 3.3 would lead it.

Owns the task instance's state, its tries and its XComs, and the processes that work on it: what the scheduler, the
metadata database and the supervisors do. Knows nothing of Prefect or of faults. Single-threaded: `step` does it all.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from tests.faults.children import Child
from tests.faults.orders import PROCESSES, TASK_ID, Order, carry_out

RETRY_SECONDS = 0.7
ENDS = {"success", "skipped", "failed"}
ENDS_OF_ATTEMPT = {"DeferTask", "SucceedTask", "RetryTask", "TaskState"}


@dataclass
class SmallAirflow:
    """One task instance. `state` is Airflow's word; `story` tells what happened, with seconds since the beginning."""

    operator: Mapping[str, Any]
    retries: int
    connection: Mapping[str, object]
    run_id: str
    log: Path
    on_message: Callable[[Child, str, str], None] = lambda *_: None
    """Told of each message of a worker, "before" and "after" it takes effect."""
    state: str = "scheduled"
    try_number: int = 0
    max_tries: int = 0
    ti_id: UUID = field(default_factory=uuid4)
    xcoms: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)
    raised: tuple[str, str] | None = None
    story: list[str] = field(default_factory=list)
    children: list[Child] = field(default_factory=list)
    started: dict[str, int] = field(default_factory=lambda: {"worker": 0, "triggerer": 0})
    deferred_at: float | None = None
    _due: float = 0.0
    _resumption: tuple[str, dict[str, Any]] | None = None
    _deferral: dict[str, Any] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.max_tries = self.retries

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS

    def child(self, kind: str) -> Child | None:
        """The process of that kind that works on the task as it stands now."""
        return next((each for each in self.children if each.kind == kind and each.ti_id == self.ti_id), None)

    def tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.2f} {what}")

    def step(self, seconds: float = 0.05) -> None:
        """Do what is due, then serve the children for at most so long."""
        now = time.monotonic()
        if self.state in {"scheduled", "up_for_retry"} and now >= self._due:
            self._start_worker()
        if self.state == "deferred" and self.child("triggerer") is None and now >= self._due:
            self._start_triggerer()
        for child in self.children:
            if child.term_at is not None and now >= child.term_at:
                child.terminate()
            if child.kill_at is not None and now >= child.kill_at:
                self.tell(f"{child.kind} {child.number} did not heed SIGTERM and is killed")
                child.kill_at = None
                child.kill()
            if child.end_at is not None and now >= child.end_at:
                child.end_at = None
                with suppress(OSError):
                    child.orders.send("end")
        pipes = {child.pipe: child for child in self.children}
        for pipe in wait(list(pipes), timeout=seconds) if pipes else _nothing(seconds):
            self._serve(pipes[pipe])

    @property
    def can_be_told(self) -> bool:
        """Whether a process is there that Airflow would tell of a person's act.

        Between two attempts there is none, nor while a process is only starting, nor while Airflow has yet to notice
        that one was killed. A process that has just asked how the task stands is about to defer it, and would never be
        told.
        """
        kind = {"running": "worker", "deferred": "triggerer"}.get(self.state)
        child = self.child(kind) if kind else None
        if child is None or child.killed or child.last_message == "GetTaskStates":
            return False
        return kind == "triggerer" or child.heeds

    def fail_by_hand(self, heeds_seconds: float = 0.0) -> None:
        """A person marks the task as failed; whoever works on it hears of that after so many seconds."""
        self.tell(f"a person marks the task as failed while it is {self.state}")
        before, self.state = self.state, "failed"
        self._end_children(before, heeds_seconds)

    def clear(self, heeds_seconds: float = 0.0) -> None:
        """A person clears the task, whatever it is doing; whoever works on it hears of that after so many seconds."""
        self.tell(f"a person clears the task while it is {self.state}")
        before = self.state
        self._end_children(before, heeds_seconds)
        if before == "running":
            self.state = "restarting"  # afresh, once its process has ended
        else:
            self._afresh()
        self.ti_id = uuid4()

    def redistribute(self) -> None:
        """Airflow moves the trigger to another triggerer and, as 3.3.2 does, the one that loses it calls `on_kill`."""
        child = self.child("triggerer")
        if child is not None:
            self.tell("the trigger is redistributed")
            child.ti_id = uuid4()  # not the task's any more
            child.end_at = 0.0

    def shut_down(self) -> None:
        """Kill what is left."""
        for child in self.children:
            child.kill()
            child.process.join()
        self.children.clear()

    def _end_children(self, before: str, heeds_seconds: float) -> None:
        for child in self.children:
            if child.kind == "worker" and before == "running" and child.ti_id == self.ti_id:
                child.term_at = time.monotonic() + heeds_seconds
                if not heeds_seconds:
                    child.terminate()
            elif child.kind == "triggerer" and child.ti_id == self.ti_id:
                child.end_at = time.monotonic() + heeds_seconds

    def _afresh(self) -> None:
        self.max_tries = self.try_number + self.retries
        self._resumption = None
        self._schedule("scheduled", RETRY_SECONDS)

    def _schedule(self, state: str, seconds: float) -> None:
        self.state, self._due = state, time.monotonic() + seconds

    def _start_worker(self) -> None:
        is_resumption = self._resumption is not None
        cleared: tuple[str, ...] = ()
        if not is_resumption:
            self.try_number, self.ti_id = self.try_number + 1, uuid4()
            self.raised = None
            cleared = tuple(self.xcoms)
        method, kwargs = self._resumption or (None, None)
        self._resumption = None
        order = self._order(
            operator=self.operator,
            retries=self.retries,
            should_retry=self.max_tries != 0 and self.try_number <= self.max_tries,
            next_method=method,
            next_kwargs=kwargs,
            xcom_keys_to_clear=cleared,
        )
        self.state = "running"
        child = self._spawn("worker", order)
        how = "resumes" if is_resumption else f"makes attempt {self.try_number} of {self.max_tries + 1}"
        self.tell(f"worker {child.number} {how}")

    def _start_triggerer(self) -> None:
        child = self._spawn("triggerer", self._order(trigger=self._deferral["trigger"]))
        self.tell(f"triggerer {child.number} takes the trigger")

    def _order(self, **more: Any) -> Order:
        return Order(
            ti_id=self.ti_id,
            run_id=self.run_id,
            try_number=self.try_number,
            max_tries=self.max_tries,
            connection=self.connection,
            log=self.log,
            **more,
        )

    def _spawn(self, kind: str, order: Order) -> Child:
        ours, theirs = PROCESSES.Pipe()
        heard, orders = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=carry_out, args=(theirs, heard, order), daemon=True)
        process.start()
        theirs.close()
        heard.close()
        child = Child(kind, self.started[kind], order.ti_id, process, ours, orders)
        self.started[kind] += 1
        self.children.append(child)
        return child

    def _serve(self, child: Child) -> None:
        try:
            message = child.pipe.recv()
        except (EOFError, OSError):
            self._bury(child)
            return
        kind = child.last_message = message["type"]
        if child.kind == "worker":
            child.heeds = True
            self.on_message(child, "before", kind)
        answer = self._answer(child, kind, message)
        if child.kind == "worker":
            self.on_message(child, "after", kind)
        with suppress(OSError):
            child.pipe.send(answer)

    def _answer(self, child: Child, kind: str, message: dict[str, Any]) -> dict[str, Any] | None:
        if kind == "GetTaskStates":
            return {"type": "TaskStatesResult", "task_states": {self.run_id: {TASK_ID: self.state}}}
        if kind in {"GetXCom", "GetTaskStateStore"}:
            return self._read(kind, message["key"])
        if child.ti_id != self.ti_id or (kind in ENDS_OF_ATTEMPT and self.state != "running"):
            return {"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": {"status_code": 409}}
        if kind == "SetXCom":
            self.xcoms[message["key"]] = message["value"]
        elif kind == "DeleteXCom":
            self.xcoms.pop(message["key"], None)
        elif kind == "SetTaskStateStore":
            self.store[message["key"]] = message["value"]
        elif kind == "raised":
            self.raised = (message["kind"], message["text"])
            self.tell(f"it raised {message['kind']}: {message['text']}")
        elif kind in ENDS_OF_ATTEMPT:
            self._end_attempt(kind, message)
        elif kind in {"event", "trigger failed"}:
            self._fire(kind, message)
        return {"type": "OKResponse", "ok": True}

    def _read(self, kind: str, key: str) -> dict[str, Any]:
        if kind == "GetXCom":
            return {"type": "XComResult", "key": key, "value": self.xcoms.get(key)}
        if key in self.store:
            return {"type": "TaskStateStoreResult", "value": self.store[key]}
        return {"type": "ErrorResponse", "error": "TASK_STORE_NOT_FOUND", "detail": {}}

    def _end_attempt(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "DeferTask":
            self.state, self.deferred_at, self._due = "deferred", time.monotonic(), 0.0
            kwargs = json.loads(json.dumps(message["trigger_kwargs"]))  # plain JSON, as the metadata database wants it
            self._deferral = {**message, "trigger": (message["classpath"], kwargs)}
        elif kind == "SucceedTask":
            self.state = "success"
        elif kind == "RetryTask":
            self._schedule("up_for_retry", RETRY_SECONDS)
        else:
            self.state = str(message["state"])
        self.tell(f"the task is {self.state}")

    def _fire(self, kind: str, message: dict[str, Any]) -> None:
        if self.state != "deferred":
            return
        if kind == "trigger failed":
            self.tell(f"the trigger failed: {message['text']}")
            self._resumption = ("__fail__", {"error": "Trigger failure", "traceback": [message["text"]]})
            self._schedule("scheduled", 0.0)
        elif message["ending"] is not None:
            self.xcoms |= message["xcoms"]
            self.state = message["ending"]
            self.tell(f"the trigger ends the task: {self.state}")
        else:
            self.tell(f"the trigger fires: {message['payload']}")
            kwargs = {**(self._deferral["next_kwargs"] or {}), "event": message["payload"]}
            self._resumption = (self._deferral["next_method"], kwargs)
            self._schedule("scheduled", 0.0)

    def _bury(self, child: Child) -> None:
        """A process has ended; what that means depends on what it left undone."""
        child.process.join()
        self.children.remove(child)
        code = child.process.exitcode
        if code != 0:
            self.tell(f"{child.kind} {child.number} is gone ({code})")
        if child.kind == "triggerer" or child.number != self.started["worker"] - 1:
            return
        if self.state == "restarting":
            self._afresh()
        elif self.state == "running":
            self._lose_attempt(code)

    def _lose_attempt(self, code: int) -> None:
        """The process ended without saying how: a success where its exit code is 0, as Airflow takes it."""
        if code == 0:
            self.state = "success"
        elif self.retries and self.try_number <= self.max_tries:
            self._schedule("up_for_retry", RETRY_SECONDS)
        else:
            self.state = "failed"
        self.tell(f"the task is {self.state}, its process left no word")


def _nothing(seconds: float) -> tuple[()]:
    time.sleep(seconds)
    return ()
