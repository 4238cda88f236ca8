"""What the small Airflow's database holds of its task instance, and what Airflow's API answers about it.

As strict as the real one: a value that is no JSON is refused, the state store answers to the current try alone. And as
lenient: XComs are taken from whoever is of the DAG, a process that was given up included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from tests.faults.orders import TASK_ID
from tests.faults.task_row import TaskRow
from tests.faults.xcom_values import refusal_of

OK: dict[str, Any] = {"type": "OKResponse", "ok": True}


@dataclass
class Database:
    """One task instance's row, XComs and state store."""

    run_id: str
    row: TaskRow
    xcoms: dict[str, Any] = field(default_factory=dict)
    store: dict[str, Any] = field(default_factory=dict)

    def delete(self) -> None:
        """The DAG run is deleted, and all this with it."""
        self.row.delete()
        self.xcoms.clear()
        self.store.clear()

    def answer(self, kind: str, message: dict[str, Any]) -> dict[str, Any] | None:
        """The API's answer to a task's message; None where it is none of the database's."""
        if kind == "GetTaskStates":
            return {"type": "TaskStatesResult", "task_states": {self.run_id: self._states()}}
        if kind in {"GetXCom", "SetXCom", "DeleteXCom"}:
            return self._of_xcoms(kind, message)
        if kind.endswith("TaskStateStore"):
            return self._of_store(kind, message)
        return None

    def _states(self) -> dict[str, str | None]:
        """A task that was cleared has no state until it is scheduled; one that was deleted is not there."""
        name = TASK_ID if self.row.map_index < 0 else f"{TASK_ID}_{self.row.map_index}"
        return {} if self.row.state == "deleted" else {name: None if self.row.is_unscheduled else self.row.state}

    def _of_xcoms(self, kind: str, message: dict[str, Any]) -> dict[str, Any]:
        if kind == "GetXCom":
            return {"type": "XComResult", "key": message["key"], "value": self.xcoms.get(message["key"])}
        if kind == "DeleteXCom":
            self.xcoms.pop(message["key"], None)
            return OK
        if (refusal := refusal_of(message["value"])) is not None:
            return {"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": {"message": refusal}}
        self.xcoms[message["key"]] = message["value"]
        return OK

    def _of_store(self, kind: str, message: dict[str, Any]) -> dict[str, Any]:
        is_known = UUID(str(message["ti_id"])) == self.row.ti_id
        if kind == "GetTaskStateStore":
            if is_known and message["key"] in self.store:
                return {"type": "TaskStateStoreResult", "value": self.store[message["key"]]}
            return {"type": "ErrorResponse", "error": "TASK_STORE_NOT_FOUND", "detail": {"key": message["key"]}}
        if not is_known:
            return {"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": {"status_code": 404}}
        if kind == "SetTaskStateStore":
            self.store[message["key"]] = message["value"]
        elif kind == "DeleteTaskStateStore":
            self.store.pop(message["key"], None)
        else:
            self.store.clear()
        return OK
