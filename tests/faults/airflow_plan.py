"""What a seed decides for a fault run through Airflow's scheduler. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from tests.faults.faults import Fault
from tests.faults.network import COMMON, PlannedFaults
from tests.faults.plan import common_plan

Victim = Literal["worker", "triggerer", "Prefect's server", "Prefect's runner"]
Phase = Literal["at work", "waiting", "over"]
Mode = Literal["deferred", "blocking", "unwaited"]
Act = Literal["fail", "clear"]
HELD = "hold/t"
HEARTBEAT_SECONDS = 10.0
"""Airflow gives a worker up that is silent for longer."""


@dataclass(frozen=True, slots=True)
class AirflowPlan:
    """`deployment` says how the flow ends; `hold_seconds` is how long one that holds is held, None for ever.

    The strike comes so many seconds after the task was seen in `phase`: on a worker, waiting for its run, or over with
    its DAG run. `victim` is killed, or stopped for `stall_seconds` where that is not None; or a person acts, while
    Prefect is out of reach for `away_seconds`, and after the DAG file's `retries` were changed to `retries`.
    """

    seed: int
    mode: Mode
    deployment: str
    hold_seconds: float | None
    victim: Victim | None
    phase: Phase
    seconds: float
    act: Act | None = None
    stall_seconds: float | None = None
    away_seconds: float = 0.0
    retries: int | None = None


def make_airflow_plan(seed: int) -> AirflowPlan:
    """The kinds of strikes take turns; ten seeds hold them all."""
    rng = Random(f"airflow {seed}")  # noqa: S311 — repeatable, guards nothing
    mode: Mode = "deferred" if rng.random() < 0.6 else "blocking"
    phase: Phase = "at work" if rng.random() < 0.4 else "waiting"
    deployment = rng.choice([HELD, HELD, "echo/t", "skip/t", "fail/t", "fail-once/t"])
    plan = AirflowPlan(seed, mode, deployment, round(rng.uniform(2, 8), 1), None, phase, round(rng.uniform(0, 3), 1))
    return STRIKES[seed % len(STRIKES)](plan, rng)


def _kills(victim: Victim) -> Callable[[AirflowPlan, Random], AirflowPlan]:
    def strike(plan: AirflowPlan, _rng: Random) -> AirflowPlan:
        if victim == "triggerer":
            return replace(plan, victim=victim, mode="deferred", phase="waiting")
        return replace(plan, victim=victim)

    return strike


def _acts(act: Act) -> Callable[[AirflowPlan, Random], AirflowPlan]:
    def strike(plan: AirflowPlan, _rng: Random) -> AirflowPlan:
        held = None if act == "fail" else 6.0
        return replace(plan, act=act, deployment=HELD, hold_seconds=held, phase="waiting")

    return strike


def _worker_stalls(plan: AirflowPlan, _rng: Random) -> AirflowPlan:
    """Its task has been given up, and the next try waits for the run, when the worker goes on."""
    stall = HEARTBEAT_SECONDS + 15
    plan = replace(plan, mode="blocking", deployment=HELD, phase="waiting", victim="worker")
    return replace(plan, stall_seconds=stall, hold_seconds=stall + 10)


def _cleared_when_over(plan: AirflowPlan, _rng: Random) -> AirflowPlan:
    return replace(plan, mode="unwaited", deployment=HELD, hold_seconds=None, phase="over", act="clear")


def _retries_edited(plan: AirflowPlan, rng: Random) -> AirflowPlan:
    return replace(plan, deployment="echo/t", phase="over", act="clear", retries=rng.choice([1, 1, 3]))


def _fails_while_away(plan: AirflowPlan, _rng: Random) -> AirflowPlan:
    away = 20.0 if plan.mode == "deferred" else 3.0
    return replace(_acts("fail")(plan, _rng), away_seconds=away)


STRIKES: tuple[Callable[[AirflowPlan, Random], AirflowPlan], ...] = (
    _kills("worker"),
    _kills("triggerer"),
    _kills("Prefect's server"),
    _kills("Prefect's runner"),
    _acts("fail"),
    _acts("clear"),
    _worker_stalls,
    _cleared_when_over,
    _retries_edited,
    _fails_while_away,
)


class SharedNetwork(PlannedFaults):
    """The network of all runs at once: one request in seven meets a fault."""

    def __init__(self) -> None:
        super().__init__(common_plan(0))

    def for_request(self, index: int, path: str) -> Fault:  # noqa: ARG002
        rng = Random(f"network {index}")  # noqa: S311
        if rng.random() > 1 / 7:
            return Fault()
        kind = rng.choice([kind for kind in COMMON if kind not in {"hang", "refuse"}])
        return Fault(kind, seconds=0.3, status=503 if kind == "status before" else 502)
