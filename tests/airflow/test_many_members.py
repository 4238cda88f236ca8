"""Five hundred mapped members on a real Prefect with SQLite: one creation each, none lost to a locked database."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from bridge.in_airflow import deployment_cache
from bridge.in_airflow.deployment_cache import DeploymentCache
from bridge.in_airflow.operators import RunPrefectDeployment
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Answer, Request
from bridge.prefect_api.retrying import Fault
from tests.live_prefect import LivePrefect

MEMBERS = 500
AT_ONCE = 8
"""Members that run at the same time, as Airflow's `parallelism` would have it."""

DAG_RUN = SimpleNamespace(start_date=datetime(2026, 1, 5, 7, tzinfo=UTC))


def task_instance(run_id: str, map_index: int) -> Any:
    return SimpleNamespace(
        id=uuid4(),
        dag_id="mapped",
        run_id=run_id,
        task_id="start",
        map_index=map_index,
        try_number=1,
        max_tries=0,
        log_url="http://airflow.test/log",
        xcom_push=lambda **_: None,
    )


def test_five_hundred_members_are_five_hundred_creations(
    client: PrefectClient, prefect: LivePrefect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: Counter[str] = Counter()
    send = PrefectClient._send

    def counted(self: PrefectClient, request: Request) -> Answer | Fault:
        answer = send(self, request)
        status = answer.status if isinstance(answer, Answer) else "no answer"
        asked[f"{request.method} {request.path.rpartition('/')[2]} {status}"] += 1
        return answer

    monkeypatch.setattr(PrefectClient, "_send", counted)
    # so that no look-up grows too old on a slow machine
    monkeypatch.setattr(deployment_cache, "FRESH_SECONDS", float("inf"))
    monkeypatch.setattr("bridge.in_airflow.operators.DeploymentCache", lambda: DeploymentCache(tmp_path / "cache"))
    run_id = f"run-{uuid4()}"
    flow_id = prefect.request("POST", "/flows/", {"name": "member"})["id"]
    prefect.request("POST", "/deployments/", {"name": "t", "flow_id": flow_id})

    def start(map_index: int) -> str:
        operator = RunPrefectDeployment(task_id="start", deployment="member/t", wait=False)
        return str(operator.execute({"ti": task_instance(run_id, map_index), "dag_run": DAG_RUN})["flow_run_id"])

    with ThreadPoolExecutor(AT_ONCE) as members:
        started = list(members.map(start, range(MEMBERS)))

    assert len(set(started)) == MEMBERS
    counting = {"flow_runs": {"tags": {"all_": [f"run:{run_id}"]}}}
    assert prefect.request("POST", "/flow_runs/count", counting) == MEMBERS
    created = {kind: count for kind, count in asked.items() if "create_flow_run" in kind}
    assert created["POST create_flow_run 201"] + created.get("POST create_flow_run 200", 0) == MEMBERS
    look_ups = sum(count for kind, count in asked.items() if kind.startswith("GET t "))
    assert 1 <= look_ups <= AT_ONCE
