"""Who or what started the running flow: a DAG run, another flow on its schedule, or a person.

Owns how that is read from Prefect. Must not know what the run does.
"""

from __future__ import annotations

from dataclasses import dataclass

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext

from factory.account import account
from flows.adapters.publication import flow_run_url

DAG_LABEL, RUN_LABEL, PAGE_LABEL = "airflow.dag_id", "airflow.run_id", "airflow.url"
USER_LABELS = ("control_page.retried_by", "control_page.user")
"""By which Airflow's control page says who was logged in, and asked for the run; a retry counts before a start."""


@dataclass(frozen=True, slots=True)
class Initiator:
    """`name` says it in words; addresses are None where they are not known."""

    name: str
    flow_run_id: str
    flow_run_url: str | None = None
    airflow_url: str | None = None


def find_initiator(ui_url: str | None, requested_by: str | None = None) -> Initiator:
    """Who is behind the running flow run: who was logged in where the control page started the run at the root of its
    parents, else `requested_by` when it is given, else that root run.

    A root run that Airflow started names the DAG run, one of a schedule itself, any other the person as far as that is
    known: the account for a flow that was called as a function, nobody for a deployment that was run by hand. Raises
    RuntimeError outside a flow run.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise RuntimeError("there is no running flow: call this from within one")
    run = context.flow_run
    root, root_flow = _root(run)
    labels = root.labels
    logged_in = next((str(labels[each]) for each in USER_LABELS if labels.get(each)), None)
    name = logged_in or requested_by or _name(root, root_flow)
    page = labels.get(PAGE_LABEL)
    return Initiator(name, str(run.id), flow_run_url(ui_url), str(page) if page else None)


def _name(root: FlowRun, flow_name: str) -> str:
    if DAG_LABEL in root.labels:
        return f"Airflow, {root.labels[DAG_LABEL]} {root.labels.get(RUN_LABEL, '')}".rstrip()
    if root.auto_scheduled:
        return f"Prefect's schedule, {flow_name} {root.name}"
    if root.created_by is not None and root.created_by.display_value:
        return f"{root.created_by.display_value}, {flow_name} {root.name}"
    if root.deployment_id is None:
        return f"{account()}, {flow_name} {root.name}"
    return f"by hand, {flow_name} {root.name}"


def _root(run: FlowRun) -> tuple[FlowRun, str]:
    """The run that has no parent, and its flow's name."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        while run.parent_task_run_id is not None:
            parent = client.read_task_run(run.parent_task_run_id).flow_run_id
            if parent is None:
                break
            run = client.read_flow_run(parent)
        return run, client.read_flow(run.flow_id).name
