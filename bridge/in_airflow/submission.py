"""One task instance's order at Prefect: placed once, and taken back when the task is ended.

Owns whose run is whose; how it is asked for, and when again, is `bridge.submitting`'s business. Runs are looked for
before anything is asked that concerns a start alone: deployment, schema, parameters.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from bridge.attempts import ASKED_AT_LABEL, DEPLOYMENT_LABEL, EPOCH_LABEL, Attempt, AttemptRecord, follow
from bridge.ending import describe_cancellation, lost_with_its_deployment
from bridge.errors import DeploymentNotFound, ParametersRejected
from bridge.in_airflow.attempt_journal import AttemptJournal
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.intention import AfterFailure, Intention
from bridge.parameters import check_job_variables, check_marks, check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import DeploymentRecord, FlowRun
from bridge.prefect_api.wire import RETRIED_MESSAGE, Submission
from bridge.submitting import (
    Claim,
    Submitted,
    answer_of,
    cancel_live,
    find_runs,
    generation_of,
    spend_key,
    submit,
)
from bridge.verdict import WAITING_TYPES

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""Between two questions, while Prefect knows neither the run of an earlier attempt nor its deployment."""


@dataclass
class Order:
    """What one attempt of a task instance asks for.

    `submission` gives parameters and marks, and is asked for where a run is to be started; `claim` finds the runs that
    are there. Raises what `submission` raises, and the tree of `bridge.errors`.
    """

    deployment: str
    attempt: Attempt
    claim: Claim
    journal: AttemptJournal
    submission: Callable[[], Submission]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the flow's process, where the deployment has a work pool that sets them."""
    after_failure: AfterFailure = "start_afresh"
    crash_grace_seconds: float = 0.0
    patience_seconds: float = 0.0

    @property
    def may_have_runs(self) -> bool:
        """Whether there may be something to cancel: an earlier attempt's run, or one that is being created."""
        return self.attempt.try_number > 1 or self.claim.intention is not None

    def place(self, client: PrefectClient, cache: DeploymentCache) -> Submitted:
        """The run that answers: one that is there, or a new one.

        What earlier attempts have left and this one does not go on with is cancelled first. A Prefect that knows
        neither this task's run nor its deployment is not the right one, or not yet: it is asked again for
        `patience_seconds`. Raises FlowRunLost after that.
        """
        before = self.journal.recall()
        until = time.monotonic() + self.patience_seconds
        while True:
            runs = self._find(client, before)
            try:
                return self._place(client, cache, before or _newest(runs), runs)
            except DeploymentNotFound as error:
                if before is None or before.flow_run_id is None or runs:
                    raise
                if time.monotonic() >= until:
                    raise lost_with_its_deployment(before.flow_run_id, client.connection.api_url, error) from error
                log.warning("Asking again: neither flow run %s nor %s", before.flow_run_id, error)
                time.sleep(LOOK_SECONDS)

    def _place(
        self, client: PrefectClient, cache: DeploymentCache, before: AttemptRecord | None, runs: Sequence[FlowRun]
    ) -> Submitted:
        record = follow(before, self.attempt, self.deployment, uuid4().hex)
        self.claim = replace(self.claim, identity=record.identity)
        answering = [run for run in runs if self._answers(client, run, record)]
        self._end_others(client, runs, answering)
        if before is not None:
            self._end_pending(client, before, record, runs)
        submitted = client.run(answer_of(answering, self.after_failure, self.crash_grace_seconds))
        if submitted is None:
            submitted = self._start(client, cache, record, _next_generation(answering))
        self.journal.write(replace(record, flow_run_id=submitted.run.id))
        return submitted

    def _find(self, client: PrefectClient, before: AttemptRecord | None) -> list[FlowRun]:
        """Those of the attempts before; a first one has none, and asks nobody."""
        if before is not None:
            self.claim = replace(self.claim, identity=before.identity)
        elif self.attempt.try_number <= 1:
            return []
        return client.run(find_runs(self.claim))

    def _answers(self, client: PrefectClient, run: FlowRun, record: AttemptRecord) -> bool:
        """Whether the run is of this epoch and deployment, which may have another name by now, or another id."""
        if run.labels.get(EPOCH_LABEL) != record.epoch:
            return False
        if run.labels.get(DEPLOYMENT_LABEL) == self.deployment:
            return True
        try:
            return client.run(wire.find_deployment(self.deployment)).id == run.deployment_id
        except DeploymentNotFound:
            return False

    def _end_others(self, client: PrefectClient, runs: Sequence[FlowRun], answering: Sequence[FlowRun]) -> None:
        others = [run for run in runs if run not in answering]
        for run in client.run(cancel_live(others)):
            log.info("The task was cleared, or is another: %s", describe_cancellation(run))

    def _end_pending(
        self, client: PrefectClient, before: AttemptRecord, record: AttemptRecord, runs: Sequence[FlowRun]
    ) -> None:
        """A creation of the attempt before may still be under way, which this one does not go on with."""
        if not before.pending or (record.epoch, record.deployment) == (before.epoch, before.deployment):
            return
        known = [run for run in runs if run.labels.get(EPOCH_LABEL) == before.epoch]
        for run in client.run(spend_key(self._claim_of(before, _next_generation(known)))):
            log.info("The task was cleared: %s", describe_cancellation(run))

    def _claim_of(self, record: AttemptRecord, generation: int) -> Claim:
        return replace(
            self.claim,
            identity=record.identity,
            intention=_intention(record),
            generation=generation,
            labels=record.labels,
        )

    def _start(
        self, client: PrefectClient, cache: DeploymentCache, record: AttemptRecord, generation: int
    ) -> Submitted:
        marks = self.submission()
        asked_at = {ASKED_AT_LABEL: datetime.now(UTC).isoformat()}
        marks = replace(marks, labels={**marks.labels, **record.labels, **asked_at})
        remembered = cache.recall(client.connection.api_url, self.deployment)
        if remembered is not None:
            try:
                return self._submit(client, remembered, marks, record, generation)
            except (ParametersRejected, DeploymentNotFound) as refusal:
                log.debug("Looking deployment %r up again: %s", self.deployment, refusal)
        found_anew = client.run(wire.find_deployment(self.deployment))
        cache.remember(client.connection.api_url, self.deployment, found_anew)
        return self._submit(client, found_anew, marks, record, generation)

    def _submit(
        self,
        client: PrefectClient,
        deployment: DeploymentRecord,
        marks: Submission,
        record: AttemptRecord,
        generation: int,
    ) -> Submitted:
        check_parameters(marks.parameters, deployment, self.deployment)
        check_job_variables(marks.job_variables, self.deployment)
        check_marks(marks.name, marks.tags, marks.labels, self.deployment)
        self.journal.write(replace(record, pending=True))
        known, self.claim = self.claim, self._claim_of(record, generation)
        try:
            return client.run(
                submit(
                    deployment,
                    _intention(record),
                    self._for_work_pool(marks) if deployment.work_pool_name else marks,
                    generation=generation,
                    after_failure=self.after_failure,
                    crash_grace_seconds=self.crash_grace_seconds,
                )
            )
        except (ParametersRejected, DeploymentNotFound):
            self.claim = known
            self.journal.write(record)
            raise

    def _for_work_pool(self, marks: Submission) -> Submission:
        if not self.environment:
            return marks
        variables: dict[str, Any] = dict(marks.job_variables)
        variables["env"] = {**self.environment, **variables.get("env", {})}
        return replace(marks, job_variables=variables)


def attempt_of(ti: Any, dag_run: Any, retries: int) -> Attempt:
    """The try that runs, by Airflow's numbers."""
    return Attempt(str(ti.id), ti.try_number, ti.max_tries, getattr(dag_run, "clear_number", 0), retries)


def _intention(record: AttemptRecord) -> Intention:
    return Intention(record.deployment, (record.identity, str(record.epoch)))


def _next_generation(runs: Sequence[FlowRun]) -> int:
    return max(map(generation_of, runs), default=-1) + 1


def _newest(runs: Sequence[FlowRun]) -> AttemptRecord | None:
    """The newest attempt, by what its run bears; None where the runs are of a bridge that knew no attempts."""
    found: list[AttemptRecord] = []
    for run in runs:
        try:
            found.append(AttemptRecord.of_run(run))
        except (KeyError, ValueError) as error:
            log.warning("Flow run %s does not say which attempt started it: %r", run.id, error)
    return max(found, key=lambda record: record.attempt.try_number, default=None)


def counted_from(submitted: Submitted) -> str | None:
    """From when on a run's limits count, in ISO 8601 by Prefect's clock; None: from its creation."""
    run = submitted.run
    # A run that Prefect has retried in place was created long before.
    was_retried = submitted.how == "retried" or run.run_count > 1 or begun_before(submitted) > 0
    return run.state_timestamp.isoformat() if was_retried and run.state_timestamp is not None else None


def begun_before(submitted: Submitted) -> int:
    """How often the run had begun before it was asked for; more than 0 after a retry in place."""
    run = submitted.run
    was_retried = submitted.how == "retried" or run.state_message == RETRIED_MESSAGE
    return run.run_count if was_retried and run.state_type in WAITING_TYPES else 0
