"""What the control page uses of Airflow's api-server beyond its public interface, in one place.

A plugin's pages run in Airflow's api-server, for which 3.3 declares no interface of its own: its security, its auth
manager and its database's tables are what its own pages use. Each of these may go when Airflow declares one;
`tests/airflow/test_airflow_internals.py` proves them and that they stand nowhere else.
"""

from __future__ import annotations

from airflow._shared.secrets_masker import redact
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from airflow.models import DagRun, Log
from airflow.models.dag import DagModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

__all__ = [
    "DagAccessEntity",
    "DagDetails",
    "DagModel",
    "DagRun",
    "GetUserDep",
    "Log",
    "SerializedDagModel",
    "TaskInstance",
    "XComModel",
    "create_session",
    "get_auth_manager",
    "get_user",
    "redact",
]
