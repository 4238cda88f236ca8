"""The deployments of prefect.yaml: made from a clean checkout, run by a worker, their results read over REST."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

import pytest

from factory import contracts

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

CHECKOUT = Path(__file__).parents[2]
NAMES = {
    "monitor-and-retrain/products",
    "promotion/products",
    "score/products",
    "training-pipeline/products",
}
DEPLOY_SECONDS = 120

Start = Callable[..., "Popen[bytes]"]


@pytest.fixture
def deploy(start: Start, tmp_path: Path, command: Callable[[str], str]) -> Callable[..., None]:
    """Runs `prefect deploy --all` on a checkout that holds no more than the file: entrypoints are module paths."""
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    shutil.copy(CHECKOUT / "prefect.yaml", checkout)

    def run(**variables: str) -> None:
        pool = ["work-pool", "create", "models", "--type", "process", "--overwrite"]
        for words in (pool, ["--no-prompt", "deploy", "--all"]):
            log = checkout / "deploy.log"
            process = start([command("prefect"), *words], log, **variables)
            assert process.wait(DEPLOY_SECONDS) == 0, log.read_text()[-3000:]

    return run


def schedules(prefect: Prefect) -> list[tuple[bool, str, str]]:
    entries = prefect.deployments()["monitor-and-retrain/products"]["schedules"]
    return [(entry["active"], entry["schedule"]["cron"], entry["schedule"]["timezone"]) for entry in entries]


def test_every_flow_is_deployed_and_the_schedule_can_be_switched_off(
    prefect: Prefect, deploy: Callable[..., None]
) -> None:
    deploy()

    found = prefect.deployments()
    assert set(found) == NAMES
    assert {entry["work_pool_name"] for entry in found.values()} == {"models"}
    assert {name for name, entry in found.items() if entry["schedules"]} == {"monitor-and-retrain/products"}
    assert schedules(prefect) == [(True, "0 9 * * *", "UTC")]
    assert not any(entry["pull_steps"] or entry["path"] for entry in found.values())

    deploy(MONITOR_SCHEDULE_ACTIVE="false")

    assert schedules(prefect) == [(False, "0 9 * * *", "UTC")]


def test_a_worker_runs_a_deployment_against_a_tracking_server_and_its_result_crosses_as_json(
    home: Home,
    prefect: Prefect,
    deploy: Callable[..., None],
    start: Start,
    tracking_server: str,
    command: Callable[[str], str],
    tmp_path: Path,
) -> None:
    deploy(MONITOR_SCHEDULE_ACTIVE="false")
    home.cut(1)
    start(
        [command("prefect"), "worker", "start", "--pool", "models", "--type", "process", "--install-policy", "never"],
        tmp_path / "worker.log",
        MLFLOW_TRACKING_URI=tracking_server,
        PREFECT_WORKER_QUERY_SECONDS="1",
        PATH=f"{Path(command('python')).parent}:{os.environ['PATH']}",
    )

    for deployment, parameters in (
        (contracts.training("products"), {"week": 1, "max_features": 800, "auto_promote_threshold": None}),
        (contracts.promotion("products"), {"threshold": 0.1}),
    ):
        run = prefect.ended(prefect.begin(deployment.name, parameters))
        assert run["state_type"] == "COMPLETED", (run["state"], (tmp_path / "worker.log").read_text()[-3000:])
        (artifact,) = prefect.results(run["id"])
        result = deployment.decode(artifact["data"])
    assert isinstance(result, contracts.PromotionResult)
    assert (result.promoted, result.champion_version) == (True, "1")
