"""Submit once: find the run that answers an intention, or start it.

The one resume decision for every way of submitting (deferred, blocking, command line). Without I/O, as `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from bridge.errors import PrefectUnreachable
from bridge.intention import AfterFailure, Attach, Intention, RetryInPlace, resume
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import Submission
from bridge.verdict import Ended, Live, is_final, judge

CANCELLATION_SECONDS = 10.0
"""How long a run that is being cancelled may take; a worker confirms the end after some four seconds."""


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run that answers the intention, and how it came to do so."""

    run: FlowRun
    how: Literal["started", "attached", "retried"]

    @property
    def attached(self) -> bool:
        """Whether it was there before and is left as it is."""
        return self.how == "attached"


def submit(
    record: DeploymentRecord,
    intention: Intention,
    submission: Submission,
    *,
    generations: int = 1,
    after_failure: AfterFailure = "start_afresh",
    crash_grace_seconds: float = 0.0,
) -> Operation[Submitted]:
    """The run of `intention`: one that lives or succeeded under its first `generations` keys, else a new one.

    `generations` is how many runs may have been started for the intention before: an Airflow task's number of tries.
    On the first of them nothing is looked up: the key finds the run that is there. A run that has crashed is waited for
    as long as it may report again; one that is being cancelled is no answer, and its end is waited for a while.
    """

    def is_ended(run: FlowRun) -> bool:
        ended = isinstance(judge(run), Ended) and is_final(run, crash_grace_seconds, datetime.now(UTC))
        return ended or run.state_type == "CANCELLING"

    found: Mapping[str, FlowRun]
    if generations == 1:
        key = intention.generation_key(0)
        created = yield from _create(record, intention, submission, key)
        if created.new:
            return Submitted(created.run, "started")
        found = {key: created.run}
    else:
        found = yield from wire.find_flow_runs_by_keys(intention.generation_keys(generations))
    found = yield from _when_cancelled(found)
    decision = resume(intention, found, generations, after_failure, is_ended)
    if isinstance(decision, Attach):
        return Submitted(decision.run, "attached")
    if isinstance(decision, RetryInPlace):
        return Submitted((yield from wire.retry_flow_run(decision.run.id)), "retried")
    created = yield from _create(record, intention, submission, decision.key)
    return Submitted(created.run, "started" if created.new else "attached")


def cancel_by_keys(keys: Sequence[str]) -> Operation[list[FlowRun]]:
    """Cancel the runs under these keys that live; says how they stand afterwards. None found: an empty list."""
    found = yield from wire.find_flow_runs_by_keys(keys)
    cancelled: list[FlowRun] = []
    for run in found.values():
        if isinstance(judge(run), Live):
            cancelled.append((yield from wire.cancel_flow_run(run.id)))  # noqa: PERF401 — a comprehension cannot yield
    return cancelled


def _when_cancelled(found: Mapping[str, FlowRun]) -> Operation[dict[str, FlowRun]]:
    """The runs as they stand once those that are being cancelled have ended, or have had the time to."""
    settled = dict(found)
    for key, run in found.items():
        looks_left = int(CANCELLATION_SECONDS / wire.CONFIRM_INTERVAL_SECONDS)
        while settled[key].state_type == "CANCELLING" and looks_left:
            settled[key] = yield from wire.read_flow_run(run.id, after_seconds=wire.CONFIRM_INTERVAL_SECONDS)
            looks_left -= 1
    return settled


def _create(
    record: DeploymentRecord, intention: Intention, submission: Submission, key: str
) -> Operation[wire.Created]:
    try:
        return (yield from wire.create_flow_run(record, replace(submission, idempotency_key=key), intention.deployment))
    except PrefectUnreachable as error:
        raise PrefectUnreachable(
            f"{error}. It is not known whether a flow run of {intention.deployment!r} was started. If so it bears the "
            f"idempotency key {key}: whoever asks again under that key is given it, and no second one is started"
        ) from error
