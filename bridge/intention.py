"""What is meant by a submission, and which flow run answers it.

Pure. A key names an intention: the deployment, and in Airflow the task instance and its epoch, which moves only when a
fresh run is meant. It makes one creation of however many requests, and does nothing else: runs are found by what they
bear. Runs that failed make room for the next generation under the same intention.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
    """Who means it, most general first; for Airflow: the task instance's identity and its epoch."""

    @property
    def key(self) -> str:
        """The stem of the idempotency keys."""
        digest = blake2b(json.dumps([self.deployment, *self.scope]).encode(), digest_size=20).hexdigest()
        return f"bridge-{digest}"

    def generation_key(self, generation: int) -> str:
        """The key of the nth run that this intention may need; generations count from 0."""
        return f"{self.key}.{generation}"


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
    """No run of this intention lives or has succeeded: start one."""


def resume(
    runs: Sequence[FlowRun],
    after_failure: AfterFailure = "start_afresh",
    is_ended: Callable[[FlowRun], bool] = lambda run: isinstance(judge(run), Ended),
) -> Attach | RetryInPlace | Start:
    """Which run answers the intention, given those that were started for it, the oldest first.

    Live or completed: attach, to the newest. Failed or crashed: a fresh run, or the same again. Cancelled: a fresh run.
    `is_ended` says which are of the latter; a run that crashed a moment ago may report again, and is waited for.
    """
    for run in reversed(runs):
        if not is_ended(run):
            return Attach(run)
    if runs and after_failure == "retry_in_place" and runs[-1].state_type in RETRIED_TYPES:
        return RetryInPlace(runs[-1])
    return Start()
