"""A worker of Prefect's runs the deployments of prefect.yaml, each run a Python of its own; results cross as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING

from prefect.settings import PREFECT_API_URL, temporary_settings

from factory import contracts
from flows import deploying
from tests.called import called

if TYPE_CHECKING:
    from tests.prefect.conftest import Home, Prefect

DECLARED = Path(__file__).parents[2] / "prefect.yaml"


def test_a_worker_runs_a_deployment_against_a_tracking_server_and_its_result_crosses_as_json(
    home: Home,
    prefect: Prefect,
    start: Callable[..., Popen[bytes]],
    tracking_server: str,
    command: Callable[[str], str],
    tmp_path: Path,
) -> None:
    prefect.post("work_pools/", {"name": "models", "type": "process"})
    with temporary_settings({PREFECT_API_URL: prefect.api}):
        inactive = {"MONITOR_SCHEDULE_ACTIVE": "false"}
        deployed = called(deploying.main, "--deployments", str(DECLARED), environment=inactive)
    assert deployed.returncode == 0, deployed.stderr
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
