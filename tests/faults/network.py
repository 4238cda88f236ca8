"""What the network does to a plan's requests and websockets: drawn from its seed, whatever the time. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import get_args

from tests.faults.faults import OTHER_HOST, Exchange, Fault, Kind, Phase, SocketFault
from tests.faults.made_up import WORDS
from tests.faults.plan import CLIENT_TIMEOUT_SECONDS, Plan

FOREIGN: tuple[Kind, ...] = ("words before", "words after", "page before", "page after")
REDIRECTS: tuple[Kind, ...] = ("redirect before", "redirect after")
DRIPS: tuple[Kind, ...] = ("drip",)
COMMON: tuple[Kind, ...] = tuple(
    kind
    for kind in get_args(Kind)
    if kind not in {"pass", *(each for each in (*FOREIGN, *REDIRECTS, *DRIPS) if not each.startswith("page"))}
)
QUICK_FAULTS: tuple[Kind, ...] = ("cut before", "cut after", "delay", "twice", "status before", "truncated")
CONSECUTIVE = 3
"""Faults in a row, at most: the bridge promises to bear passing faults, not an API that is away for good."""
DRIP_SECONDS = 40.0
"""Longer than anybody should listen to one answer."""


@dataclass
class PlannedFaults:
    """The network of one plan; `calm` once a person ends the task: Airflow gives a process five seconds to heed it."""

    plan: Plan
    calm: bool = False
    _in_a_row: int = field(default=0)
    _has_held: bool = field(default=False)

    def for_request(self, index: int, path: str) -> Fault:
        if self.plan.held_up_seconds and path.endswith("/create_flow_run") and not self._has_held:
            self._has_held = True
            return Fault("delay", self.plan.held_up_seconds)
        rng = Random(f"request {self.plan.seed} {index}")  # noqa: S311
        allowed = 1 if self.calm else CONSECUTIVE
        if rng.random() >= self.plan.density or self._in_a_row >= allowed:
            self._in_a_row = 0
            return Fault()
        self._in_a_row += 1
        return _quick_fault(rng) if self.calm else _any_fault(rng, self.plan.network or COMMON)

    def for_socket(self, index: int) -> SocketFault:
        rng = Random(f"socket {self.plan.seed} {index}")  # noqa: S311
        kind = self.plan.sockets[index % len(self.plan.sockets)]
        return SocketFault(kind, rng.randrange(1, 4), rng.uniform(0.1, 1.5))

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        """Nobody is killed by the network alone."""


def _any_fault(rng: Random, kinds: tuple[Kind, ...]) -> Fault:
    kind = rng.choice(kinds)
    if kind.startswith("words"):
        return Fault(kind, words=rng.choice(sorted(WORDS)))
    if kind.startswith("redirect"):
        return Fault(kind, status=rng.choice([307, 308]), host=rng.choice(["127.0.0.1", "127.0.0.1", OTHER_HOST]))
    if kind == "drip":
        return Fault(kind, DRIP_SECONDS)
    if kind in {"status before", "status after"}:
        status = rng.choice([503, 503, 429, 500, 502] if kind == "status before" else [500, 502])
        return Fault(kind, status=status, retry_after_seconds=rng.choice([None, 1]) if status in {429, 503} else None)
    longest = {"hang": 1.0, "refuse": 1.0}.get(kind, 0.8)
    seconds = round(rng.uniform(0.05, longest), 2)
    return Fault(kind, CLIENT_TIMEOUT_SECONDS + seconds if kind == "hang" else seconds)


def _quick_fault(rng: Random) -> Fault:
    kind = rng.choice(QUICK_FAULTS)
    return Fault(kind, seconds=0.2)
