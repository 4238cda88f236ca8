"""Deploy what `prefect.yaml` declares, and leave to people what they decided in Prefect.

Owns how a declared deployment is made or renewed, for a work pool and for `flows.serving`. The file says what is run;
whether and when, and how many at once, is the file's word for the first deployment alone: from then on pauses,
schedules and concurrency limits are as they stand in Prefect. `prefect deploy --all` sets them back to the file's.

    python -m flows.deploying
    python -m flows.deploying --deployments mine.yaml
"""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import MissingFlowError, ObjectNotFound
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL
from prefect.types.entrypoint import EntrypointType

from bridge.switches import read_switch
from flows.silent_runs import watch_for_silence

SCHEDULE_SWITCH = "MONITOR_SCHEDULE_ACTIVE"

DECIDED_BY_PEOPLE = frozenset({"paused", "schedules", "concurrency_limit", "concurrency_options"})
"""What an update of a deployment that is there does not say, so that Prefect keeps it."""


def main() -> None:
    """Deploy everything that the file declares; ends with one line of what to mend where it cannot."""
    declared, api = parse_arguments("python -m flows.deploying", __doc__)
    try:
        for line in asyncio.run(_deploy(read_deployments(declared))):
            print(line, flush=True)
    except FileNotFoundError:
        raise SystemExit(
            f"there is no {declared}: deploy from the checkout, or name the file by --deployments"
        ) from None
    except ValueError as error:
        raise SystemExit(str(error)) from None
    except httpx.ConnectError as error:
        raise SystemExit(f"no Prefect server answers at {api} ({error}): start it, or mend PREFECT_API_URL") from None


def parse_arguments(program: str, documentation: str) -> tuple[Path, str]:
    """The file that declares the deployments, and Prefect's address; ends the process where there is none."""
    parser = argparse.ArgumentParser(prog=program, description=documentation.partition("\n")[0])
    parser.add_argument("--deployments", type=Path, default=Path("prefect.yaml"), help="file (default prefect.yaml)")
    declared: Path = parser.parse_args().deployments
    api = PREFECT_API_URL.value()
    if not api:
        raise SystemExit("PREFECT_API_URL is not set: name the server, such as http://127.0.0.1:4200/api")
    return declared, api


def read_deployments(declared: Path, *, served: bool = False) -> list[RunnerDeployment]:
    """The deployments that the file declares; without their work pool where they are to be served.

    Its schedules are on unless MONITOR_SCHEDULE_ACTIVE is false. Raises FileNotFoundError, and ValueError for a
    declaration that says less than those of `prefect.yaml` or a variable that says neither true nor false.
    """
    try:
        entries = yaml.safe_load(declared.read_text())["deployments"]
        return [_deployment(each, {} if served else each.get("work_pool") or {}) for each in entries]
    except (AttributeError, KeyError, TypeError, ImportError, MissingFlowError, yaml.YAMLError) as error:
        raise ValueError(f"{declared} does not declare deployments as prefect.yaml does: {error}") from error


async def leave_to_people(deployment: RunnerDeployment) -> bool:
    """Whether Prefect has the deployment; then what is said of it holds nothing that people decide there.

    One request updates a deployment: there is no moment in which it stands as the file says and fires.
    """
    async with get_client() as client:
        try:
            await client.read_deployment_by_name(deployment.full_name)
        except ObjectNotFound:
            return False
    deployment.schedules = None
    deployment.model_fields_set.difference_update(DECIDED_BY_PEOPLE)
    return True


async def _deploy(deployments: list[RunnerDeployment]) -> list[str]:
    told = []
    for deployment in deployments:
        known = await leave_to_people(deployment)
        await deployment.aapply()
        kept = "renewed; pauses, schedules and limits are left as they are in Prefect" if known else "deployed"
        told.append(f"{deployment.full_name} {kept}")
    return told + await watch_for_silence()


def _deployment(declared: Mapping[str, Any], pool: Mapping[str, Any]) -> RunnerDeployment:
    if ":" in declared["entrypoint"]:
        raise ValueError(f"{declared['entrypoint']}: name the flow by its module, such as flows.scoring.score")
    active = read_switch(SCHEDULE_SWITCH, os.environ.get(SCHEDULE_SWITCH), default=True)
    schedules = [
        DeploymentScheduleCreate(
            schedule=CronSchedule(cron=each["cron"], timezone=each["timezone"]),
            active=active and each["active"] is not False,
            slug=each["slug"],
        )
        for each in declared["schedules"]
    ]
    told = {name: declared[name] for name in ("name", "description", "parameters", "tags")}
    flow: Flow[..., Any] = load_flow_from_entrypoint(declared["entrypoint"], use_placeholder_flow=False)
    module = EntrypointType.MODULE_PATH
    deployment = RunnerDeployment.from_flow(flow, **told, schedules=schedules, entrypoint_type=module)
    # said, not left out: a deployment that was made for another pool, or for none, would keep it
    deployment.work_pool_name, deployment.work_queue_name = pool.get("name"), pool.get("work_queue_name")
    if pool:
        deployment.job_variables = dict(pool.get("job_variables") or {})
    return deployment


if __name__ == "__main__":
    main()
