"""The deployments of prefect.yaml: made from a clean checkout, renewed without a word against what people decided."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import deploying, silent_runs
from tests.called import called

if TYPE_CHECKING:
    from tests.prefect.conftest import Prefect

CHECKOUT = Path(__file__).parents[2]
DECLARED = CHECKOUT / "prefect.yaml"
NAMES = {
    "monitor-and-retrain/products",
    "promotion/products",
    "score/products",
    "training-pipeline/products",
}
DEPLOY_SECONDS = 120

Start = Callable[..., "Popen[bytes]"]


FIELDS = ["entrypoint", "parameters", "tags", "description", "job_variables", "work_pool_name", "work_queue_name"]
FIELDS += ["paused", "parameter_openapi_schema", "enforce_parameter_schema", "path", "pull_steps"]


@pytest.fixture(scope="module")
def deploy(
    prefect_server: Prefect,
    start_for_all: Start,
    tmp_path_factory: pytest.TempPathFactory,
    command: Callable[[str], str],
) -> Callable[..., None]:
    """Runs `prefect deploy --all` on a checkout that holds no more than the file: entrypoints are module paths."""
    checkout = tmp_path_factory.mktemp("checkout")
    shutil.copy(DECLARED, checkout)

    def run(**variables: str) -> None:
        log = checkout / "deploy.log"
        process = start_for_all([command("prefect"), "--no-prompt", "deploy", "--all"], log, **variables)
        assert process.wait(DEPLOY_SECONDS) == 0, log.read_text()[-3000:]

    make_pool(prefect_server)
    return run


@dataclass(frozen=True)
class Made:
    """What a deployment of everything left with Prefect: FIELDS by deployment, and the schedules."""

    deployments: dict[str, dict[str, object]]
    schedules: list[tuple[bool, str, str]]


def made(prefect: Prefect) -> Made:
    found = {name: {key: entry[key] for key in FIELDS} for name, entry in prefect.deployments().items()}
    return Made({name: found[name] for name in found if name in NAMES}, schedules(prefect))


@pytest.fixture(scope="module")
def by_prefect(prefect_server: Prefect, deploy: Callable[..., None]) -> Made:
    """What Prefect's own command makes of the file."""
    deploy()
    return made(prefect_server)


def schedules(prefect: Prefect) -> list[tuple[bool, str, str]]:
    entries = prefect.deployments()["monitor-and-retrain/products"]["schedules"]
    return [(entry["active"], entry["schedule"]["cron"], entry["schedule"]["timezone"]) for entry in entries]


def test_every_flow_is_deployed_and_the_schedule_can_be_switched_off(
    prefect: Prefect, by_prefect: Made, deploy: Callable[..., None]
) -> None:
    found = by_prefect.deployments
    assert set(found) == NAMES
    assert {entry["work_pool_name"] for entry in found.values()} == {"models"}
    assert by_prefect.schedules == [(True, "0 9 * * *", "UTC")]
    assert not any(entry["pull_steps"] or entry["path"] for entry in found.values())
    scheduled = {name for name, entry in prefect.deployments().items() if entry["schedules"]}
    assert scheduled == {"monitor-and-retrain/products"}

    deploy(MONITOR_SCHEDULE_ACTIVE="false")

    assert schedules(prefect) == [(False, "0 9 * * *", "UTC")]


@pytest.fixture
def start_up(prefect: Prefect) -> Callable[..., str]:
    """Deploys as every start of the stack does, and gives what it said."""

    def run(**variables: str) -> str:
        make_pool(prefect)
        with temporary_settings({PREFECT_API_URL: prefect.api}):
            done = called(deploying.main, "--deployments", str(DECLARED), environment=variables)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(autouse=True)
def nothing_stays_deployed(prefect: Prefect) -> Iterator[None]:
    """What is deployed by others on this server is deployed for the first time, too."""
    yield
    remove_deployments(prefect)


def remove_deployments(prefect: Prefect) -> None:
    for name, entry in prefect.deployments().items():
        if name in NAMES:
            prefect.request("DELETE", f"deployments/{entry['id']}")


def automations(prefect: Prefect) -> list[dict[str, object]]:
    names = {automation.name for automation in silent_runs.automations()}
    return [each for each in prefect.post("automations/filter", {}) if each["name"] in names]


def make_pool(prefect: Prefect) -> None:
    if "models" not in pools(prefect):
        prefect.post("work_pools/", {"name": "models", "type": "process"})


def pools(prefect: Prefect) -> dict[str, dict[str, object]]:
    return {pool["name"]: pool for pool in prefect.post("work_pools/filter", {})}


def test_a_first_start_deploys_as_prefects_own_command_does(
    prefect: Prefect, start: Start, command: Callable[[str], str], tmp_path: Path, by_prefect: Made
) -> None:
    """To the last field of what is declared."""
    remove_deployments(prefect)
    log = tmp_path / "deploying.log"
    process = start([command("python"), "-m", "flows.deploying", "--deployments", str(DECLARED)], log)
    assert process.wait(DEPLOY_SECONDS) == 0, log.read_text()[-3000:]
    assert made(prefect) == by_prefect


def test_what_people_decided_outlives_a_start(prefect: Prefect, start_up: Callable[..., str]) -> None:
    start_up()
    monitor, score, train = (
        prefect.deployments()[f"{flow}/products"]["id"]
        for flow in ("monitor-and-retrain", "score", "training-pipeline")
    )
    prefect.request("POST", f"deployments/{score}/pause_deployment")
    prefect.request("PATCH", f"deployments/{score}", {"concurrency_limit": 2})
    limit = prefect.deployments()["score/products"]["global_concurrency_limit"]["id"]
    prefect.request("PATCH", f"v2/concurrency_limits/{limit}", {"limit": 0})
    [daily] = prefect.deployments()["monitor-and-retrain/products"]["schedules"]
    prefect.request("PATCH", f"deployments/{monitor}/schedules/{daily['id']}", {"active": False})
    own = [{"schedule": {"interval": 3600}, "active": True}]
    prefect.request("POST", f"deployments/{train}/schedules", own)
    for watch in automations(prefect):
        prefect.request("PATCH", f"automations/{watch['id']}", {"enabled": False})
    prefect.request("PATCH", "work_pools/models", {"is_paused": True, "concurrency_limit": 3})
    prefect.request("PATCH", "work_pools/models/queues/default", {"is_paused": True})

    def decided() -> list[object]:
        found = prefect.deployments()
        deployed = [
            (
                name,
                found[name]["paused"],
                [(each["id"], each["active"], each["schedule"]) for each in found[name]["schedules"]],
                (found[name]["global_concurrency_limit"] or {}).get("limit"),
            )
            for name in sorted(NAMES)
        ]
        pool = pools(prefect)["models"]
        [queue] = prefect.post("work_pools/models/queues/filter", {})
        watches = [(each["id"], each["enabled"]) for each in automations(prefect)]
        return [deployed, pool["is_paused"], pool["concurrency_limit"], queue["is_paused"], watches]

    before = decided()
    prefect.request("PATCH", f"deployments/{score}", {"description": "an older word of the file"})
    said = start_up(MONITOR_SCHEDULE_ACTIVE="true")
    assert decided() == before
    assert "score/products renewed; pauses, schedules and limits are left as they are in Prefect" in said
    assert prefect.deployments()["score/products"]["description"] == "Let the champion predict the week's arrivals."

    assert [watch["enabled"] for watch in automations(prefect)] == [False, False]
    for watch in automations(prefect):
        prefect.request("DELETE", f"automations/{watch['id']}")
    prefect.request("PATCH", "work_pools/models", {"is_paused": False, "concurrency_limit": None})
    prefect.request("PATCH", "work_pools/models/queues/default", {"is_paused": False})


def test_what_was_switched_on_in_prefect_stays_on(prefect: Prefect, start_up: Callable[..., str]) -> None:
    """The variable speaks of the first start."""
    start_up(MONITOR_SCHEDULE_ACTIVE="false")
    assert schedules(prefect) == [(False, "0 9 * * *", "UTC")]
    entry = prefect.deployments()["monitor-and-retrain/products"]
    [daily] = entry["schedules"]
    prefect.request("PATCH", f"deployments/{entry['id']}/schedules/{daily['id']}", {"active": True})
    start_up(MONITOR_SCHEDULE_ACTIVE="false")
    assert schedules(prefect) == [(True, "0 9 * * *", "UTC")]
