"""Submit once: find the run that answers an intention, or start it.

The one resume decision for every way of submitting (deferred, blocking, command line). Without I/O, as `wire`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bridge.intention import Attach, Intention, resume
from bridge.prefect_api import wire
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import Operation, Submission


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run that answers the intention; `attached` when it was there before."""

    run: FlowRun
    attached: bool


def submit(
    record: DeploymentRecord, intention: Intention, submission: Submission, *, generations: int = 1
) -> Operation[Submitted]:
    """The run of `intention`: one that lives or succeeded under its first `generations` keys, else a new one.

    `generations` is how many runs may have been started for the intention before: an Airflow task's number of tries.
    """
    found = yield from wire.find_flow_runs_by_keys(intention.generation_keys(generations))
    decision = resume(intention, found, generations)
    if isinstance(decision, Attach):
        return Submitted(decision.run, attached=True)
    keyed = replace(submission, idempotency_key=decision.key)
    run = yield from wire.create_flow_run(record, keyed, intention.deployment)
    return Submitted(run, attached=False)
