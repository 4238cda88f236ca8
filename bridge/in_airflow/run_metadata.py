"""What Prefect is told of the task instance that starts a flow run: tags, labels, trace and lineage parent.

Reads Airflow's task instance; asks nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from opentelemetry import propagate

from bridge.contracts import AIRFLOW_TAG
from bridge.tracing import Lineage, LineageRun

LINEAGE_PROVIDER = "airflow.providers.openlineage"


def tags_of(ti: Any, more: Sequence[str] = ()) -> list[str]:
    """Tags by which people find the flow run in Prefect."""
    mapped = [f"map_index:{ti.map_index}"] if ti.map_index >= 0 else []
    tags = [AIRFLOW_TAG, f"dag:{ti.dag_id}", f"run:{ti.run_id}", f"task:{ti.task_id}", *mapped, *more]
    return list(dict.fromkeys(tags))


def labels_of(ti: Any, lineage: Lineage) -> dict[str, str | int]:
    """Labels that name the task instance, its try and its page in Airflow, and what the run is part of."""
    return {
        "airflow.dag_id": ti.dag_id,
        "airflow.run_id": ti.run_id,
        "airflow.task_id": ti.task_id,
        "airflow.map_index": ti.map_index,
        "airflow.try_number": ti.try_number,
        "airflow.url": ti.log_url,
        **lineage.labels,
    }


def lineage_of(ti: Any) -> Lineage:
    """The current trace, and the task's OpenLineage run where Airflow's OpenLineage provider tells of it."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    traceparent = carrier.get("traceparent") or (getattr(ti, "context_carrier", None) or {}).get("traceparent")
    parent, root = _lineage(ti)
    return Lineage(traceparent, parent, root)


def _lineage(ti: Any) -> tuple[LineageRun | None, LineageRun | None]:
    if find_spec(LINEAGE_PROVIDER) is None:
        return None, None
    from importlib import import_module

    if import_module(f"{LINEAGE_PROVIDER}.conf").is_disabled():  # no transport is configured: no run would be there
        return None, None
    macros = import_module(f"{LINEAGE_PROVIDER}.plugins.macros")
    parent = LineageRun(macros.lineage_job_namespace(), macros.lineage_job_name(ti), macros.lineage_run_id(ti))
    root = LineageRun(
        macros.lineage_root_job_namespace(ti), macros.lineage_root_job_name(ti), macros.lineage_root_run_id(ti)
    )
    return parent, root
