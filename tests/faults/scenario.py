"""One fault run of the bridge alone: a task instance, its flow runs and the network between them, as a seed wants it.

Owns the order of events. The task lives in `small_airflow`, its flow runs in `flow_side`, the faults in `proxy`;
`judgement` has the last word.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx

from bridge.verdict import LIVE_TYPES
from tests.faults.children import Child
from tests.faults.flow_side import DEPLOYMENT, FLOW, FlowSide
from tests.faults.judgement import Finding, TaskHistory, judge_run, run_history
from tests.faults.plan import (
    CLIENT_TIMEOUT_SECONDS,
    CONSECUTIVE,
    CRASH_GRACE_SECONDS,
    RUN_TIMEOUT_SECONDS,
    START_TIMEOUT_SECONDS,
    Moment,
    Plan,
    PlannedFaults,
    WorkerDeath,
    make_plan,
)
from tests.faults.proxy import Exchange, FaultyProxy, Phase
from tests.faults.small_airflow import SmallAirflow
from tests.live_prefect import LivePrefect

PATIENCE_SECONDS = 400
"""A run that takes longer is stuck."""
ANSWER_SECONDS = 0.2
"""What Airflow's API server may take over a request; a process that is told to end meanwhile waits for the answer."""
REPLAYS = 3
QUIET_SECONDS = 3.0
"""After the task's end and that of its processes: what is still under way in the network has arrived by then."""

_servers = threading.Lock()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a seed; `account` is what a person reads when it failed."""

    seed: int
    findings: tuple[Finding, ...]
    seconds: float
    account: str = field(repr=False, default="")


def run_seed(seed: int, prefect: LivePrefect, folder: Path) -> Outcome:
    """Play the seed's plan against that server, whose flow side is deployed, and judge it."""
    began = time.monotonic()
    for _ in range(REPLAYS):
        scenario = Scenario(make_plan(seed), prefect, folder)
        findings = tuple(scenario.play())
        if not findings or not scenario.server_was_overwhelmed:
            break
        print(f"seed {seed:4} is played again: Prefect's own server did not keep up ({findings})", flush=True)
    return Outcome(seed, findings, time.monotonic() - began, scenario.account(findings))


class Scenario:
    """One plan while it is played."""

    def __init__(self, plan: Plan, prefect: LivePrefect, folder: Path) -> None:
        self.plan = plan
        self.prefect = prefect
        self.tag = f"seed-{plan.seed}-{uuid4().hex[:8]}"
        self.log = folder / f"{self.tag}.log"
        self.faults = _LethalFaults(plan, kill=self._on_request)
        self.proxy = FaultyProxy(prefect.port, self.faults)
        self.flows = FlowSide(prefect, plan, self.tag, holding=bool(plan.act and plan.act.ends_the_run))
        self._submitted_at: float | None = None
        self._attempted_at: float | None = None
        self._ended_at: float | None = None
        self._acted_at: datetime | None = None
        self._server_reborn: threading.Thread | None = None
        self._requests = (0, -1)
        """Requests of the worker process with that number."""

    def play(self) -> list[Finding]:
        """From the first attempt to the verdict."""
        with self.proxy:
            self.airflow = self._airflow()
            self.flows.start()
            try:
                self._until_the_end()
                self.flows.frozen = True
                self._settle()
                return self._judge()
            finally:
                self.flows.stop()
                self.airflow.shut_down()

    @property
    def server_was_overwhelmed(self) -> bool:
        """Whether Prefect itself refused or owed more than the plan did: its SQLite stays locked on a busy machine.

        What comes of that says nothing of the plan, whose faults end before the bridge's patience does.
        """
        refused = sum(exchange.status == httpx.codes.SERVICE_UNAVAILABLE for exchange in self.proxy.log)
        requests = [exchange for exchange in self.proxy.log if exchange.method != "SOCKET"]
        owed = any(exchange.status is None and exchange.fault.kind == "pass" for exchange in requests)
        return refused > CONSECUTIVE or owed

    def account(self, findings: tuple[Finding, ...]) -> str:
        """Plan, events, requests and the processes' last words."""
        words = self.log.read_text(errors="replace").splitlines()[-60:] if self.log.exists() else []
        return "\n".join(
            [
                f"seed {self.plan.seed} ({self.tag})",
                *(f"  {finding}" for finding in findings),
                f"  {self.plan}",
                *(f"  {line}" for line in self.airflow.story),
                *(f"  {exchange}" for exchange in self.proxy.log),
                *(f"  | {line}" for line in words),
            ]
        )

    def _airflow(self) -> SmallAirflow:
        operator = {
            "deployment": f"{FLOW}/{DEPLOYMENT}",
            "parameters": {"seed": self.plan.seed},
            "tags": [self.tag],
            "deferrable": self.plan.deferrable,
            "end_from_trigger": self.plan.end_from_trigger,
            "start_timeout_seconds": START_TIMEOUT_SECONDS if "never starts" in self.plan.endings else 600.0,
            "crash_grace_seconds": CRASH_GRACE_SECONDS,
            "stream_logs": self.plan.stream_logs,
            "run_timeout_seconds": RUN_TIMEOUT_SECONDS if "hangs" in self.plan.endings else None,
        }
        extra = {"timeout": CLIENT_TIMEOUT_SECONDS}
        connection = {"conn_type": "prefect", "host": "http://127.0.0.1", "port": self.proxy.port, "extra": extra}
        return SmallAirflow(operator, self.plan.retries, connection, self.tag, self.log, self._on_message)

    def _until_the_end(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.airflow.step()
            self._note()
            self._end_triggerer()
            self._act()
            self._end_server()
            if self.airflow.has_ended and not self._more_to_come():
                return

    def _note(self) -> None:
        now = time.monotonic()
        if self.airflow.started["worker"]:
            self._attempted_at = self._attempted_at or now
        if self.airflow.has_ended:
            self._ended_at = self._ended_at or now

    def _has_come(self, moment: Moment) -> bool:
        since = {
            "attempt": self._attempted_at,
            "submission": self._submitted_at,
            "message": None,
            "deferral": self.airflow.deferred_at,
            "running": self.flows.running_since,
            "end": self._ended_at,
        }[moment.after]
        return since is not None and time.monotonic() >= since + moment.seconds

    def _more_to_come(self) -> bool:
        act = self.plan.act
        reborn = self._server_reborn
        awaited = act is not None and act.moment.after == "end" and self._acted_at is None
        return awaited or (reborn is not None and reborn.is_alive())

    def _act(self, *, now: bool = False) -> None:
        act = self.plan.act
        if act is None or self._acted_at is not None or not (now or self._has_come(act.moment)):
            return
        if self.airflow.has_ended and act.moment.after != "end":
            return
        if act.kind == "redistribute" and self.airflow.child("triggerer") is None:
            return
        if act.kind == "fail" and not self.airflow.can_be_told:
            return
        self._acted_at = datetime.now(UTC)
        heeds_seconds = 0.0 if now else act.heeds_seconds
        if act.kind == "fail":
            self.faults.calm = True
            self.airflow.fail_by_hand(heeds_seconds)
        elif act.kind == "clear":
            self.flows.holding = False
            self.airflow.clear(heeds_seconds)
        else:
            self.airflow.redistribute()

    def _end_triggerer(self) -> None:
        child = self.airflow.child("triggerer")
        if child is None or self.airflow.state != "deferred" or child.number >= len(self.plan.triggerer_deaths):
            return
        if time.monotonic() >= child.started_at + self.plan.triggerer_deaths[child.number]:
            self.airflow.tell(f"triggerer {child.number} is killed")
            child.kill()

    def _end_server(self) -> None:
        death = self.plan.server_death
        if death is None or self._server_reborn is not None or not self._has_come(death.moment):
            return
        self.airflow.tell("Prefect's server is killed")
        self._server_reborn = threading.Thread(target=self._bear_server_again, args=(death.away_seconds,))
        self._server_reborn.start()

    def _bear_server_again(self, away_seconds: float) -> None:
        with _servers:
            self.prefect.kill()
            time.sleep(away_seconds)
            self.prefect.start()

    def _on_request(self, exchange: Exchange, phase: Phase) -> None:
        """In the proxy's thread."""
        if phase == "arrived" and exchange.path.endswith("/create_flow_run"):
            self._submitted_at = self._submitted_at or time.monotonic()
        child = self.airflow.child("worker")
        if child is None:
            return
        count, number = self._requests
        if phase == "arrived":
            self._requests = (count + 1 if number == child.number else 1, child.number)
        for death in self.plan.worker_deaths:
            if (death.process, death.phase, death.count) == (child.number, phase, self._requests[0]):
                self._end_worker(child, death)

    def _on_message(self, child: Child, moment: str, message: str) -> None:
        act = self.plan.act
        if act is not None and (act.moment.after, message, moment) == ("message", "SetXCom", "before"):
            self._act(now=True)
            time.sleep(ANSWER_SECONDS)
        for death in self.plan.worker_deaths:
            if death.message == message and death.process == child.number and death.before == (moment == "before"):
                self._end_worker(child, death)

    def _end_worker(self, child: Child, death: WorkerDeath) -> None:
        """Not while it heeds a person's act: what -9 then leaves undone, Airflow never asks for again."""
        if not self.faults.calm:
            self.airflow.tell(f"worker {child.number} is killed: {death}")
            child.kill()

    def _settle(self) -> None:
        """Wait until nothing of the task's is under way: no process, then no live run or a while of quiet."""
        deadline, quiet_since = time.monotonic() + PATIENCE_SECONDS, time.monotonic()
        while time.monotonic() < deadline:
            self.airflow.step()
            if self.airflow.children:
                quiet_since = time.monotonic()
                continue
            at_rest = self.airflow.state != "failed" and not self._any_lives()
            if at_rest or time.monotonic() > quiet_since + QUIET_SECONDS:
                return

    def _any_lives(self) -> bool:
        return any(run["state_type"] in LIVE_TYPES for run in self.flows.runs())

    def _judge(self) -> list[Finding]:
        runs = [
            run_history(run, self.flows.states(run["id"]), self.flows.result(run["id"])) for run in self.flows.runs()
        ]
        airflow, act = self.airflow, self.plan.act
        kind = act.kind if act and self._acted_at else None
        task = TaskHistory(
            state=airflow.state,
            xcom=airflow.xcoms.get("return_value"),
            attempts_left=airflow.try_number <= airflow.max_tries,
            error=": ".join(airflow.raised or ()),
            failed_by_hand_at=self._acted_at if kind == "fail" else None,
            cleared_at=self._acted_at if kind == "clear" else None,
            cancelled_elsewhere=frozenset(self.flows.cancelled),
            has_deadlines=bool(self.plan.endings & {"never starts", "hangs"}),
        )
        return judge_run(task, runs)


class _LethalFaults(PlannedFaults):
    """The network of a plan, of which each request may be the death of who sent it."""

    def __init__(self, plan: Plan, kill: Callable[[Exchange, Phase], None]) -> None:
        super().__init__(plan)
        self._kill = kill

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        self._kill(exchange, phase)
