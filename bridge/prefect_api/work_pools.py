"""The places where runs wait to be started, and what is asked of them. Without I/O, as `wire`."""

from __future__ import annotations

from urllib.parse import quote

from bridge.prefect_api.exchange import PAGE, Answer, Operation, Request, parsed, parsed_rows
from bridge.prefect_api.records import DeploymentRecord, WorkPool, WorkQueue


def read_deployment(deployment_id: str) -> Operation[DeploymentRecord | None]:
    """The deployment of that id; None where it is gone."""
    answer = yield Request("GET", f"/deployments/{deployment_id}")
    return None if answer.status == 404 else parsed(answer, DeploymentRecord.parse)


def read_work_pool(name: str) -> Operation[WorkPool | None]:
    """The work pool of that name; None where there is none."""
    answer = yield Request("GET", f"/work_pools/{quote(name, safe='')}")
    return None if answer.status == 404 else parsed(answer, WorkPool.parse)


def list_work_queues(work_pool_name: str) -> Operation[list[WorkQueue]]:
    """A pool's queues, as many as there are; an unknown pool has none."""
    path = f"/work_pools/{quote(work_pool_name, safe='')}/queues/filter"
    found: list[WorkQueue] = []
    while True:
        answer: Answer = yield Request("POST", path, {"limit": PAGE, "offset": len(found)})
        if answer.status == 404:
            return []
        page = parsed_rows(answer, WorkQueue.parse)
        found += page
        if len(page) < PAGE:
            return found
