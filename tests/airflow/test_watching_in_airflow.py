"""The page on reacting to Prefect, run by a real Airflow whose triggerer is killed in the middle."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.live_airflow import LiveAirflow
from tests.live_prefect import LivePrefect, wait_until

DAG = "after_training"
CURSORS = "SELECT value FROM asset_state_store WHERE key LIKE 'prefect-events-%'"
PATIENCE_SECONDS = 240


@pytest.fixture(scope="module")
def airflow(live: LiveAirflow) -> LiveAirflow:
    """Airflow with the page's DAG, once its watcher has looked at Prefect for the first time."""
    wait_until(lambda: cursors(live), "the watcher has looked at Prefect", PATIENCE_SECONDS)
    return live


@pytest.fixture(scope="module")
def deployment_id(prefect: LivePrefect) -> str:
    flow = prefect.request("POST", "/flows/", {"name": "training-pipeline"})
    body = {"name": "products", "flow_id": flow["id"]}
    return str(prefect.request("POST", "/deployments/", body)["id"])


def cursors(airflow: LiveAirflow) -> list[Any]:
    return [json.loads(value) for (value,) in airflow.rows(CURSORS)]


def complete_training(prefect: LivePrefect, deployment_id: str, result: dict[str, Any] | str) -> str:
    """The id of a flow run that publishes this result, an object or any JSON text, and completes."""
    path = f"/deployments/{deployment_id}/create_flow_run"
    flow_run_id = str(prefect.request("POST", path, {"state": {"type": "SCHEDULED"}})["id"])
    data = result if isinstance(result, str) else json.dumps(result)
    artifact = {"key": "bridge-result", "type": "result", "data": data, "flow_run_id": flow_run_id}
    prefect.request("POST", "/artifacts/", artifact)
    for state_type in ("RUNNING", "COMPLETED"):
        prefect.put_state(flow_run_id, state_type)
    return flow_run_id


def told(airflow: LiveAirflow) -> list[list[str]]:
    """What each successful DAG run was told, the oldest first."""
    return airflow.results(DAG, "evaluate")


def handled(airflow: LiveAirflow) -> list[str]:
    return [flow_run_id for each in told(airflow) for flow_run_id in each]


def saved(airflow: LiveAirflow) -> bool:
    return not cursors(airflow)[0]["pending"]


def forget_the_last_event(airflow: LiveAirflow) -> None:
    """Leave the cursor as a triggerer does that is lost after the event was stored and before that is saved."""
    [cursor] = cursors(airflow)
    last = max(cursor["told"], key=cursor["told"].get)
    del cursor["told"][last]
    change = "UPDATE asset_state_store SET value = ? WHERE key LIKE 'prefect-events-%'"
    airflow.change(change, json.dumps({**cursor, "pending": [last]}))


def test_each_flow_run_is_told_once_though_the_triggerer_is_killed(
    airflow: LiveAirflow, prefect: LivePrefect, deployment_id: str
) -> None:
    first = complete_training(prefect, deployment_id, {"f1": 0.9})
    wait_until(lambda: told(airflow) == [[first]], "the first training starts the DAG", PATIENCE_SECONDS)
    wait_until(lambda: saved(airflow), "the first event is saved as told")

    airflow.kill_service("triggerer")
    second = complete_training(prefect, deployment_id, {"f1": 0.8})
    airflow.start_service("triggerer")
    wait_until(lambda: told(airflow) == [[first], [second]], "the missed training starts the DAG", PATIENCE_SECONDS)
    wait_until(lambda: saved(airflow), "the second event is saved as told")

    airflow.kill_service("triggerer")
    forget_the_last_event(airflow)
    third = complete_training(prefect, deployment_id, {"f1": 0.7})
    airflow.start_service("triggerer")
    wait_until(lambda: third in handled(airflow), "the third training starts the DAG", PATIENCE_SECONDS)
    every = "SELECT 1 FROM dag_run WHERE dag_id = ?"
    wait_until(lambda: len(told(airflow)) == len(airflow.rows(every, DAG)), "every run of the DAG has ended")
    assert handled(airflow) == [first, second, third]

    events = [json.loads(extra)["payload"] for (extra,) in airflow.rows("SELECT extra FROM asset_event ORDER BY id")]
    assert [(event["result"], event["maybe_repeated"]) for event in events] == [
        ({"f1": 0.9}, False),
        ({"f1": 0.8}, False),
        ({"f1": 0.8}, True),
        ({"f1": 0.7}, False),
    ]


POISON = ['{"f1": NaN}', '["a", "list"]', '{"text": "\\ud800"}', '{"count": 99999999999999999999999}']


def test_a_poisoned_result_is_told_without_it_and_disturbs_nobody(
    airflow: LiveAirflow, prefect: LivePrefect, deployment_id: str
) -> None:
    before = handled(airflow)
    healthy = complete_training(prefect, deployment_id, {"f1": 0.5})
    poisoned = [complete_training(prefect, deployment_id, data) for data in POISON]
    last = complete_training(prefect, deployment_id, {"f1": 0.6})
    expected = [*before, healthy, *poisoned, last]
    wait_until(lambda: len(handled(airflow)) >= len(expected), "every end has reached a run", PATIENCE_SECONDS)
    assert sorted(handled(airflow)) == sorted(expected)  # one poll may find a later end before an earlier one
    assert airflow.lives("triggerer")
    events = [json.loads(extra)["payload"] for (extra,) in airflow.rows("SELECT extra FROM asset_event ORDER BY id")]
    told = {event["flow_run_id"]: (event["result"], event["omitted"]) for event in events}
    assert [told[each] for each in (healthy, last)] == [({"f1": 0.5}, []), ({"f1": 0.6}, [])]
    assert [told[each] for each in poisoned] == [(None, ["result"])] * len(POISON)
