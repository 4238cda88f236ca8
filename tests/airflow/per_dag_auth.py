"""Airflow's simple auth manager, with users who may do something with one DAG only: their name says what."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

READS, STARTS, EDITS = "reads-", "starts-", "edits-"


class PerDagAuthManager(SimpleAuthManager):
    """`reads-alpha` may read the DAG alpha, `starts-alpha` may start it besides, `edits-alpha` may do all with it.

    Other users go by their role.
    """

    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        name, dag_id = user.get_name(), details.id if details else None
        if name.startswith(READS):
            return method == "GET" and dag_id == name.removeprefix(READS)
        if name.startswith(STARTS):
            allowed = method == "GET" or (method == "POST" and access_entity is not None)
            return allowed and dag_id == name.removeprefix(STARTS)
        if name.startswith(EDITS):
            return dag_id == name.removeprefix(EDITS)
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
