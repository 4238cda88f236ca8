"""Which Prefect the page shows: Airflow's connection `prefect_default`. Blocks; call it in a thread."""

from __future__ import annotations

from airflow.sdk.exceptions import AirflowNotFoundException

from bridge.errors import ConnectionMisconfigured
from bridge.in_airflow.hook import DEFAULT_CONN_ID, PrefectHook
from bridge.prefect_api.connection import PrefectConnection


def find_prefect() -> PrefectConnection:
    """The connection as it stands in Airflow; raises ConnectionMisconfigured."""
    try:
        return PrefectHook(DEFAULT_CONN_ID).connection()
    except AirflowNotFoundException as error:
        raise ConnectionMisconfigured(
            f"Airflow has no connection {DEFAULT_CONN_ID!r}. Add one of type Prefect under Admin, Connections."
        ) from error
