"""What is meant by a submission, and which flow run answers it.

Pure. A key names an intention: the deployment, and in Airflow the task instance and its attempt epoch, which moves
only when a fresh run is meant. Runs that failed make room for the next generation under the same intention.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from bridge.prefect_api.records import FlowRun
from bridge.verdict import Ended, judge


@dataclass(frozen=True, slots=True)
class Intention:
    """One run is meant, however often it is asked for."""

    deployment: str
    scope: tuple[str, ...]
    """Who means it, most general first; for Airflow: dag, run, task, map index and epoch."""

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


def airflow_intention(
    deployment: str, *, dag_id: str, run_id: str, task_id: str, map_index: int, epoch: int
) -> Intention:
    """The intention of one Airflow task instance.

    `epoch` is `max_tries - task.retries`: clearing a task raises it, a retry does not.
    """
    return Intention(deployment, (dag_id, run_id, task_id, str(map_index), str(epoch)))


@dataclass(frozen=True, slots=True)
class Attach:
    """A run of this intention lives or has succeeded: wait for it, take its result."""

    run: FlowRun


@dataclass(frozen=True, slots=True)
class Start:
    """No run of this intention lives or has succeeded: start one under this key."""

    key: str


def resume(intention: Intention, found: Mapping[str, FlowRun], generations: int) -> Attach | Start:
    """Which run answers the intention, given those `found` under its first `generations` keys.

    Live: attach. Completed: take its result. Failed, crashed, cancelled: the next generation.
    """
    for key in intention.generation_keys(generations):
        run = found.get(key)
        if run is None:
            return Start(key)
        if not isinstance(judge(run), Ended):
            return Attach(run)
    return Start(intention.generation_key(generations))
