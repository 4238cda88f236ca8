"""What a seed decides for a fault run through Airflow's scheduler. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

from tests.faults.faults import Fault
from tests.faults.network import COMMON, PlannedFaults
from tests.faults.plan import common_plan

Victim = Literal["worker", "triggerer", "Prefect's server", "Prefect's runner"]
Phase = Literal["at work", "waiting"]
VICTIMS: tuple[Victim, ...] = ("worker", "triggerer", "Prefect's server", "Prefect's runner")
HELD = "hold/t"


@dataclass(frozen=True, slots=True)
class AirflowPlan:
    """`deployment` says how the flow ends; `hold_seconds` is how long one that holds is held, None for ever.

    `victim` is killed so many seconds after the task was seen in `phase`: on a worker, or waiting for its run.
    """

    seed: int
    mode: Literal["deferred", "blocking"]
    deployment: str
    hold_seconds: float | None
    victim: Victim | None
    phase: Phase
    seconds: float
    act: Literal["fail", "clear"] | None = None


def make_airflow_plan(seed: int) -> AirflowPlan:
    """Victims take turns; every fifth seed has a person instead of one."""
    rng = Random(f"airflow {seed}")  # noqa: S311 — repeatable, guards nothing
    mode: Literal["deferred", "blocking"] = "deferred" if rng.random() < 0.6 else "blocking"
    phase: Phase = "at work" if rng.random() < 0.4 else "waiting"
    seconds = round(rng.uniform(0, 3), 1)
    if seed % 5 == 4:
        act: Literal["fail", "clear"] = "fail" if seed % 10 == 4 else "clear"
        held = None if act == "fail" else 6.0
        return AirflowPlan(seed, mode, HELD, held, None, "waiting", seconds, act)
    victim = VICTIMS[seed % 5]
    if victim == "triggerer":
        mode, phase = "deferred", "waiting"
    deployment = rng.choice([HELD, HELD, "echo/t", "skip/t", "fail/t", "fail-once/t"])
    return AirflowPlan(seed, mode, deployment, round(rng.uniform(2, 8), 1), victim, phase, seconds)


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
