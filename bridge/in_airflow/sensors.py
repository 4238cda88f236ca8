"""`PrefectReady`: wait until Prefect can run what a DAG is about to ask of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from bridge.errors import BridgeError
from bridge.in_airflow.hook import DEFAULT_CONN_ID, PrefectHook
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import examine


class PrefectReady(BaseSensorOperator):
    """Succeeds once the API answers, the deployments exist, and a worker polls each of their pools.

    Refused credentials fail at once: waiting does not mend them. What is missing is said at every poke.
    """

    template_fields: Sequence[str] = ("deployments", "prefect_conn_id")

    def __init__(
        self,
        *,
        deployments: Sequence[str],
        prefect_conn_id: str = DEFAULT_CONN_ID,
        poke_interval: float = 5.0,
        timeout: float = 300.0,
        mode: str = "reschedule",
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, timeout=timeout, mode=mode, **kwargs)
        self.deployments = list(deployments)
        self.prefect_conn_id = prefect_conn_id

    def poke(self, context: Mapping[str, Any]) -> bool:  # noqa: ARG002 — Airflow's signature
        """Whether everything is in order."""
        try:
            connection = PrefectHook(self.prefect_conn_id).connection()
            with PrefectClient(connection, RetryPolicy(attempts=2)) as client:
                findings = client.run(examine(self.deployments))
        except BridgeError as error:
            if not error.retryable:
                raise AirflowFailException(str(error)) from error
            self.log.warning("Not ready: %s", error)
            return False
        for finding in findings:
            if finding.in_order:
                self.log.info("%s: %s", finding.subject, finding.detail)
            else:
                self.log.warning("Not ready: %s: %s. Remedy: %s", finding.subject, finding.detail, finding.remedy)
        return all(finding.in_order for finding in findings)
