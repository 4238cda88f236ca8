"""The rarer kinds of faults, one small piece each: how often it is met, what it decides in a plan, what must hold then.

Pure. `make_plan` lays one or two of them over a seed's common plan, never two that decide the same. What must hold is
told in `expects` and judged in `judgement`, which knows no plan: by what happened, whatever was meant to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from tests.faults.flow_results import RESULTS
from tests.faults.network import DRIPS, FOREIGN, REDIRECTS
from tests.faults.plan import (
    Absence,
    DagEdit,
    Event,
    FlowShape,
    Moment,
    Owner,
    PersonsAct,
    Plan,
    Stall,
    WorkerDeath,
    WrongClock,
    common_plan,
)
from tests.faults.small_airflow import HEARTBEAT_SECONDS

Area = Literal["flow", "processes", "people", "network", "clocks", "dag", "map", "log", "result"]
MOST_A_SEED = 2
WITH_A_RUN = WorkerDeath(0, message="SetXCom", before=False)
"""The first worker dies when its run is there, and nobody waits for it yet."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """`share` of the seeds meet it; `change` lays it over a plan, of which it decides the `areas`."""

    name: str
    share: float
    areas: frozenset[Area]
    change: Callable[[Plan, Random], Plan]
    expects: str


def make_plan(seed: int) -> Plan:
    """The plan of a seed. One in which the server dies bears nothing more."""
    plan = common_plan(seed)
    if plan.server_death is not None:
        return plan
    decided: set[Area] = set()
    for kind in Random(f"order {seed}").sample(KINDS, len(KINDS)):  # noqa: S311
        rng = Random(f"{kind.name} {seed}")  # noqa: S311 — repeatable, guards nothing
        if rng.random() < kind.share and len(plan.kinds) < MOST_A_SEED and not decided & kind.areas:
            plan = replace(kind.change(plan, rng), kinds=(*plan.kinds, kind.name))
            decided |= kind.areas
    return plan


def _seconds(rng: Random, least: float, most: float) -> float:
    return round(rng.uniform(least, most), 2)


def _calm(plan: Plan, running_seconds: float, *before: FlowShape) -> Plan:
    """Its runs complete after so long, no process dies, nobody acts; few faults in the network."""
    return replace(
        plan,
        flow_runs=(*before, FlowShape("completes", 0.2, running_seconds)),
        retries=1 + len(before),
        worker_deaths=(),
        triggerer_deaths=(),
        acts=(),
        density=min(plan.density, 0.1),
    )


def _worker_stalls(plan: Plan, rng: Random) -> Plan:
    """Until its successor waits for the run, or for a moment only. One that defers asks Prefect just twice."""
    seconds = _seconds(rng, HEARTBEAT_SECONDS + 3, HEARTBEAT_SECONDS + 6) if rng.random() < 0.8 else 0.8
    heeds, count = _seconds(rng, 0, 1.5), rng.randrange(1, 3 if plan.deferrable else 6)
    stall = rng.choice(
        [
            Stall("worker", 0, seconds, heeds, phase=rng.choice(["arrived", "carried out"]), count=count),
            Stall("worker", 0, seconds, heeds, message="SetXCom"),
            Stall("worker", 0, seconds, heeds, message="DeferTask" if plan.deferrable else "SetXCom"),
        ]
    )
    return replace(_calm(plan, seconds + _seconds(rng, 2, 5)), stalls=(stall,), retries=2)


def _triggerer_stalls(plan: Plan, rng: Random) -> Plan:
    seconds = _seconds(rng, HEARTBEAT_SECONDS + 1, HEARTBEAT_SECONDS + 4)
    stall = Stall("triggerer", 0, seconds, _seconds(rng, 0, 1.5), after_seconds=_seconds(rng, 0.2, 2))
    return replace(_calm(plan, _seconds(rng, 2, 9)), stalls=(stall,), deferrable=True)


def _cleared_when_over(plan: Plan, rng: Random) -> Plan:
    clears = tuple(PersonsAct("clear", Moment("end", _seconds(rng, 0, 0.6))) for _ in range(rng.choice([1, 2, 4])))
    return replace(_calm(plan, 0.3), acts=clears, dag_run_goes_on=rng.random() < 0.4, retries=rng.choice([0, 1, 3]))


def _not_waited_for(plan: Plan, rng: Random) -> Plan:
    clears = tuple(PersonsAct("clear", Moment("end", _seconds(rng, 0, 0.6))) for _ in range(rng.choice([1, 1, 2])))
    deaths = (WorkerDeath(0, "carried out", rng.randrange(2, 5)),) if rng.random() < 0.4 else ()
    plan = replace(_calm(plan, 0.3), acts=clears, wait=False, worker_deaths=deaths, retries=2)
    return replace(plan, dag_run_goes_on=rng.random() < 0.3)


def _retries_edited(plan: Plan, rng: Random) -> Plan:
    """Before a clear, and between the tries of runs that fail."""
    retries = rng.choice([1, 2, 3])
    fails = FlowShape("fails", 0.1, 0.2)
    plan = _calm(plan, 0.3, *(fails,) * rng.choice([0, 0, 1]))
    edit = DagEdit(rng.choice([1, 1, 2]), retries=max(0, retries + rng.choice([-1, -1, 1])))
    clears = tuple(PersonsAct("clear", Moment("end", 0.2)) for _ in range(rng.choice([1, 2])))
    return replace(plan, retries=retries, edits=(edit,), acts=clears, dag_run_goes_on=rng.random() < 0.7)


def _deployment_edited(plan: Plan, rng: Random) -> Plan:
    """The worker dies after it has submitted, or the task is cleared; the DAG names another deployment by then."""
    edit = DagEdit(1, other_deployment=True)
    if rng.random() < 0.5:
        death = WorkerDeath(0, "carried out", rng.choice([2, 3, 3]))
        return replace(_calm(plan, 2.0), edits=(edit,), worker_deaths=(death,), retries=2)
    after: Event = "deferral" if plan.deferrable else "running"
    return replace(_calm(plan, 0.3), edits=(edit,), acts=(PersonsAct("clear", Moment(after, 0.5)),))


def _redeployed(plan: Plan, rng: Random) -> Plan:
    how: tuple[Literal["another schema", "deleted", "made anew"], ...] = ("another schema", "deleted", "made anew")
    plan = _calm(plan, _seconds(rng, 0.5, 3))
    return replace(plan, worker_deaths=(WITH_A_RUN,), redeployment=rng.choice(how), retries=2)


def _dag_run_made_anew(plan: Plan, rng: Random) -> Plan:
    after: Event = rng.choice(["running", "deferral" if plan.deferrable else "running", "end"])
    act = PersonsAct("make anew", Moment(after, _seconds(rng, 0.2, 1)), _seconds(rng, 0, 1))
    return replace(_calm(plan, 0.5), acts=(act,))


def _acts_while_away(plan: Plan, rng: Random) -> Plan:
    """Blocking, a worker may stay for five seconds only."""
    kind: Literal["fail", "clear", "succeed"] = rng.choice(["fail", "fail", "clear", "succeed"])
    after: Event = "deferral" if plan.deferrable else "running"
    began = _seconds(rng, 0.3, 1)
    away = rng.choice([3.0, 8.0, 20.0, 40.0]) if plan.deferrable else _seconds(rng, 1, 3)
    act = PersonsAct(kind, Moment(after, began + 0.3), 0.0)
    return replace(_calm(plan, 0.5), acts=(act,), absence=Absence(Moment(after, began), away))


def _creation_held_up(plan: Plan, rng: Random) -> Plan:
    kind: Literal["fail", "clear", "succeed"] = rng.choice(["fail", "clear", "clear", "succeed"])
    act = PersonsAct(kind, Moment("submission", _seconds(rng, 0.2, 1)), _seconds(rng, 0, 1))
    return replace(_calm(plan, 0.5), acts=(act,), held_up_seconds=_seconds(rng, 3, 9), density=0.0)


def _marked_success(plan: Plan, rng: Random) -> Plan:
    after: Event = rng.choice(["submission", "running", "deferral" if plan.deferrable else "running"])
    act = PersonsAct("succeed", Moment(after, _seconds(rng, 0, 1)), _seconds(rng, 0, 2))
    return replace(_calm(plan, 0.5), acts=(act,))


def _empty_prefect(plan: Plan, rng: Random) -> Plan:
    plan = replace(_calm(plan, 4.0), worker_deaths=(WITH_A_RUN,), empty_seconds=_seconds(rng, 1, 3))
    return replace(plan, retries=9, density=0.0)


def _lost_then_cleared(plan: Plan, rng: Random) -> Plan:
    """Prefect is away for longer than the task's patience; the run goes on."""
    after: Event = "deferral" if plan.deferrable else "running"
    plan = replace(_calm(plan, 0.5), patience_seconds=2.0, absence=Absence(Moment(after, 0.2), _seconds(rng, 24, 30)))
    clear = PersonsAct("clear", Moment("end", _seconds(rng, 5, 8)))
    return replace(plan, acts=(clear,), retries=0, density=0.0)


def _mapped(plan: Plan, rng: Random) -> Plan:
    return replace(plan, map_index=rng.choice([0, 1, 3]))


def _odd_levels(plan: Plan, _rng: Random) -> Plan:
    return replace(plan, odd_levels=True, stream_logs=True)


def _odd_result(plan: Plan, rng: Random) -> Plan:
    return replace(_calm(plan, 0.5), result=rng.choice(RESULTS[1:]))


def _foreign_answers(plan: Plan, rng: Random) -> Plan:
    return replace(plan, network=FOREIGN, density=rng.choice([0.15, 0.3, 0.5]))


def _redirects(plan: Plan, rng: Random) -> Plan:
    return replace(plan, network=REDIRECTS, density=rng.choice([0.15, 0.3, 0.5]))


def _dripping_answers(plan: Plan, _rng: Random) -> Plan:
    return replace(_calm(plan, 1.0), network=DRIPS, density=0.12)


def _wrong_clocks(plan: Plan, rng: Random) -> Plan:
    """Deadlines of minutes: no run comes near them by any right clock."""
    whose: list[Owner] = ["worker", "triggerer", "Prefect", "Prefect", "flow"]
    wrong: list[WrongClock] = []
    for name in dict.fromkeys(rng.choice(whose) for _ in range(2)):
        off = rng.choice([-900.0, -30.0, 30.0, 900.0])
        set_after = _seconds(rng, 1, 4) if rng.random() < 0.4 else None
        wrong.append(WrongClock(name, off, set_after, rng.choice([0.0, -off])))
    plan = replace(_calm(plan, 3.0), worker_deaths=(WITH_A_RUN,) if rng.random() < 0.6 else (), retries=2, density=0.0)
    return replace(plan, clocks=tuple(wrong), run_timeout_seconds=300.0, stream_logs=True)


def _kind(name: str, share: float, areas: str, change: Callable[[Plan, Random], Plan], expects: str) -> FaultKind:
    return FaultKind(name, share, frozenset(areas.split()), change, expects)  # type: ignore[arg-type]


KINDS: tuple[FaultKind, ...] = (
    _kind("a worker stalls", 0.1, "flow processes people", _worker_stalls, "a stalled try that wakes touches nothing"),
    _kind("a triggerer stalls", 0.06, "flow processes people", _triggerer_stalls, "the same for a stalled triggerer"),
    _kind("cleared when all is over", 0.06, "flow processes people", _cleared_when_over, "each clear has its own run"),
    _kind("not waited for", 0.08, "flow processes people", _not_waited_for, "one run lives, that of the last clear"),
    _kind("retries edited", 0.08, "flow processes people dag", _retries_edited, "a clear stays one, a retry too"),
    _kind("deployment edited", 0.07, "flow processes people dag", _deployment_edited, "no run of the old one is left"),
    _kind("redeployed", 0.07, "flow processes people dag", _redeployed, "the run that lives is taken all the same"),
    _kind("DAG run made anew", 0.06, "flow processes people", _dag_run_made_anew, "its own run; the old one ends"),
    _kind("acts while away", 0.07, "flow processes people network", _acts_while_away, "what was ended ends in Prefect"),
    _kind("creation held up", 0.07, "flow processes people network", _creation_held_up, "no run comes out of the past"),
    _kind("marked success", 0.05, "flow processes people", _marked_success, "the run is cancelled"),
    _kind("empty Prefect", 0.05, "flow processes people network", _empty_prefect, "the run is found again"),
    _kind("lost, then cleared", 0.04, "flow processes people network", _lost_then_cleared, "the lost run is cancelled"),
    _kind("wrong clocks", 0.12, "flow processes people clocks", _wrong_clocks, "nothing is different, no line is lost"),
    _kind("odd result", 0.1, "flow processes people result", _odd_result, "ResultInvalid for that run alone"),
    _kind("dripping answers", 0.04, "flow processes people network", _dripping_answers, "nobody listens for ever"),
    _kind("foreign answers", 0.1, "network", _foreign_answers, "asked again; believed by nobody"),
    _kind("redirects", 0.06, "network", _redirects, "followed within the host, never elsewhere"),
    _kind("a mapped member", 0.1, "map", _mapped, "its neighbours' runs are left alone"),
    _kind("odd log levels", 0.08, "log", _odd_levels, "a line is a line"),
)
