"""What a seed decides: how the flow ends, what the network does, who is killed when, what people do. Pure.

The same seed gives the same plan. Here stand the faults of every seed; `kinds` lays the rarer ones over them.
Carries nothing out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from tests.faults.faults import Kind, Phase, SocketKind

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


Event = Literal["attempt", "submission", "message", "deferral", "running", "end"]


@dataclass(frozen=True, slots=True)
class Moment:
    """So many seconds after something has happened for the first time; "message": while Airflow takes an XCom."""

    after: Event
    seconds: float


ActKind = Literal["fail", "succeed", "clear", "make anew", "redistribute"]
"""What people do to a task, and what Airflow does to a trigger. "make anew": delete the DAG run, create it again."""


@dataclass(frozen=True, slots=True)
class PersonsAct:
    """`heeds_seconds`: how late whoever works on the task hears of it."""

    kind: ActKind
    moment: Moment
    heeds_seconds: float = 0.0

    @property
    def ends_the_run(self) -> bool:
        return self.kind != "redistribute" and self.moment.after != "end"

    @property
    def asks_afresh(self) -> bool:
        return self.kind in {"clear", "make anew"}


@dataclass(frozen=True, slots=True)
class ServerDeath:
    """-9 for Prefect's server, which comes back after `away_seconds` and what its start takes."""

    moment: Moment
    away_seconds: float


@dataclass(frozen=True, slots=True)
class Stall:
    """SIGSTOP for the nth process of that kind, SIGCONT so many seconds later.

    A worker's comes when its request number `count` has come to `phase`, or before that message to Airflow; a
    triggerer's `after_seconds` of its life. It hears `heeds_seconds` after SIGCONT that its task is another's now.
    """

    who: Literal["worker", "triggerer"]
    process: int
    seconds: float
    heeds_seconds: float = 0.0
    phase: Phase | None = None
    count: int = 0
    message: str = ""
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DagEdit:
    """The DAG file is changed when so many tries have begun; what is None stays."""

    after_tries: int
    retries: int | None = None
    other_deployment: bool = False


Owner = Literal["worker", "triggerer", "Prefect", "flow"]


@dataclass(frozen=True, slots=True)
class WrongClock:
    """Of the workers, the triggerers, Prefect or the flow: off by `seconds`, set after a while to `seconds_then`."""

    whose: Owner
    seconds: float
    set_after_seconds: float | None = None
    seconds_then: float = 0.0


@dataclass(frozen=True, slots=True)
class Absence:
    """Prefect is out of reach from that moment on, for so long."""

    moment: Moment
    seconds: float


Redeployment = Literal["another schema", "deleted", "made anew"]


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
    acts: tuple[PersonsAct, ...] = ()
    """One after another; "end" is the task's after the act before."""
    server_death: ServerDeath | None = None
    kinds: tuple[str, ...] = ()
    """Names of the rarer kinds of faults that this plan holds."""
    wait: bool = True
    patience_seconds: float = 300.0
    run_timeout_seconds: float | None = None
    dag_run_goes_on: bool = False
    map_index: int = -1
    stalls: tuple[Stall, ...] = ()
    edits: tuple[DagEdit, ...] = ()
    redeployment: Redeployment | None = None
    """What happens to the deployment when the first worker has died."""
    absence: Absence | None = None
    held_up_seconds: float = 0.0
    """For so long the network holds the first creation; then it arrives, whoever sent it."""
    empty_seconds: float = 0.0
    """After the first worker's death an empty Prefect is at the address for so long."""
    network: tuple[Kind, ...] = ()
    """Faults of the network in place of the usual ones."""
    clocks: tuple[WrongClock, ...] = ()
    odd_levels: bool = False
    result: str = "plain"
    """What runs publish, a key of `flow_results.RESULTS`."""

    @property
    def endings(self) -> set[Ending]:
        return {shape.ending for shape in self.flow_runs}

    def shape(self, number: int) -> FlowShape:
        return self.flow_runs[min(number, len(self.flow_runs) - 1)]


def common_plan(seed: int) -> Plan:
    """The plan of a seed without the rarer kinds. Every tenth lets the server die."""
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
        plan = replace(plan, acts=(_act(plan, rng),))
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
    kind: ActKind = rng.choice(["fail", "fail", "clear", "clear", "redistribute"])
    if kind == "redistribute":
        return PersonsAct(kind, Moment("deferral", round(rng.uniform(0, 1), 2)))
    after: list[Event] = ["attempt", "submission", "message", "running"]
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
        plan, flow_runs=calm, acts=(), server_death=death, retries=plan.retries + 2, density=min(plan.density, 0.1)
    )
