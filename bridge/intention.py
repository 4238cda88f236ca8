"""What is meant by a submission, and which flow run answers it.

Pure. A key names an intention: the deployment, and in Airflow the task instance and its attempt epoch, which moves
only when a fresh run is meant. Runs that failed make room for the next generation under the same intention.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

from bridge.prefect_api.records import FlowRun
from bridge.verdict import Ended, judge

AfterFailure = Literal["start_afresh", "retry_in_place"]
"""What is done when the run of an intention has failed and is asked for again."""

RETRIED_TYPES = frozenset({"FAILED", "CRASHED"})
"""Ends after which a run may be retried in place; one that was cancelled was not meant to go on."""


@dataclass(frozen=True, slots=True)
class Intention:
    """One run is meant, however often it is asked for."""

    deployment: str
    scope: tuple[str, ...]
    """Who means it, most general first; for Airflow: dag, run and its begin, task, map index and epoch."""

    @property
    def key(self) -> str:
        """The idempotency key of the first generation's stem."""
        digest = blake2b(json.dumps([self.deployment, *self.scope]).encode(), digest_size=20).hexdigest()
        return f"bridge-{digest}"

    def generation_key(self, generation: int) -> str:
        """The key of the nth run that this intention may need; generations count from 0."""
        return f"{self.key}.{generation}"

    def generation_keys(self, count: int) -> list[str]:
        """The keys of the first `count` generations."""
        return [self.generation_key(generation) for generation in range(count)]


@dataclass(frozen=True, slots=True)
class AirflowIntention:
    """What one Airflow task instance means, in this epoch and in those before it.

    `epoch` is the task instance's `max_tries`: clearing a task raises it, nothing else does. `begun` tells two DAG runs
    of one name apart, of which the first was deleted or is another Airflow's: when the DAG run began.
    """

    deployment: str
    dag_id: str
    run_id: str
    begun: str
    task_id: str
    map_index: int
    epoch: int
    tries: int
    """How often the task instance was tried, in all epochs: so many runs may have been started for it."""

    @property
    def now(self) -> Intention:
        """The intention of this epoch."""
        scope = (self.dag_id, self.run_id, self.begun, self.task_id, str(self.map_index), str(self.epoch))
        return Intention(self.deployment, scope)

    @property
    def keys(self) -> list[str]:
        """Every key under which this epoch may have a run, the next generation's included."""
        return self.now.generation_keys(self.tries + 1)

    @property
    def superseded_keys(self) -> list[str]:
        """The keys of the epochs that a clear has ended; a first try has none before it."""
        earlier = (replace(self, epoch=epoch).now for epoch in range(self.epoch if self.tries > 1 else 0))
        return [key for intention in earlier for key in intention.generation_keys(self.tries)]


@dataclass(frozen=True, slots=True)
class Attach:
    """A run of this intention lives or has succeeded: wait for it, take its result."""

    run: FlowRun


@dataclass(frozen=True, slots=True)
class RetryInPlace:
    """The newest run of this intention has failed: let Prefect run it again."""

    run: FlowRun


@dataclass(frozen=True, slots=True)
class Start:
    """No run of this intention lives or has succeeded: start one under this key."""

    key: str


def resume(
    intention: Intention,
    found: Mapping[str, FlowRun],
    generations: int,
    after_failure: AfterFailure = "start_afresh",
    is_ended: Callable[[FlowRun], bool] = lambda run: isinstance(judge(run), Ended),
) -> Attach | RetryInPlace | Start:
    """Which run answers the intention, given those `found` under its first `generations` keys.

    Live: attach. Completed: take its result. Failed or crashed: the next generation, or the same run again. Cancelled:
    the next generation. `is_ended` says which are of the latter; a run that crashed a moment ago may report again, and
    is waited for.
    """
    keys = intention.generation_keys(generations)
    runs = [found[key] for key in keys if key in found]
    for run in runs:
        if not is_ended(run):
            return Attach(run)
    if runs and after_failure == "retry_in_place" and runs[-1].state_type in RETRIED_TYPES:
        return RetryInPlace(runs[-1])
    return Start(next((key for key in keys if key not in found), intention.generation_key(generations)))
