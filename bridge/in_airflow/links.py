"""The button "Open in Prefect" on a task instance.

The run's address is pushed as an XCom as soon as the run is known, so that the button shows while the task runs and
survives its failure.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink

from bridge.in_airflow.airflow_internals import link_address

FLOW_RUN_URL_KEY = "prefect_flow_run_url"
FLOW_RUN_ID_KEY = "prefect_flow_run_id"


class PrefectFlowRunLink(BaseOperatorLink):
    """Opens the flow run in Prefect's web interface."""

    name = "Open in Prefect"

    @property
    def xcom_key(self) -> str:
        return FLOW_RUN_URL_KEY

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 — Airflow's signature
        return link_address(self.xcom_key, ti_key)
