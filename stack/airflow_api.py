"""Airflow's REST API, as far as the demo needs it.

Owns requests and answers. Raises StackError with Airflow's own words; knows nothing of weeks or screens.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from stack.identity import ADMIN
from stack.settings import StackError

REQUEST_SECONDS = 30
NOT_MAPPED = -1
"""Airflow's index of a task instance that is no member of a mapped task."""
READ_ATTEMPTS = 3
"""A busy machine lets a request wait; what only reads is asked again."""


@dataclass(frozen=True, slots=True)
class DagRun:
    """A run of a DAG; `state` is Airflow's word."""

    run_id: str
    state: str
    logical_date: datetime | None


@dataclass(frozen=True, slots=True)
class TaskInstance:
    """A task of a run; `state` is Airflow's word, or `waiting` before it has one.

    A member of a mapped task has its index, and `member`, what people call it.
    """

    task_id: str
    state: str
    try_number: int
    seconds: float | None
    map_index: int = NOT_MAPPED
    member: str = ""

    @property
    def name(self) -> str:
        """How it is shown beside the others."""
        return f"{self.task_id} {self.member}".rstrip()


class AirflowApi:
    """One DAG of one Airflow, reached with the stack's admin login."""

    def __init__(self, url: str, password: str, dag_id: str) -> None:
        self._dag = f"/api/v2/dags/{dag_id}"
        self._client = httpx.Client(base_url=url, timeout=REQUEST_SECONDS, trust_env=False)
        token = self._send("POST", "/auth/token", json={"username": ADMIN, "password": password})["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def is_parsed(self) -> bool:
        """Whether the dag-processor has found the DAG."""
        return self._answer("GET", self._dag).status_code == httpx.codes.OK

    def import_errors(self) -> list[str]:
        """What the dag-processor says of files that it could not import."""
        found = self._send("GET", "/api/v2/importErrors")["import_errors"]
        return [f"{error['filename']}\n{error['stack_trace']}" for error in found]

    def unpause(self) -> None:
        """Let the scheduler run the DAG."""
        self._send("PATCH", self._dag, json={"is_paused": False})

    def runs(self) -> list[DagRun]:
        """The newest hundred runs."""
        answer = self._send("GET", f"{self._dag}/dagRuns", params={"limit": 100, "order_by": "-run_after"})
        return [_dag_run(document) for document in answer["dag_runs"]]

    def run(self, run_id: str) -> DagRun:
        """One run as it stands."""
        return _dag_run(self._send("GET", f"{self._dag}/dagRuns/{run_id}"))

    def trigger(self, logical_date: datetime) -> DagRun:
        """Start the run of that date; one that stands there already is refused by Airflow."""
        body = {"logical_date": logical_date.isoformat()}
        return _dag_run(self._send("POST", f"{self._dag}/dagRuns", json=body))

    def clear_failed(self, run_id: str) -> None:
        """Run the failed tasks of a run again."""
        self._send("POST", f"{self._dag}/dagRuns/{run_id}/clear", json={"dry_run": False, "only_failed": True})

    def tasks(self, run_id: str) -> list[TaskInstance]:
        """The run's task instances, in Airflow's order."""
        found = self._send("GET", f"{self._dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return [
            TaskInstance(
                each["task_id"],
                each["state"] or "waiting",
                each["try_number"],
                each["duration"],
                each["map_index"],
                each["rendered_map_index"] or "",
            )
            for each in found
        ]

    def times(self, run_id: str) -> tuple[datetime, dict[str, datetime]]:
        """When the run began, and when each of its tasks that has ended did."""
        began = self._send("GET", f"{self._dag}/dagRuns/{run_id}")["start_date"]
        found = self._send("GET", f"{self._dag}/dagRuns/{run_id}/taskInstances")["task_instances"]
        ends = {each["task_id"]: datetime.fromisoformat(each["end_date"]) for each in found if each["end_date"]}
        return datetime.fromisoformat(began), ends

    def result(self, run_id: str, task_id: str, map_index: int = NOT_MAPPED) -> dict[str, Any] | None:
        """What the task, or that member of a mapped one, handed back; None when it handed back nothing."""
        where = f"{self._dag}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
        answer = self._answer("GET", where, params={"map_index": map_index})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        value = _checked(answer)["value"]
        document = json.loads(value) if isinstance(value, str) else value
        return document if isinstance(document, dict) else None

    def error(self, run_id: str, task: TaskInstance) -> str:
        """The last error in the log of the task's last attempt; without one, the log's last lines."""
        where = f"{self._dag}/dagRuns/{run_id}/taskInstances/{task.task_id}/logs/{max(1, task.try_number)}"
        asked = {"full_content": True, "map_index": task.map_index}
        answer = self._send("GET", where, params=asked, headers={"Accept": "application/json"})
        return last_error(answer["content"])

    def _send(self, method: str, path: str, **request: Any) -> Any:
        return _checked(self._answer(method, path, **request))

    def _answer(self, method: str, path: str, **request: Any) -> httpx.Response:
        attempts = READ_ATTEMPTS if method == "GET" else 1
        while True:
            attempts -= 1
            try:
                return self._client.request(method, path, **request)
            except httpx.TransportError as error:
                if not attempts:
                    where = self._client.base_url
                    raise StackError(f"Airflow at {where} does not answer: {error!r}; see make status") from error


def last_error(content: list[Any]) -> str:
    """The last exception or error of a task's log as Airflow 3 gives it: a list of structured events."""
    events: list[dict[str, Any]] = [each if isinstance(each, dict) else {"event": str(each)} for each in content]
    for event in reversed(events):
        details = event.get("error_detail") or []
        if details:
            return "\n".join(f"{each['exc_type']}: {each['exc_value']}" for each in details[:1])
    for event in reversed(events):
        if event.get("level") in {"error", "critical"}:
            return str(event["event"])
    said = [str(event.get("event", "")) for event in events]
    return "\n".join(line for line in said[-10:] if not line.startswith("::")) or "its log says nothing of an error"


def _checked(answer: httpx.Response) -> Any:
    if answer.is_success:
        return answer.json()
    request = f"{answer.request.method} {answer.request.url.path}"
    raise StackError(f"Airflow refuses {request} with {answer.status_code}: {answer.text[:500]}")


def _dag_run(document: dict[str, Any]) -> DagRun:
    moment = document["logical_date"]
    return DagRun(document["dag_run_id"], document["state"], datetime.fromisoformat(moment) if moment else None)
