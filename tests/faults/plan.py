"""What a seed decides: how the flow ends, what the network does, who is killed when, what people do. Pure.

The same seed gives the same plan. Owns all randomness of a fault run; carries nothing out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal, get_args

from tests.faults.proxy import Exchange, Fault, Kind, Phase, SocketFault, SocketKind

Ending = Literal[
    "completes",
    "completes without a result",
    "skips",
    "seems to crash",
    "fails",
    "crashes",
    "is cancelled",
    "never starts",
    "hangs",
]
GOOD: tuple[Ending, ...] = (
    *("completes",) * 4,
    "completes without a result",
    "skips",
    "seems to crash",
)
BAD: tuple[Ending, ...] = ("fails", "fails", "crashes", "is cancelled", "never starts", "hangs")
START_TIMEOUT_SECONDS = 5.0
RUN_TIMEOUT_SECONDS = 6.0
CRASH_GRACE_SECONDS = 4.0
CLIENT_TIMEOUT_SECONDS = 6.0

FAULTS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "pass")
QUICK_FAULTS: tuple[Kind, ...] = ("cut before", "cut after", "delay", "twice", "status before", "truncated")
CONSECUTIVE = 3
"""Faults in a row, at most: the bridge promises to bear passing faults, not an API that is away for good."""


@dataclass(frozen=True, slots=True)
class FlowShape:
    """What one flow run does: seconds until it begins, seconds until it ends, and how."""

    ending: Ending
    pending_seconds: float
    running_seconds: float


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """-9 for the nth worker process when its request number `count` has come to `phase`.

    With a message instead of a phase: before or after that message to Airflow takes effect.
    """

    process: int
    phase: Phase | None = None
    count: int = 0
    message: str = ""
    before: bool = True


@dataclass(frozen=True, slots=True)
class Moment:
    """So many seconds after something has happened for the first time; "message": while Airflow takes an XCom."""

    after: Literal["attempt", "submission", "message", "deferral", "running", "end"]
    seconds: float


@dataclass(frozen=True, slots=True)
class PersonsAct:
    """`heeds_seconds`: how late whoever works on the task hears of it."""

    kind: Literal["fail", "clear", "redistribute"]
    moment: Moment
    heeds_seconds: float = 0.0

    @property
    def ends_the_run(self) -> bool:
        return self.kind != "redistribute" and self.moment.after != "end"


@dataclass(frozen=True, slots=True)
class ServerDeath:
    """-9 for Prefect's server, which comes back after `away_seconds` and what its start takes."""

    moment: Moment
    away_seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a seed decides."""

    seed: int
    deferrable: bool
    end_from_trigger: bool
    flow_runs: tuple[FlowShape, ...]
    """What the nth flow run does; the last shape is that of all later ones."""
    retries: int
    stream_logs: bool
    density: float
    """Share of the requests that meet a fault."""
    sockets: tuple[SocketKind, ...]
    worker_deaths: tuple[WorkerDeath, ...] = ()
    triggerer_deaths: tuple[float, ...] = ()
    """The nth triggerer lives for so many seconds."""
    act: PersonsAct | None = None
    server_death: ServerDeath | None = None

    @property
    def endings(self) -> set[Ending]:
        return {shape.ending for shape in self.flow_runs}

    def shape(self, number: int) -> FlowShape:
        return self.flow_runs[min(number, len(self.flow_runs) - 1)]


def make_plan(seed: int) -> Plan:
    """The plan of a seed. Every tenth lets the server die."""
    rng = Random(f"plan {seed}")  # noqa: S311 — repeatable, guards nothing
    flow_runs, retries = _flow_runs(rng)
    plan = Plan(
        seed=seed,
        deferrable=rng.random() < 0.7,
        end_from_trigger=rng.random() < 0.7,
        flow_runs=flow_runs,
        retries=retries,
        stream_logs=rng.random() < 0.5,
        density=rng.choice([0.0, 0.1, 0.25, 0.4]),
        sockets=tuple(rng.choices(["pass", "refuse", "cut", "drop", "double", "delay"], [6, 2, 2, 1, 2, 1], k=6)),
    )
    if rng.random() < 0.5:
        plan = _with_deaths(plan, rng)
    if rng.random() < 0.35:
        plan = replace(plan, act=_act(plan, rng))
    if seed % 10 == 9:
        plan = _with_server_death(plan, rng)
    return plan


def _flow_runs(rng: Random) -> tuple[tuple[FlowShape, ...], int]:
    def shape(ending: Ending) -> FlowShape:
        return FlowShape(ending, round(rng.uniform(0, 0.8), 2), round(rng.uniform(0, 1.5), 2))

    before = [shape(rng.choice(BAD)) for _ in range(rng.choices([0, 1, 2], [6, 3, 1])[0])]
    if rng.random() < 0.15:
        return (*before, shape(rng.choice(BAD))), len(before)
    return (*before, shape(rng.choice(GOOD))), len(before)


def _with_deaths(plan: Plan, rng: Random) -> Plan:
    deaths = tuple(_worker_death(rng, process) for process in range(rng.choice([1, 1, 2])))
    triggerer = tuple(round(rng.uniform(0, 2.5), 2) for _ in range(rng.choice([0, 1, 2]))) if plan.deferrable else ()
    return replace(plan, worker_deaths=deaths, triggerer_deaths=triggerer, retries=plan.retries + len(deaths))


def _worker_death(rng: Random, process: int) -> WorkerDeath:
    if rng.random() < 0.35:
        message = rng.choice(["SetXCom", "DeferTask", "SucceedTask", "RetryTask", "TaskState"])
        return WorkerDeath(process, message=message, before=rng.random() < 0.5)
    phases: tuple[Phase, ...] = ("arrived", "carried out", "answered")
    return WorkerDeath(process, rng.choice(phases), rng.randrange(1, 5))


def _act(plan: Plan, rng: Random) -> PersonsAct:
    kind: Literal["fail", "clear", "redistribute"] = rng.choice(["fail", "fail", "clear", "clear", "redistribute"])
    if kind == "redistribute":
        return PersonsAct(kind, Moment("deferral", round(rng.uniform(0, 1), 2)))
    after: list[Literal["attempt", "submission", "message", "deferral", "running", "end"]]
    after = ["attempt", "submission", "message", "running"]
    if plan.deferrable:
        after.append("deferral")
    if kind == "clear":
        after.append("end")
    return PersonsAct(kind, Moment(rng.choice(after), round(rng.uniform(0, 1.2), 2)), round(rng.uniform(0, 2), 2))


def _with_server_death(plan: Plan, rng: Random) -> Plan:
    """Deadlines of a few seconds would pass while the server is away, and rightly: no such flows then."""
    calm = tuple(
        replace(shape, ending="fails") if shape.ending in {"never starts", "hangs"} else shape
        for shape in plan.flow_runs
    )
    moment = Moment(rng.choice(["attempt", "submission", "running"]), round(rng.uniform(0, 1), 2))
    death = ServerDeath(moment, round(rng.uniform(0, 3), 2))
    return replace(
        plan, flow_runs=calm, act=None, server_death=death, retries=plan.retries + 2, density=min(plan.density, 0.1)
    )


@dataclass
class PlannedFaults:
    """The network of one plan; `calm` once a person ends the task: Airflow gives a process five seconds to heed it."""

    plan: Plan
    calm: bool = False
    _in_a_row: int = field(default=0)

    def for_request(self, index: int) -> Fault:
        rng = Random(f"request {self.plan.seed} {index}")  # noqa: S311
        allowed = 1 if self.calm else CONSECUTIVE
        if rng.random() >= self.plan.density or self._in_a_row >= allowed:
            self._in_a_row = 0
            return Fault()
        self._in_a_row += 1
        return _quick_fault(rng) if self.calm else _any_fault(rng)

    def for_socket(self, index: int) -> SocketFault:
        rng = Random(f"socket {self.plan.seed} {index}")  # noqa: S311
        kind = self.plan.sockets[index % len(self.plan.sockets)]
        return SocketFault(kind, rng.randrange(1, 4), rng.uniform(0.1, 1.5))

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        """Nobody is killed by the network alone."""


def _any_fault(rng: Random) -> Fault:
    kind = rng.choice(FAULTS)
    if kind in {"status before", "status after"}:
        status = rng.choice([503, 503, 429, 500, 502] if kind == "status before" else [500, 502])
        return Fault(kind, status=status, retry_after_seconds=rng.choice([None, 1]) if status in {429, 503} else None)
    longest = {"hang": 1.0, "refuse": 1.0}.get(kind, 0.8)
    seconds = round(rng.uniform(0.05, longest), 2)
    return Fault(kind, CLIENT_TIMEOUT_SECONDS + seconds if kind == "hang" else seconds)


def _quick_fault(rng: Random) -> Fault:
    kind = rng.choice(QUICK_FAULTS)
    return Fault(kind, seconds=0.2)
