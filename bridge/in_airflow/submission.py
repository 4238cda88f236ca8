"""One task instance's order at Prefect: placed once, and taken back when the task is killed.

Owns what is asked and under which keys; how it is asked and when it is asked again is `bridge.submitting`'s business.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bridge.ending import describe_cancellation
from bridge.errors import DeploymentNotFound, ParametersRejected
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.intention import AfterFailure, AirflowIntention
from bridge.parameters import check_job_variables, check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import DeploymentRecord
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import RETRIED_MESSAGE, Submission
from bridge.submitting import Submitted, cancel_by_keys, submit
from bridge.verdict import WAITING_TYPES

log = logging.getLogger(__name__)

ARRIVAL_SECONDS = 2.5
"""How long a creation may be under way when its sender is killed; Airflow kills for good after five seconds."""
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class Order:
    """What a task instance asks for: the parameters and marks of a run, under the keys of its intention."""

    intention: AirflowIntention
    submission: Submission
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables for the flow's process, where the deployment has a work pool that sets them."""
    after_failure: AfterFailure = "start_afresh"
    crash_grace_seconds: float = 0.0

    def place(self, client: PrefectClient, cache: DeploymentCache) -> Submitted:
        """The run that answers: one that is there, or a new one.

        Runs of earlier epochs that still live are cancelled first: a clear has ended them.
        """
        self._cancel_superseded(client)
        name, api_url = self.intention.deployment, client.connection.api_url
        remembered = cache.recall(api_url, name)
        if remembered is not None:
            try:
                return self._submit(client, remembered)
            except (ParametersRejected, DeploymentNotFound) as refusal:
                log.debug("Looking deployment %r up again: %s", name, refusal)
        record = client.run(wire.find_deployment(name))
        cache.remember(api_url, name, record)
        return self._submit(client, record)

    def withdraw(self, connection: PrefectConnection) -> None:
        """Cancel the run of this order, which may only just be on its way to Prefect; and only that."""
        until = time.monotonic() + ARRIVAL_SECONDS
        with PrefectClient(connection, RetryPolicy(attempts=3)) as client:
            while not (cancelled := client.run(cancel_by_keys(self.intention.keys))) and time.monotonic() < until:
                time.sleep(LOOK_SECONDS)
        for run in cancelled:
            log.info("The task was ended: %s", describe_cancellation(run))

    def _submit(self, client: PrefectClient, record: DeploymentRecord) -> Submitted:
        check_parameters(self.submission.parameters, record, self.intention.deployment)
        check_job_variables(self.submission.job_variables, self.intention.deployment)
        return client.run(
            submit(
                record,
                self.intention.now,
                self._for_work_pool() if record.work_pool_name else self.submission,
                generations=self.intention.tries,
                after_failure=self.after_failure,
                crash_grace_seconds=self.crash_grace_seconds,
            )
        )

    def _for_work_pool(self) -> Submission:
        if not self.environment:
            return self.submission
        variables: dict[str, Any] = dict(self.submission.job_variables)
        variables["env"] = {**self.environment, **variables.get("env", {})}
        return Submission(
            self.submission.parameters,
            tags=self.submission.tags,
            labels=self.submission.labels,
            job_variables=variables,
        )

    def _cancel_superseded(self, client: PrefectClient) -> None:
        if keys := self.intention.superseded_keys:
            for run in client.run(cancel_by_keys(keys)):
                log.info("The task was cleared: %s", describe_cancellation(run))


def intention_of(ti: Any, dag_run: Any, deployment: str) -> AirflowIntention:
    """What this try of the task instance means."""
    return AirflowIntention(
        deployment,
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        begun=str(dag_run.start_date and dag_run.start_date.astimezone(UTC).isoformat()),
        task_id=ti.task_id,
        map_index=ti.map_index,
        epoch=ti.max_tries,
        tries=max(1, ti.try_number),
    )


def waited_since(submitted: Submitted, now: datetime) -> datetime:
    """From when on a run's deadlines count: now for one that is asked for now, else when it was started."""
    run = submitted.run
    if submitted.how != "attached":
        return now
    # A run that Prefect has retried in place was created long before.
    return (run.state_timestamp if run.run_count > 1 or begun_before(submitted) else run.created) or now


def begun_before(submitted: Submitted) -> int:
    """How often the run had begun before it was asked for; more than 0 after a retry in place."""
    run = submitted.run
    was_retried = submitted.how == "retried" or run.state_message == RETRIED_MESSAGE
    return run.run_count if was_retried and run.state_type in WAITING_TYPES else 0
