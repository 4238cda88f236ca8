"""The Prefect run behind each task of a DAG run, found by the labels that the bridge gives it."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.contracts import AIRFLOW_TAG
from stack.prefect_api import PrefectApi


@dataclass(frozen=True, slots=True)
class SeenFlowRun:
    """A flow run as a person looks for it; `state` is Prefect's name of it."""

    name: str
    state: str
    url: str


def flow_runs_by_task(prefect: PrefectApi, dag_id: str, run_id: str) -> dict[tuple[str, int], SeenFlowRun]:
    """The newest flow run of each task, by its id and map index; empty while Prefect does not answer."""
    tags = [AIRFLOW_TAG, f"dag:{dag_id}", f"run:{run_id}"]
    query = {"flow_runs": {"tags": {"all_": tags}}, "sort": "EXPECTED_START_TIME_ASC"}
    seen: dict[tuple[str, int], SeenFlowRun] = {}
    for document in prefect.ask("/flow_runs/filter", query) or []:
        task = document["labels"].get("airflow.task_id")
        if task:
            url = f"{prefect.web_url}/runs/flow-run/{document['id']}"
            seen_run = SeenFlowRun(document["name"], document["state_name"] or "", url)
            seen[task, document["labels"]["airflow.map_index"]] = seen_run
    return seen
