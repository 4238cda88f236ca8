"""What the bridge calls an obstacle keeps a real Prefect from starting a run; what it does not call one does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from bridge.ending import never_started
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding, examine, examine_run
from tests.contract.conftest import start
from tests.live_prefect import LivePrefect


@dataclass
class Place:
    """A deployment in a pool of its own, in which a worker has been heard."""

    prefect: LivePrefect
    client: PrefectClient
    pool: str
    deployment_id: str

    @property
    def name(self) -> str:
        return f"echo/{self.pool}"

    def patch(self, path: str, **document: Any) -> None:
        self.prefect.request("PATCH", path, document)

    def deployment(self) -> dict[str, Any]:
        return dict(self.prefect.request("GET", f"/deployments/{self.deployment_id}"))

    def limit(self, **document: Any) -> None:
        """The deployment's concurrency limit, changed as its own page in Prefect changes it."""
        self.patch(f"/deployments/{self.deployment_id}", concurrency_limit=1)
        self.patch(f"/v2/concurrency_limits/{self.deployment()['global_concurrency_limit']['id']}", **document)

    def take(self, run: FlowRun) -> bool:
        """Whether a worker is given the run and may begin it, asked as a worker asks."""
        asked = {"scheduled_before": datetime.now(UTC).isoformat()}
        given = self.prefect.request("POST", f"/work_pools/{self.pool}/get_scheduled_flow_runs", asked)
        if run.id not in {each["flow_run"]["id"] for each in given}:
            return False
        pending = {"state": {"type": "PENDING"}}
        return bool(self.prefect.request("POST", f"/flow_runs/{run.id}/set_state", pending)["status"] == "ACCEPT")

    def findings(self, *names: str) -> list[Finding]:
        return self.client.run(examine(names))


@pytest.fixture
def place(prefect: LivePrefect, client: PrefectClient) -> Iterator[Place]:
    pool = f"pool-{uuid4().hex[:8]}"
    prefect.request("POST", "/work_pools/", {"name": pool, "type": "process"})
    prefect.request("POST", f"/work_pools/{pool}/workers/heartbeat", {"name": "w"})
    document = {
        "name": pool,
        "flow_id": client.run(wire.find_deployment("echo/t")).flow_id,
        "work_pool_name": pool,
        "entrypoint": "x:y",
        "schedules": [{"schedule": {"cron": "0 9 * * *"}, "active": True, "slug": "daily"}],
    }
    deployment = prefect.request("POST", "/deployments/", document)
    yield Place(prefect, client, pool, deployment["id"])
    prefect.request("DELETE", f"/deployments/{deployment['id']}")


def pause_schedules(place: Place) -> None:
    place.prefect.request("POST", f"/deployments/{place.deployment_id}/pause_deployment")


def switch_the_schedule_off(place: Place) -> None:
    [schedule] = place.deployment()["schedules"]
    place.patch(f"/deployments/{place.deployment_id}/schedules/{schedule['id']}", active=False)


def delete_the_queue(place: Place) -> None:
    place.prefect.request("POST", f"/work_pools/{place.pool}/queues", {"name": "own"})
    place.patch(f"/deployments/{place.deployment_id}", work_pool_name=place.pool, work_queue_name="own")
    place.prefect.request("DELETE", f"/work_pools/{place.pool}/queues/own")


def fill_the_pool(place: Place) -> None:
    place.patch(f"/work_pools/{place.pool}", concurrency_limit=1)
    assert place.take(start(place.client, place.name))


def fill_the_deployment(place: Place) -> None:
    place.limit(limit=1)
    assert place.take(start(place.client, place.name))


OBSTACLES: Mapping[str, tuple[Callable[[Place], None], str]] = {
    "pool paused": (lambda at: at.patch(f"/work_pools/{at.pool}", is_paused=True), "prefect work-pool resume"),
    "pool limit 0": (lambda at: at.patch(f"/work_pools/{at.pool}", concurrency_limit=0), "clear-concurrency-limit"),
    "queue paused": (
        lambda at: at.patch(f"/work_pools/{at.pool}/queues/default", is_paused=True),
        "prefect work-queue resume default",
    ),
    "queue limit 0": (
        lambda at: at.patch(f"/work_pools/{at.pool}/queues/default", concurrency_limit=0),
        "prefect work-queue clear-concurrency-limit default",
    ),
    "deployment limit 0": (lambda at: at.limit(limit=0), "prefect global-concurrency-limit update"),
    "deployment limit disabled": (lambda at: at.limit(active=False), "prefect global-concurrency-limit enable"),
    "queue deleted": (delete_the_queue, "prefect deploy --all"),
    "pool deleted": (
        lambda at: at.prefect.request("DELETE", f"/work_pools/{at.pool}"),
        "deploy it to a work pool",
    ),
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_what_keeps_prefect_from_starting_a_run_is_named_with_its_remedy(place: Place, obstacle: str) -> None:
    put_up, remedy = OBSTACLES[obstacle]
    put_up(place)
    [amiss] = [each for each in place.findings(place.name) if not each.in_order]
    assert remedy in amiss.remedy
    run = start(place.client, place.name)
    assert obstacle == "pool deleted" or not place.take(run)
    run = place.client.run(wire.read_flow_run(run.id))
    assert remedy in str(place.client.run(never_started(run, "http://x", 30)))


@pytest.mark.parametrize("pause", [pause_schedules, switch_the_schedule_off])
def test_a_deployment_whose_schedules_rest_is_started_by_hand_and_called_ready(
    place: Place, pause: Callable[[Place], None]
) -> None:
    pause(place)
    findings = place.findings(place.name)
    assert all(each.in_order for each in findings)
    assert "its schedules are paused" in next(each.detail for each in findings if each.subject.startswith("deploy"))
    assert place.take(start(place.client, place.name))


@pytest.mark.parametrize("fill", [fill_the_pool, fill_the_deployment])
def test_a_place_that_is_full_is_told_but_called_ready(place: Place, fill: Callable[[Place], None]) -> None:
    fill(place)
    waiting = start(place.client, place.name)
    assert not place.take(waiting)
    findings = place.findings(place.name)
    assert all(each.in_order for each in findings)
    assert [each for each in findings if "1 of 1 slots taken: a new run waits" in each.detail]
    assert "1 of 1 slots taken" in str(place.client.run(never_started(waiting, "http://x", 30)))


def test_a_run_that_nothing_keeps_is_sent_to_whoever_starts_it(place: Place) -> None:
    run = start(place.client, place.name)
    said = str(place.client.run(never_started(run, "http://x", 30)))
    assert f"work pool {place.pool!r}, queue 'default': 1 worker(s) online" in said
    assert "nothing that Prefect tells of stands in its way" in said
    assert all(each.in_order for each in place.client.run(examine_run(run)))
