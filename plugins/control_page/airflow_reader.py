"""What Airflow's own database says: which DAG starts which deployment, how DAG runs stand, what a task has started.

Reads only. Blocks; call it in a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select

from bridge.in_airflow.links import FLOW_RUN_ID_KEY
from factory.contracts import ModelsResult
from plugins.control_page.airflow_internals import (
    DagModel,
    DagRun,
    SerializedDagModel,
    TaskInstance,
    XComModel,
    create_session,
)

OWNERS_SECONDS = 30
OUTCOME_TASK, RESULT_KEY = "outcome", "return_value"
OPERATORS = frozenset({"RunPrefectDeployment"})


@dataclass(frozen=True, slots=True)
class LastDagRun:
    """The newest run of a DAG, and when its next one is due."""

    dag_id: str
    run_id: str | None
    state: str | None
    began: datetime | None
    ended: datetime | None
    next_due: datetime | None
    paused: bool
    failed_models: Mapping[str, str] = field(default_factory=dict)
    """In which task a model failed, and why, where the run was a success for others."""


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """A task instance and the flow run that its last try started; `is_ours` tells whether its task starts such runs."""

    state: str | None
    flow_run_id: str | None
    is_ours: bool


def owners_of_deployments() -> Mapping[str, frozenset[str]]:
    """For each deployment that a DAG's task names, those DAGs; as Airflow knew them less than 30 s ago."""
    return _owners(int(monotonic() // OWNERS_SECONDS))


@lru_cache(maxsize=1)
def _owners(period: int) -> Mapping[str, frozenset[str]]:  # noqa: ARG001 — ends the cache
    found: dict[str, set[str]] = {}
    with create_session() as session:
        dag_ids = list(session.scalars(select(DagModel.dag_id).where(DagModel.is_stale.is_(False))))
        for dag in SerializedDagModel.get_latest_serialized_dags(dag_ids=dag_ids, session=session):
            for name in _deployments_in(dag.data or {}):
                found.setdefault(name, set()).add(dag.dag_id)
    return {name: frozenset(dags) for name, dags in found.items()}


def _deployments_in(document: Mapping[str, Any]) -> Iterable[str]:
    for task in document.get("dag", {}).get("tasks", []):
        fields = task.get("__var", task)
        mapped = fields.get("partial_kwargs") or {}
        for name in (fields.get("deployment_name"), mapped.get("deployment"), mapped.get("deployment_name")):
            if isinstance(name, str) and "/" in name:
                yield name


def last_dag_runs(dag_ids: Iterable[str]) -> list[LastDagRun]:
    """How the newest run of each of these DAGs stands."""
    found: list[LastDagRun] = []
    with create_session() as session:
        for dag_id in sorted(dag_ids):
            dag = session.get(DagModel, dag_id)
            if dag is None:
                continue
            newest = select(DagRun).where(DagRun.dag_id == dag_id).order_by(DagRun.run_after.desc()).limit(1)
            run = session.scalars(newest).first()
            due = dag.next_dagrun_create_after if not dag.is_paused else None
            found.append(
                LastDagRun(
                    dag_id,
                    run_id=run.run_id if run else None,
                    state=str(run.state) if run else None,
                    began=run.start_date if run else None,
                    ended=run.end_date if run else None,
                    next_due=due,
                    paused=bool(dag.is_paused),
                    failed_models=failed_models(dag_id, run.run_id) if run else {},
                )
            )
    return found


def failed_models(dag_id: str, run_id: str) -> dict[str, str]:
    """What the task `outcome` of a run with several models has told; nothing where there is no such, or not yet."""
    pushed = XComModel.get_many(run_id=run_id, key=RESULT_KEY, dag_ids=dag_id, task_ids=OUTCOME_TASK, limit=1)
    with create_session() as session:
        found = session.scalars(pushed).first()
        told = XComModel.deserialize_value(found) if found is not None else None
    try:
        return ModelsResult.model_validate(told).failed
    except ValidationError:  # any task may bear that name, and push anything
        return {}


def task_facts(dag_id: str, run_id: str, task_id: str, map_index: int) -> TaskFacts | None:
    """What is known of the task instance; None where there is no such."""
    with create_session() as session:
        ti = session.scalars(
            select(TaskInstance).where(
                TaskInstance.dag_id == dag_id,
                TaskInstance.run_id == run_id,
                TaskInstance.task_id == task_id,
                TaskInstance.map_index == map_index,
            )
        ).first()
        if ti is None:
            return None
        pushed = XComModel.get_many(
            run_id=run_id, key=FLOW_RUN_ID_KEY, dag_ids=dag_id, task_ids=task_id, map_indexes=map_index, limit=1
        )
        found = session.scalars(pushed).first()
        value = XComModel.deserialize_value(found) if found is not None else None
        return TaskFacts(str(ti.state) if ti.state else None, _run_id(value), (ti.operator or "") in OPERATORS)


def _run_id(value: Any) -> str | None:
    """Any task may push anything under that key; what is no id becomes part of no address."""
    try:
        return str(UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None
