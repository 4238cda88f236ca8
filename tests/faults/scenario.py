"""One fault run of the bridge alone: a task instance, its flow runs and the network between them, as a seed wants it.

Owns the order of events and people's acts. The task lives in `small_airflow`, its flow runs in `flow_side`; what
befalls them is the business of `mishaps` and `proxy`. `judgement` has the last word.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx

from bridge.verdict import LIVE_TYPES
from tests.faults.children import Child
from tests.faults.clocks import Clock
from tests.faults.faults import Exchange, Phase
from tests.faults.flow_side import DEPLOYMENT, FlowSide, deploy
from tests.faults.judgement import Finding, RunHistory, Surroundings, TaskHistory, judge_run
from tests.faults.kinds import make_plan
from tests.faults.mishaps import Mishaps
from tests.faults.network import CONSECUTIVE, PlannedFaults
from tests.faults.plan import Moment, PersonsAct, Plan
from tests.faults.proxy import FaultyProxy
from tests.faults.scene import airflow_of, clocks_of
from tests.live_prefect import LivePrefect

PATIENCE_SECONDS = 400
"""A run that takes longer is stuck."""
ANSWER_SECONDS = 0.2
"""What Airflow's API server may take over a request; a process that is told to end meanwhile waits for the answer."""
REPLAYS = 3
QUIET_SECONDS = 3.0
"""After the task's end and that of its processes, with nothing under way in the network."""
RELEASE_SECONDS = 10.0
WISH_SECONDS = 25.0
"""Longer than a wish to cancel takes to be fulfilled by a process that the task has left behind."""


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
        self.faults = _WatchedFaults(plan, watch=self._on_request)
        self.proxy = FaultyProxy(prefect.port, self.faults)
        self.flows = FlowSide(prefect, plan, self.tag)
        self._moments: dict[str, float] = {}
        self._acted: list[tuple[PersonsAct, datetime]] = []
        self._neighbour: FlowSide | None = None

    def play(self) -> list[Finding]:
        """From the first attempt to the verdict."""
        with self.proxy:
            self._set_the_scene()
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
                *(f"  | {line:.400}" for line in words),
            ]
        )

    def _set_the_scene(self) -> None:
        clocks = clocks_of(self.plan, datetime.now(UTC))
        self.proxy.clock = clocks.pop("Prefect", Clock())
        self.flows.clock = clocks.pop("flow", Clock())
        self.flows.holding = self._holds
        deployment = DEPLOYMENT
        if self.plan.edits or self.plan.redeployment:
            deployment = f"{DEPLOYMENT}-{self.tag}"
            deploy(self.prefect, deployment)
            deploy(self.prefect, f"{deployment}-too")
        if self.plan.map_index >= 0:
            self._start_neighbour(deployment)
        self.airflow = airflow_of(self.plan, deployment, self.proxy.port, self.tag, self.log)
        self.airflow.clocks = clocks
        self.airflow.on_message = self._on_message
        self.mishaps = Mishaps(self.plan, self.prefect, self.proxy, self.airflow, deployment, self._has_come)

    def _start_neighbour(self, deployment: str) -> None:
        """A run of another member of the same mapped task, which goes on throughout."""
        member = replace(self.plan, wait=False, map_index=self.plan.map_index + 1)
        neighbour = airflow_of(member, deployment, self.prefect.port, self.tag, self.log)
        tag = f"{self.tag}-neighbour"
        neighbour.operator = {**neighbour.operator, "tags": [tag]}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not neighbour.has_ended and time.monotonic() < deadline:
            neighbour.step()
        neighbour.shut_down()
        self._neighbour = FlowSide(self.prefect, self.plan, tag)

    def _until_the_end(self) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self._step()
            if self.airflow.has_ended and not self._more_to_come():
                return

    def _step(self) -> None:
        self.airflow.step()
        self._note()
        self.mishaps.step()
        self._edit()
        self._act()
        self._release()

    def _note(self) -> None:
        now = time.monotonic()
        if self.airflow.started["worker"]:
            self._moments.setdefault("attempt", now)
        if self.airflow.has_ended:
            self._moments.setdefault("end", now)
        else:
            self._moments.pop("end", None)
        if self.airflow.deferred_at is not None:
            self._moments["deferral"] = self.airflow.deferred_at
        if self.flows.running_since is not None:
            self._moments["running"] = self.flows.running_since

    def _has_come(self, moment: Moment) -> bool:
        since = self._moments.get(moment.after)
        return since is not None and time.monotonic() >= since + moment.seconds

    @property
    def _next_act(self) -> PersonsAct | None:
        left = self.plan.acts[len(self._acted) :]
        return left[0] if left else None

    @property
    def _holds(self) -> bool:
        """Whether runs that appear now go on until somebody ends them."""
        act = self._next_act
        is_set = any(act.kind in {"fail", "succeed"} for act, _ in self._acted)
        outlives = act is not None and (act.ends_the_run or "lost, then cleared" in self.plan.kinds)
        return not self.plan.wait or is_set or outlives

    def _more_to_come(self) -> bool:
        act = self._next_act
        return (act is not None and act.moment.after == "end") or self.mishaps.more_to_come

    def _act(self, *, now: bool = False) -> None:
        act = self._next_act
        if act is None or not (now or self._has_come(act.moment)):
            return
        if self.airflow.has_ended and act.moment.after != "end":
            return
        if act.kind == "redistribute" and self.airflow.child("triggerer") is None:
            return
        if act.kind in {"fail", "succeed"} and not self.airflow.can_be_told:
            return
        self._acted.append((act, datetime.now(UTC)))
        self.flows.holding = self._holds
        heeds_seconds = 0.0 if now else act.heeds_seconds
        if act.kind in {"fail", "succeed"}:
            self.faults.calm = self.mishaps.calm = True
            self.airflow.set_by_hand("failed" if act.kind == "fail" else "success", heeds_seconds)
        elif act.kind == "clear":
            self.airflow.clear(heeds_seconds)
        elif act.kind == "make anew":
            self.airflow.make_dag_run_anew(heeds_seconds)
        else:
            self.airflow.redistribute()
        self._moments.pop("end", None)

    def _release(self) -> None:
        """A task that was to lose sight of its run, and has not, goes on to its end."""
        back_at, acts = self.mishaps.back_at, self.plan.acts
        waits_for_the_end = bool(acts) and acts[0].moment.after == "end" and not self.airflow.has_ended
        if waits_for_the_end and back_at is not None and time.monotonic() > back_at + RELEASE_SECONDS:
            self.flows.holding = False
            self.flows.release()

    def _edit(self) -> None:
        """The DAG file as it is by now."""
        for edit in self.plan.edits:
            if self.airflow.row.try_number >= edit.after_tries:
                if edit.retries is not None:
                    self.airflow.row.retries = edit.retries
                if edit.other_deployment and not self.airflow.operator["deployment"].endswith("-too"):
                    other = f"{self.airflow.operator['deployment']}-too"
                    self.airflow.operator = {**self.airflow.operator, "deployment": other}

    def _on_request(self, exchange: Exchange, phase: Phase) -> None:
        """In the proxy's thread."""
        if phase == "arrived" and exchange.path.endswith("/create_flow_run"):
            self._moments.setdefault("submission", time.monotonic())
        self.mishaps.on_request(phase)

    def _on_message(self, child: Child, moment: str, message: str) -> None:
        act = self._next_act
        if act is not None and (act.moment.after, message, moment) == ("message", "SetXCom", "before"):
            self._act(now=True)
            time.sleep(ANSWER_SECONDS)
        self.mishaps.on_message(child, moment, message)

    def _settle(self) -> None:
        """Wait until nothing is under way: no process, no request, then no live run or a while of quiet."""
        deadline, quiet_since = time.monotonic() + PATIENCE_SECONDS, time.monotonic()
        while time.monotonic() < deadline:
            self._step()
            if self.airflow.children or self.mishaps.more_to_come or self.proxy.is_busy:
                quiet_since = time.monotonic()
                continue
            quiet, lives = time.monotonic() - quiet_since, self._any_lives()
            at_rest = self.airflow.state != "failed" and not lives
            if at_rest or quiet > (WISH_SECONDS if lives else QUIET_SECONDS):
                return

    def _any_lives(self) -> bool:
        """Whether a run goes on that should not."""
        runs = self.flows.runs() if self.plan.wait else self.flows.runs()[:-1]
        return any(run["state_type"] in LIVE_TYPES for run in runs)

    def _judge(self) -> list[Finding]:
        airflow, row = self.airflow, self.airflow.row
        runs = self.flows.histories()
        set_by_hand = {"fail": "failed", "succeed": "success"}.get(self._acted[-1][0].kind) if self._acted else None
        task = TaskHistory(
            state=airflow.state,
            xcom=airflow.database.xcoms.get("return_value"),
            attempts_left=row.should_retry and row.survives_a_loss,
            error=": ".join(airflow.raised or ()),
            set_by_hand=set_by_hand,
            asked_afresh_at=tuple(when for act, when in self._acted if act.asks_afresh),
            cancelled_elsewhere=frozenset(self.flows.cancelled),
            has_deadlines=bool(self.plan.endings & {"never starts", "hangs"}),
            waits=self.plan.wait,
            may_not_start=self.plan.redeployment in {"another schema", "deleted"},
        )
        return judge_run(task, runs, self._surroundings(runs))

    def _surroundings(self, runs: list[RunHistory]) -> Surroundings:
        """Of the log only where nothing has torn it: a process that dies takes lines with it."""
        said: list[str] = []
        if self.plan.clocks and self.plan.stream_logs and not self.plan.density and not self.plan.network and runs:
            said = self.flows.said.get(runs[-1].id, [])
        written = self.log.read_text(errors="replace") if said else ""
        return Surroundings(
            neighbours=self._neighbour.histories() if self._neighbour is not None else [],
            strayed=sum(exchange.has_strayed for exchange in self.proxy.log),
            endured=sum(exchange.endured for exchange in self.proxy.log),
            missing_lines=[line for line in said if line not in written],
            doubled_lines=[line for line in said if written.count(line) > 1],
        )


class _WatchedFaults(PlannedFaults):
    """The network of a plan, of which each request may bring something about."""

    def __init__(self, plan: Plan, watch: Callable[[Exchange, Phase], None]) -> None:
        super().__init__(plan)
        self._watch = watch

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        self._watch(exchange, phase)
