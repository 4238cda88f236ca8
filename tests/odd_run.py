"""A run on a real Prefect whose log and result hold what is rare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.live_prefect import LivePrefect

LEVELS = (25, 45, 55)


def run_oddly(prefect: LivePrefect) -> str:
    """The id of a completed run: lines of the task run `clean-3` at LEVELS, one of the flow, a result of NaN."""
    flow_run_id = prefect.run_by_hand("RUNNING", "COMPLETED")
    begun = {"flow_run_id": flow_run_id, "name": "clean-3", "task_key": "clean", "dynamic_key": "3"}
    task_run_id = prefect.request("POST", "/task_runs/", begun)["id"]
    now = datetime.now(UTC)
    lines = [
        {
            "name": "prefect.task_runs",
            "level": level,
            "message": f"a line at level {level}",
            "timestamp": (now + timedelta(milliseconds=at)).isoformat(),
            "flow_run_id": flow_run_id,
            "task_run_id": task_run_id,
        }
        for at, level in enumerate(LEVELS)
    ]
    by_the_flow = {
        "name": "prefect.flow_runs",
        "level": 20,
        "message": "a line of the flow",
        "timestamp": now.isoformat(),
    }
    prefect.request("POST", "/logs/", [*lines, {**by_the_flow, "flow_run_id": flow_run_id}])
    result = {"key": "bridge-result", "type": "result", "data": '{"score": NaN}', "flow_run_id": flow_run_id}
    prefect.request("POST", "/artifacts/", result)
    return flow_run_id
