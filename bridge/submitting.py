"""Submit once: the run that answers an intention is found or started, and can be taken back.

The one resume decision for every way of submitting (deferred, blocking, command line). Without I/O, as `wire`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import urlsplit

from bridge.attempts import GENERATION_LABEL, IDENTITY_LABEL
from bridge.errors import DeploymentNotFound, FlowRunCancelled, PrefectUnreachable
from bridge.intention import AfterFailure, Attach, Intention, RetryInPlace, Start, resume
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.run_queries import filter_flow_runs
from bridge.prefect_api.wire import ENDED_TYPES, Submission
from bridge.verdict import LIVE_TYPES, Ended, Live, is_final, judge

CANCELLATION_SECONDS = 10.0
"""How long a run that is being cancelled may take; a worker confirms the end after some four seconds."""

URL_LABEL = "airflow.url"

Labels = Mapping[str, str | int | float | bool]


@dataclass(frozen=True, slots=True)
class Submitted:
    """The run that answers the intention, and how it came to do so."""

    run: FlowRun
    how: Literal["started", "attached", "retried"]

    @property
    def attached(self) -> bool:
        """Whether it was there before and is left as it is."""
        return self.how == "attached"


@dataclass(frozen=True, slots=True)
class Claim:
    """Which runs are a task instance's: those that bear `tags`, and its `identity` where one is known.

    Before that is known, those that bear the address of the same Airflow (`airflow_url` is any page of it). Where a
    creation may be under way, `intention` and `generation` are those of its key, and `labels` what its run bears.
    """

    tags: tuple[str, ...]
    airflow_url: str
    identity: str | None = None
    intention: Intention | None = None
    generation: int = 0
    labels: Labels = field(default_factory=dict)

    def holds(self, run: FlowRun) -> bool:
        """Whether a run that bears the tags is this task instance's."""
        if self.identity is not None:
            return bool(run.labels.get(IDENTITY_LABEL) == self.identity)
        return _airflow_of(str(run.labels.get(URL_LABEL, ""))) == _airflow_of(self.airflow_url)


def find_runs(claim: Claim) -> Operation[list[FlowRun]]:
    """The runs of a task instance, the oldest generation first: those that live, and the newest of those that ended."""
    found: dict[str, FlowRun] = {}
    for types in (LIVE_TYPES, ENDED_TYPES):
        wanted = {"flow_runs": {"tags": {"all_": list(claim.tags)}, "state": {"type": {"any_": sorted(types)}}}}
        rows = yield from filter_flow_runs(wanted, sort="EXPECTED_START_TIME_DESC", limit=PAGE)
        found |= {run.id: run for run in reversed(rows) if claim.holds(run)}
    return sorted(found.values(), key=generation_of)


def generation_of(run: FlowRun) -> int:
    """How many runs its epoch had before it."""
    return int(run.labels.get(GENERATION_LABEL, 0))


def submit(
    record: DeploymentRecord,
    intention: Intention,
    submission: Submission,
    *,
    generation: int = 0,
    after_failure: AfterFailure = "start_afresh",
    crash_grace_seconds: float = 0.0,
) -> Operation[Submitted]:
    """A new run for `intention` under the key of `generation`, or the run that bears this key already.

    Where that one has ended badly, the next generation is started. One that is being cancelled is no answer, and its
    end is waited for a while. Raises FlowRunCancelled where the intention was taken back meanwhile.
    """
    while True:
        key = intention.generation_key(generation)
        marked = replace(submission, idempotency_key=key, labels=_marked(submission.labels, generation))
        created = yield from _create(record, intention.deployment, marked)
        if created.new:
            return Submitted(created.run, "started")
        if created.run.state_message == wire.TAKEN_BACK_MESSAGE:
            raise FlowRunCancelled(
                f"The start of {intention.deployment!r} was taken back while it was under way: its task was ended",
                flow_run_id=created.run.id,
            )
        answer = yield from answer_of([created.run], after_failure, crash_grace_seconds)
        if answer is not None:
            return answer
        generation += 1


def answer_of(
    runs: Sequence[FlowRun], after_failure: AfterFailure, crash_grace_seconds: float
) -> Operation[Submitted | None]:
    """The run among those of one intention, the oldest first, that answers it; None where a new one must be started.

    A run that has crashed is waited for as long as it may report again.
    """

    def is_ended(run: FlowRun) -> bool:
        ended = isinstance(judge(run), Ended) and is_final(run, crash_grace_seconds, datetime.now(UTC))
        return ended or run.state_type == "CANCELLING"

    settled = yield from _when_cancelled(runs)
    decision = resume(settled, after_failure, is_ended)
    if isinstance(decision, Start):
        return None
    if isinstance(decision, RetryInPlace):
        return Submitted((yield from wire.retry_flow_run(decision.run.id)), "retried")
    assert isinstance(decision, Attach)  # noqa: S101 — tells the type checker that there is no fourth
    return Submitted(decision.run, "attached")


def cancel_live(runs: Iterable[FlowRun]) -> Operation[list[FlowRun]]:
    """Cancel those of the runs that live; says how they stand afterwards."""
    cancelled: list[FlowRun] = []
    for run in runs:
        if isinstance(judge(run), Live):
            cancelled.append((yield from wire.cancel_flow_run(run.id)))  # noqa: PERF401 — a comprehension cannot yield
    return cancelled


def take_back(claim: Claim) -> Operation[list[FlowRun]]:
    """Cancel what lives of a task instance, also what may only just be on its way to Prefect; gives the cancelled."""
    cancelled = yield from cancel_live((yield from find_runs(claim)))
    return cancelled + (yield from spend_key(claim))


def spend_key(claim: Claim) -> Operation[list[FlowRun]]:
    """See to it that the creation that may be under way starts nothing; gives the runs that it had started by now.

    Prefect creates one run a key, whoever asks first: the creation finds its key spent when it arrives, on a run that
    was cancelled from the beginning. A deployment that is gone can start nothing.
    """
    cancelled: list[FlowRun] = []
    if claim.intention is None:
        return cancelled
    intention, generation = claim.intention, claim.generation
    try:
        record = yield from wire.find_deployment(intention.deployment)
        while True:
            marked, key = _marked(claim.labels, generation), intention.generation_key(generation)
            spent = Submission({}, key, tags=claim.tags, labels=marked)
            created = yield from wire.create_flow_run(record, spent, intention.deployment, cancelled=True)
            if created.new or created.run.state_message == wire.TAKEN_BACK_MESSAGE:
                return cancelled
            cancelled += yield from cancel_live([created.run])
            if not isinstance(judge(created.run), Ended):
                return cancelled
            generation += 1
    except DeploymentNotFound:
        return cancelled


def _marked(labels: Labels, generation: int) -> Labels:
    return {**labels, GENERATION_LABEL: generation}


def _when_cancelled(runs: Sequence[FlowRun]) -> Operation[list[FlowRun]]:
    """The runs as they stand once those that are being cancelled have ended, or have had the time to."""
    settled: list[FlowRun] = []
    for run in runs:
        looks_left = int(CANCELLATION_SECONDS / wire.CONFIRM_INTERVAL_SECONDS)
        now = run
        while now.state_type == "CANCELLING" and looks_left:
            now = yield from wire.read_flow_run(run.id, after_seconds=wire.CONFIRM_INTERVAL_SECONDS)
            looks_left -= 1
        settled.append(now)
    return settled


def _create(record: DeploymentRecord, deployment: str, submission: Submission) -> Operation[wire.Created]:
    try:
        return (yield from wire.create_flow_run(record, submission, deployment))
    except PrefectUnreachable as error:
        raise PrefectUnreachable(
            f"{error}. It is not known whether a flow run of {deployment!r} was started. If so it bears the idempotency"
            f" key {submission.idempotency_key}: whoever asks again under that key is given it, and no second one is "
            "started"
        ) from error


def _airflow_of(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.netloc, parts.path.partition("/dags/")[0]
