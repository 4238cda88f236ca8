"""Waiting for what this task did not start: Prefect itself (`PrefectReady`), and flow runs (`WaitForFlowRuns`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from airflow.sdk import BaseSensorOperator, XComArg
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from bridge.errors import BridgeError, FlowRunsFailed, PrefectUnreachable
from bridge.in_airflow.arguments import flag, rendered_texts, seconds, text, texts
from bridge.in_airflow.hand_over import resume_not_before, wait_here
from bridge.in_airflow.hook import DEFAULT_CONN_ID, PrefectHook
from bridge.in_airflow.many_runs import FlowRunsTrigger
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.retrying import RetryPolicy
from bridge.quorum import Needs, Quorum, check_needs, quorum_of
from bridge.readiness import examine
from bridge.run_summary import describe_ended, summarise_runs

ERRORS_BORNE = 5
"""After so many waits in a row that failed, the worker waits itself; what fails there as well is raised.

What the triggerer lacks alone (a TLS file, a way through a firewall) would else start a worker again and again.
"""


class PrefectReady(BaseSensorOperator):
    """Succeeds once the API answers, the deployments exist, and nothing keeps Prefect from starting their runs.

    Pauses and limits of pools and queues keep it waiting; a deployment whose schedules are paused does not, nor do
    slots that other runs have taken: a run that is asked for then is started, or waits its turn.

    :param deployments: a list of `<flow>/<deployment>`, templated, or another task's output that is one.

    Refused credentials fail at once: waiting does not mend them. What is missing is said at every poke.
    Raises ValueError where `deployments` is one string.
    """

    template_fields: Sequence[str] = ("deployments", "prefect_conn_id")

    def __init__(
        self,
        *,
        deployments: Sequence[str] | XComArg,
        prefect_conn_id: str = DEFAULT_CONN_ID,
        poke_interval: float = 5.0,
        timeout: float = 300.0,
        mode: str = "reschedule",
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, mode=mode, **kwargs)
        self.deployments: Any = texts(deployments, "deployments")
        self.prefect_conn_id: Any = text(prefect_conn_id, "prefect_conn_id")

    def poke(self, context: Mapping[str, Any]) -> bool:  # noqa: ARG002 — Airflow's signature
        """Whether everything is in order."""
        deployments = rendered_texts(self.deployments, "deployments")
        try:
            connection = PrefectHook(self.prefect_conn_id).connection()
            with PrefectClient(connection, RetryPolicy(attempts=2)) as client:
                findings = client.run(examine(deployments))
        except BridgeError as error:
            if not error.retryable:
                raise AirflowFailException(str(error)) from error
            self.log.warning("Not ready: %s", error)
            return False
        for finding in findings:
            if finding.in_order:
                hint = f". Remedy: {finding.remedy}" if finding.remedy else ""
                self.log.info("%s: %s%s", finding.subject, finding.detail, hint)
            else:
                self.log.warning("Not ready: %s: %s. Remedy: %s", finding.subject, finding.detail, finding.remedy)
        return all(finding.in_order for finding in findings)


class WaitForFlowRuns(BaseSensorOperator):
    """Wait for flow runs that were started elsewhere, or by `RunPrefectDeployment(wait=False)`.

    :param flow_run_ids: one or several, templated, or other tasks' output; what `RunPrefectDeployment(wait=False)`
        hands back (`{"flow_run_id": ...}`) serves as well.
    :param needs: "all" must complete, "any" one of them, or at least so many. It fails as soon as too few can.
    :param prefect_conn_id: Airflow connection of type `prefect`.
    :param deferrable: wait in the triggerer (default) or on the worker; the semantics are the same.
    :param timeout: seconds from the first look of the attempt, by Prefect's clock, so that none of Airflow's machines
        ends the wait by a clock that is wrong or was set; then it fails. A shorter `execution_timeout` counts instead.
    :param crash_grace_seconds: how long a CRASHED run may report again before it is taken for crashed.
    :param patience_seconds: for so long Prefect may give no answer while they are waited for.

    Hands back a list with `{"flow_run_id", "name", "state", "url", "result"}` for each run that has ended, in the order
    given; a result that cannot be handed on is null, and `result_error` beside it says why. Fails with FlowRunsFailed,
    which names the runs; with `soft_fail` the task is skipped. Never cancels a run.
    """

    template_fields: Sequence[str] = ("flow_run_ids", "prefect_conn_id")
    ui_color = "#dbe7ff"

    def __init__(
        self,
        *,
        flow_run_ids: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | XComArg,
        needs: Needs = "all",
        prefect_conn_id: str = DEFAULT_CONN_ID,
        deferrable: bool = True,
        timeout: float = 7 * 24 * 3600.0,
        crash_grace_seconds: float = 30.0,
        patience_seconds: float = 300.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(timeout=timeout, **kwargs)
        self.flow_run_ids: Any = flow_run_ids
        self.needs = check_needs(needs)
        self.prefect_conn_id: Any = text(prefect_conn_id, "prefect_conn_id")
        self.deferrable = flag(deferrable, "deferrable")
        self.crash_grace_seconds = seconds(crash_grace_seconds, "crash_grace_seconds")
        self.patience_seconds = seconds(patience_seconds, "patience_seconds")

    def execute(self, context: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG002 — Airflow's signature
        """Wait until the rule is met; hand back the runs that have ended."""
        flow_run_ids = _ids_of(self.flow_run_ids)
        quorum = quorum_of(self.needs, len(flow_run_ids))
        first_look = {"because": "", "detail": "", "deadline": None}
        return self._decide({**first_look, "flow_run_ids": flow_run_ids, "needed": quorum.needed})

    def execute_complete(self, context: Mapping[str, Any], event: Mapping[str, Any]) -> list[dict[str, Any]]:  # noqa: ARG002
        """Resumed by the trigger: the runs are read again, whatever the event says."""
        return self._decide(event)

    def _decide(self, event: Mapping[str, Any]) -> list[dict[str, Any]]:
        flow_run_ids, quorum = event["flow_run_ids"], Quorum(event["needed"], len(event["flow_run_ids"]))
        try:
            with PrefectHook(self.prefect_conn_id).client() as client:
                while True:
                    stock = client.run(summarise_runs(client.connection, flow_run_ids, self.crash_grace_seconds))
                    standing = quorum.standing(len(stock.completed), len(stock.errors))
                    if standing == "met":
                        return client.run(describe_ended(client.connection, flow_run_ids, stock))
                    if event["deadline"] is None:
                        until = stock.read_at + timedelta(seconds=self._limit_seconds)
                        event = {**event, "deadline": until.isoformat()}
                    is_over = event["because"] == "deadline" and stock.read_at >= datetime.fromisoformat(
                        event["deadline"]
                    )
                    if standing == "failed" or is_over:
                        waited = self._limit_seconds if standing == "open" else None
                        raise stock.failure(quorum, client.connection, waited)
                    event = self._wait_again(event)
        except FlowRunsFailed as error:
            if self.soft_fail:
                raise AirflowSkipException(str(error)) from error
            raise AirflowFailException(str(error)) from error  # waiting again changes nothing
        except BridgeError as error:
            if error.retryable:
                raise
            raise AirflowFailException(str(error)) from error

    def _wait_again(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The next event, where the wait is on the worker; else the task is deferred."""
        errors = event.get("errors_so_far", 0)
        if errors > ERRORS_BORNE:
            raise PrefectUnreachable(f"Waiting failed {errors} times in a row, last: {event['detail']}")
        if event["because"] == "error":
            self.log.warning("Waiting again: %s", event["detail"])
        waiting = self._trigger(event["flow_run_ids"], event["needed"], event["deadline"], errors)
        if self.deferrable and errors < ERRORS_BORNE:
            self.defer(trigger=waiting, method_name="execute_complete")
        return wait_here(waiting)

    @property
    def _limit_seconds(self) -> float:
        """Airflow does not enforce a deferred task's `execution_timeout`."""
        if self.execution_timeout is None:
            return self.timeout
        return min(self.timeout, self.execution_timeout.total_seconds())

    def _trigger(
        self, flow_run_ids: Sequence[str], needed: int, deadline: str, errors_so_far: int = 0
    ) -> FlowRunsTrigger:
        return FlowRunsTrigger(
            prefect_conn_id=self.prefect_conn_id,
            flow_run_ids=flow_run_ids,
            needed=needed,
            deadline=deadline,
            crash_grace_seconds=self.crash_grace_seconds,
            patience_seconds=self.patience_seconds,
            resume_not_before=resume_not_before() if self.deferrable and errors_so_far < ERRORS_BORNE else None,
            errors_so_far=errors_so_far,
        )


def _ids_of(given: Any) -> list[str]:
    """The ids, each once, in the order given; raises AirflowFailException where something is none."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        try:
            given = json.loads(given)
        except ValueError as error:
            raise AirflowFailException(f"flow_run_ids is no JSON list ({error}): {given[:200]}") from error
    several = [given] if isinstance(given, str | Mapping) else given
    if not isinstance(several, Iterable):
        raise AirflowFailException(f"flow_run_ids={given!r} is no list: give ids, or what starts flow runs hands back")
    ids = (each.get("flow_run_id") if isinstance(each, Mapping) else each for each in several)
    return list(dict.fromkeys(map(_checked, ids)))


def _checked(flow_run_id: Any) -> str:
    try:
        return str(UUID(str(flow_run_id)))
    except ValueError as error:
        raise AirflowFailException(
            f"{flow_run_id!r} is not the id of a flow run: give ids, or what RunPrefectDeployment(wait=False) returns"
        ) from error
