"""What stands in the way of a run, as Prefect's fields tell it, is named with its remedy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.prefect_api.exchange import Answer, Operation
from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding, examine, examine_run

DEPLOYMENT = {"id": "d1", "name": "products", "flow_id": "f1", "status": "READY"}
POOLED = {**DEPLOYMENT, "work_pool_name": "gpus", "work_queue_name": "default", "work_queue_id": "q1"}
POOL = {"name": "gpus", "type": "process"}
QUEUE = {"name": "default", "status": "READY"}
WORKER = {"name": "w", "status": "ONLINE", "last_heartbeat_time": datetime.now(UTC).isoformat()}
NAME = "train/products"


def answered(operation: Operation[list[Finding]], prefect: Mapping[str, Any]) -> dict[str, Finding]:
    """The findings by their subject, from a Prefect that has what `prefect` says by path; 404 for anything else."""
    request = next(operation)
    while True:
        body = prefect.get(request.path)
        answer = Answer(404, {"detail": "not found"}) if body is None else Answer(200, body)
        try:
            request = operation.send(answer)
        except StopIteration as stop:
            return {finding.subject: finding for finding in stop.value}


def prefect_with(
    deployment: Mapping[str, Any] = POOLED,
    pool: Mapping[str, Any] | None = POOL,
    queues: list[dict[str, Any]] | None = None,
    workers: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "/admin/version": "3.8.8",
        "/deployments/name/train/products": deployment,
        "/deployments/d1": deployment,
        "/deployments/filter": [deployment],
        "/flows/filter": [{"id": "f1", "name": "train"}],
        "/work_pools/gpus": pool,
        "/work_pools/gpus/workers/filter": [WORKER] if workers is None else workers,
        "/work_pools/gpus/queues/filter": [QUEUE] if queues is None else queues,
    }


def test_where_nothing_stands_in_the_way_everything_is_in_order() -> None:
    findings = answered(examine([NAME]), prefect_with())
    assert all(finding.in_order and not finding.remedy for finding in findings.values())
    assert list(findings) == ["API", "credentials", f"deployment {NAME}", "work pool gpus"]
    assert findings["work pool gpus"].detail.startswith("1 worker(s) online")


LIMIT_0 = {"limit": 0, "active": True, "active_slots": 0, "name": "deployment:d1"}
USED_UP = {"limit": 1, "active": True, "active_slots": 1, "name": "deployment:d1"}
CANCEL_NEW = {"collision_strategy": "CANCEL_NEW"}


@pytest.mark.parametrize(
    ("prefect", "subject", "detail", "remedy"),
    [
        (
            prefect_with(pool={**POOL, "is_paused": True}),
            "work pool gpus",
            "paused: no run is started",
            "prefect work-pool resume gpus",
        ),
        (
            prefect_with(pool={**POOL, "concurrency_limit": 0}),
            "work pool gpus",
            "limit is 0",
            "prefect work-pool clear-concurrency-limit gpus",
        ),
        (prefect_with(pool=None), "work pool gpus", "absent", "prefect work-pool create gpus"),
        (prefect_with(workers=[]), "work pool gpus", "no worker has ever", "prefect worker start --pool gpus"),
        (
            prefect_with(workers=[{**WORKER, "status": "OFFLINE"}]),
            "work pool gpus",
            "last heartbeat",
            "prefect worker start --pool gpus",
        ),
        (
            prefect_with(queues=[{**QUEUE, "is_paused": True, "status": "PAUSED"}]),
            "work queue default of gpus",
            "paused: no run is started",
            "prefect work-queue resume default --pool gpus",
        ),
        (
            prefect_with(queues=[{**QUEUE, "concurrency_limit": 0}]),
            "work queue default of gpus",
            "limit is 0",
            "prefect work-queue clear-concurrency-limit default --pool gpus",
        ),
        (
            prefect_with(queues=[{"name": "other", "status": "READY"}]),
            "work queue default of gpus",
            "absent",
            "prefect work-queue create default --pool gpus",
        ),
        (
            prefect_with(queues=[{"name": "default", "status": "NOT_READY"}, {"name": "other", "status": "READY"}]),
            "work queue default of gpus",
            "no worker polls it; those that are there poll other",
            "prefect worker start --pool gpus --work-queue default",
        ),
        (
            prefect_with({**POOLED, "global_concurrency_limit": LIMIT_0}),
            f"deployment {NAME}",
            "limit is 0",
            "prefect global-concurrency-limit update deployment:d1 --limit 1",
        ),
        (
            prefect_with({**POOLED, "global_concurrency_limit": {**LIMIT_0, "limit": 1, "active": False}}),
            f"deployment {NAME}",
            "its concurrency limit is disabled",
            "prefect global-concurrency-limit enable deployment:d1",
        ),
        (
            prefect_with({**POOLED, "global_concurrency_limit": USED_UP, "concurrency_options": CANCEL_NEW}),
            f"deployment {NAME}",
            "1 of 1 slots taken: a run that is started now is cancelled",
            "wait until one has ended",
        ),
        (
            prefect_with({**DEPLOYMENT, "work_queue_name": "default"}),
            f"deployment {NAME}",
            "its work pool, or its queue there, was deleted",
            "make the work pool again",
        ),
        (
            prefect_with({**DEPLOYMENT, "status": "NOT_READY"}),
            f"deployment {NAME}",
            "served by nobody",
            "start the process that serves it",
        ),
    ],
)
def test_what_stands_in_the_way_is_named_with_its_remedy(
    prefect: dict[str, Any], subject: str, detail: str, remedy: str
) -> None:
    """To the doctor, of one deployment and of all, and in the error of a run that never started."""
    waiting = FlowRun.parse(
        {"id": "r", "name": "r", "deployment_id": "d1", "work_pool_name": "gpus", "work_queue_name": "default"}
    )
    everything = examine([NAME]), examine(), examine_run(waiting)
    for findings in (answered(operation, prefect) for operation in everything):
        finding = next(each for name, each in findings.items() if name in {subject, "deployment products"})
        if finding.subject == "deployment products":  # of a run, the deployment's id alone is known
            finding = findings.get(subject, finding)
        assert not finding.in_order
        assert detail in finding.detail
        assert remedy in finding.remedy


@pytest.mark.parametrize(
    ("prefect", "subject"),
    [
        (prefect_with({**POOLED, "global_concurrency_limit": USED_UP}), f"deployment {NAME}"),
        (prefect_with(pool={**POOL, "concurrency_limit": 2, "active_slots": 2}), "work pool gpus"),
        (prefect_with(queues=[{**QUEUE, "concurrency_limit": 1, "active_slots": 3}]), "work queue default of gpus"),
    ],
)
def test_slots_that_are_all_taken_are_told_but_pass_by_themselves(prefect: dict[str, Any], subject: str) -> None:
    finding = answered(examine([NAME]), prefect)[subject]
    assert finding.in_order
    assert "slots taken: a new run waits" in finding.detail
    assert finding.remedy.startswith("wait, or prefect ")


@pytest.mark.parametrize(
    "more",
    [{"paused": True}, {"schedules": [{"active": False}]}],
)
def test_a_deployment_whose_schedules_are_paused_is_ready_to_be_started_by_hand(more: dict[str, Any]) -> None:
    for operation in (examine([NAME]), examine()):
        finding = answered(operation, prefect_with({**POOLED, **more}))[f"deployment {NAME}"]
        assert finding.in_order
        assert "its schedules are paused, by hand it can be started" in finding.detail


@pytest.mark.parametrize("kind", ["cloud-run:push", "prefect:managed"])
def test_a_pool_whose_runs_the_cloud_starts_needs_no_worker(kind: str) -> None:
    unpolled = [{"name": "default", "status": "NOT_READY"}, {"name": "other", "status": "READY"}]
    findings = answered(examine([NAME]), prefect_with(pool={**POOL, "type": kind}, workers=[], queues=unpolled))
    assert all(finding.in_order for finding in findings.values())


def test_everything_that_stands_in_the_way_of_a_pool_is_told_at_once() -> None:
    prefect = prefect_with(pool={**POOL, "is_paused": True, "concurrency_limit": 0}, workers=[])
    finding = answered(examine([NAME]), prefect)["work pool gpus"]
    for words in ("paused", "limit is 0", "no worker has ever polled it"):
        assert words in finding.detail
    assert finding.remedy.count("; ") == 2


def test_names_in_a_remedy_are_safe_to_paste() -> None:
    prefect = prefect_with({**POOLED, "work_pool_name": "a b; rm"})
    finding = answered(examine([NAME]), prefect)["work pool a b; rm"]
    assert "prefect work-pool create 'a b; rm'" in finding.remedy
