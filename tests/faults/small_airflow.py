"""Just enough of an Airflow: one task instance, from its first attempt to its end, as Airflow 3.3 would lead it.

Owns the processes that work on it: what the scheduler and the supervisors do. Its row is `task_row`'s, XComs and state
store are `airflow_database`'s. Knows nothing of Prefect or of faults. Single-threaded: `step` does it all.
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

from tests.faults.airflow_database import Database
from tests.faults.children import Child
from tests.faults.clocks import Clock
from tests.faults.orders import PROCESSES, Order, carry_out
from tests.faults.task_row import TaskRow

RETRY_SECONDS = 0.7
RECREATION_SECONDS = 3.0
HEARTBEAT_SECONDS = 1.5
"""A worker or a triggerer that is silent for longer is given up."""
ENDS_OF_ATTEMPT = {"DeferTask", "SucceedTask", "RetryTask", "TaskState"}


@dataclass
class SmallAirflow:
    """One task instance. `story` tells what happened, with seconds since the beginning.

    `operator` is what the DAG file says now: the next try takes it from here.
    """

    operator: Mapping[str, Any]
    row: TaskRow
    connection: Mapping[str, object]
    run_id: str
    log: Path
    on_message: Callable[[Child, str, str], None] = lambda *_: None
    """Told of each message of a worker, "before" and "after" it takes effect."""
    clocks: Mapping[str, Clock] = field(default_factory=dict)
    """By kind of process, where it is not right."""
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
        self.database = Database(self.run_id, self.row)

    @property
    def state(self) -> str:
        return self.row.state

    @property
    def has_ended(self) -> bool:
        return self.row.has_ended

    def child(self, kind: str) -> Child | None:
        """The process of that kind that works on the task as it stands now."""
        return next((each for each in self.children if each.kind == kind and self._is_current(each)), None)

    def _is_current(self, child: Child) -> bool:
        return child.ti_id == self.row.ti_id and not child.given_up

    def tell(self, what: str) -> None:
        self.story.append(f"{time.monotonic() - self._began:6.2f} {what}")

    def step(self, seconds: float = 0.05) -> None:
        """Do what is due, then serve the children for at most so long."""
        now = time.monotonic()
        if self.state == "deleted" and now >= self._due and not self.children:
            self.tell("the DAG run is created again")
            self.row.create_again()
        if self.state in {"scheduled", "up_for_retry"} and now >= self._due:
            self._start_worker()
        if self.state == "deferred" and self.child("triggerer") is None and now >= self._due:
            self._start_triggerer()
        for child in list(self.children):
            if child.stalled_at is not None:
                self._miss(child, now)
                continue
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
        pipes = {child.pipe: child for child in self.children if child.stalled_at is None}
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

    def set_by_hand(self, state: str, heeds_seconds: float = 0.0) -> None:
        """A person marks the task as failed or a success; whoever works on it hears of that so many seconds later."""
        self.tell(f"a person marks the task as {state} while it is {self.state}")
        before, self.row.state = self.state, state
        self._end_children(before, heeds_seconds)

    def clear(self, heeds_seconds: float = 0.0) -> None:
        """A person clears the task, whatever it is doing; whoever works on it hears of that after so many seconds."""
        self.tell(f"a person clears the task while it is {self.state}")
        self._end_children(self.state, heeds_seconds)
        self.row.clear()
        self._resumption = None
        self._due = time.monotonic() + RETRY_SECONDS

    def make_dag_run_anew(self, heeds_seconds: float = 0.0) -> None:
        """A person deletes the DAG run, with its XComs, and creates it again when everybody has heard of that."""
        self.tell(f"a person deletes the DAG run while the task is {self.state}")
        self._end_children(self.state, heeds_seconds)
        self.database.delete()
        self._resumption = None
        self._due = time.monotonic() + heeds_seconds + RECREATION_SECONDS

    def redistribute(self) -> None:
        """Airflow moves the trigger to another triggerer and, as 3.3.2 does, the one that loses it calls `on_kill`."""
        child = self.child("triggerer")
        if child is not None:
            self.tell("the trigger is redistributed")
            child.given_up = True
            child.end_at = 0.0

    def stall(self, child: Child) -> None:
        """The machine of that process stands still."""
        self.tell(f"{child.kind} {child.number} stands still")
        child.stall()

    def wake(self, child: Child, heeds_seconds: float = 0.0) -> None:
        """It goes on; if the task is not its own any more, it hears of that after so many seconds."""
        self.tell(f"{child.kind} {child.number} goes on, {'as before' if self._is_current(child) else 'given up'}")
        child.wake()
        if child.unheard is not None:
            message, child.unheard = child.unheard, None
            self._take(child, message)
        if self._is_current(child) and not self.has_ended:
            return
        if child.kind == "worker":
            child.term_at = child.term_at or time.monotonic() + heeds_seconds
        else:
            child.end_at = child.end_at or time.monotonic() + heeds_seconds

    def shut_down(self) -> None:
        """Kill what is left."""
        for child in self.children:
            child.kill()
            child.process.join()
        self.children.clear()

    def _end_children(self, before: str, heeds_seconds: float) -> None:
        for child in self.children:
            if child.ti_id != self.row.ti_id:
                continue
            if child.kind == "worker" and before == "running":
                child.term_at = time.monotonic() + heeds_seconds
                if not heeds_seconds and child.stalled_at is None:
                    child.terminate()
            elif child.kind == "triggerer":
                child.end_at = time.monotonic() + heeds_seconds

    def _miss(self, child: Child, now: float) -> None:
        """Give a process up that has been silent for too long, as the scheduler does."""
        assert child.stalled_at is not None
        if child.given_up or now < child.stalled_at + HEARTBEAT_SECONDS:
            return
        is_current = self._is_current(child)
        child.given_up = True
        if child.kind == "worker" and child.number == self.started["worker"] - 1:
            if self.state == "restarting":
                self.row.restart(heard_of=False)
                self._due = now + RETRY_SECONDS
            elif self.state == "running" and is_current:
                self._lose_attempt(None)

    def _start_worker(self) -> None:
        is_resumption = self._resumption is not None
        cleared: tuple[str, ...] = ()
        if not is_resumption:
            self.row.begin_try()
            self.raised = None
            cleared = tuple(self.database.xcoms)
        method, kwargs = self._resumption or (None, None)
        self._resumption = None
        order = self._order(
            "worker",
            operator=self.operator,
            retries=self.row.retries,
            should_retry=self.row.should_retry,
            next_method=method,
            next_kwargs=kwargs,
            xcom_keys_to_clear=cleared,
        )
        self.row.state = "running"
        child = self._spawn("worker", order)
        how = "resumes" if is_resumption else f"makes attempt {self.row.try_number} of {self.row.max_tries + 1}"
        self.tell(f"worker {child.number} {how}")

    def _start_triggerer(self) -> None:
        child = self._spawn("triggerer", self._order("triggerer", trigger=self._deferral["trigger"]))
        child.deferral = self._deferral
        self.tell(f"triggerer {child.number} takes the trigger")

    def _order(self, kind: str, **more: Any) -> Order:
        return Order(
            ti_id=self.row.ti_id,
            run_id=self.run_id,
            map_index=self.row.map_index,
            try_number=self.row.try_number,
            max_tries=self.row.max_tries,
            dag_run_began=self.row.dag_run_began,
            clear_number=self.row.clear_number,
            clock=self.clocks.get(kind, Clock()),
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
        if child.stalled_at is None:
            self._take(child, message)
        else:
            child.unheard = message  # its supervisor stands still as well

    def _take(self, child: Child, message: dict[str, Any]) -> None:
        kind = message["type"]
        answer = self._answer(child, kind, message)
        if child.kind == "worker":
            self.on_message(child, "after", kind)
        with suppress(OSError):
            child.pipe.send(answer)

    def _answer(self, child: Child, kind: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """What Airflow's API and its supervisors make of a message."""
        if (answer := self.database.answer(kind, message)) is not None:
            return answer
        if kind in {"event", "trigger failed"}:
            self._fire(child, kind, message)
        elif not self._is_current(child) or (kind in ENDS_OF_ATTEMPT and self.state != "running"):
            return {"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": {"status_code": 409}}
        elif kind == "raised":
            self.raised = (message["kind"], message["text"])
            self.tell(f"it raised {message['kind']}: {message['text']}")
        elif kind in ENDS_OF_ATTEMPT:
            self._end_attempt(kind, message)
        return {"type": "OKResponse", "ok": True}

    def _end_attempt(self, kind: str, message: dict[str, Any]) -> None:
        if kind == "DeferTask":
            self.row.state, self.deferred_at, self._due = "deferred", time.monotonic(), 0.0
            kwargs = json.loads(json.dumps(message["trigger_kwargs"]))  # plain JSON, as the metadata database wants it
            self._deferral = {**message, "trigger": (message["classpath"], kwargs)}
        elif kind == "SucceedTask":
            self.row.state = "success"
        elif kind == "RetryTask":
            self._retry()
        else:
            self.row.state = str(message["state"])
        self.tell(f"the task is {self.state}")

    def _retry(self) -> None:
        self.row.retry()
        self._due = time.monotonic() + RETRY_SECONDS

    def _fire(self, child: Child, kind: str, message: dict[str, Any]) -> None:
        """What a trigger says counts while the task is deferred to that very trigger, whoever runs it."""
        if self.state != "deferred" or child.deferral is not self._deferral:
            return
        if kind == "trigger failed":
            self.tell(f"the trigger failed: {message['text']}")
            self._resume("__fail__", {"error": "Trigger failure", "traceback": [message["text"]]})
        elif message["ending"] is not None:
            self.database.xcoms |= message["xcoms"]
            self.row.state = message["ending"]
            self.tell(f"the trigger ends the task: {self.state}")
        else:
            self.tell(f"the trigger fires: {message['payload']}")
            kwargs = {**(self._deferral["next_kwargs"] or {}), "event": message["payload"]}
            self._resume(self._deferral["next_method"], kwargs)

    def _resume(self, method: str, kwargs: dict[str, Any]) -> None:
        self._resumption = (method, kwargs)
        self.row.state, self._due = "scheduled", time.monotonic()

    def _bury(self, child: Child) -> None:
        """A process has ended; what that means depends on what it left undone."""
        child.process.join()
        self.children.remove(child)
        code = child.process.exitcode
        if code != 0:
            self.tell(f"{child.kind} {child.number} is gone ({code})")
        if child.kind == "triggerer" or child.given_up or child.number != self.started["worker"] - 1:
            return
        if self.state == "restarting":
            self.row.restart(heard_of=True)
            self._due = time.monotonic() + RETRY_SECONDS
        elif self.state == "running":
            self._lose_attempt(code)

    def _lose_attempt(self, code: int | None) -> None:
        """The process left no word, which with exit code 0 is a success to Airflow; None where it is only silent."""
        if code == 0:
            self.row.state = "success"
        elif self.row.survives_a_loss:
            self._retry()
        else:
            self.row.state = "failed"
        self.tell(f"the task is {self.state}, its process left no word")


def _nothing(seconds: float) -> tuple[()]:
    time.sleep(seconds)
    return ()
