"""MLflow runs whose process was killed say RUNNING for ever: the next training or look at drift ends them as KILLED.

Owns by what it is known that nobody works on a run any more: its process where that was on this machine, else its flow
run in Prefect. What cannot be known is left alone.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psutil
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow import MlflowClient

FLOW_RUN_TAG, API_TAG, PROCESS_TAG = "prefect.flow_run_id", "prefect.api_url", "process"
REASON_TAG = "killed_because"
PAGE_TAG = "prefect.flow_run_url"
"""All that runs of before bear of their flow run."""


def who_writes() -> dict[str, str]:
    """The tags by which a run is known to be over when its process did not live to say so."""
    context = FlowRunContext.get()
    tags = {PROCESS_TAG: _name(psutil.Process())}
    if context is not None and context.flow_run is not None:
        tags |= {FLOW_RUN_TAG: str(context.flow_run.id), API_TAG: PREFECT_API_URL.value() or ""}
    return tags


def end_killed(client: MlflowClient, experiment_id: str) -> dict[str, str]:
    """End every run of the experiment that nobody works on any more; gives why, by the run's id."""
    running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'", max_results=1000)
    ended = {run.info.run_id: why for run in running if (why := _why_over(run.data.tags))}
    for run_id, why in ended.items():
        client.set_tag(run_id, REASON_TAG, why)
        client.set_terminated(run_id, "KILLED")
    return ended


def _why_over(tags: Mapping[str, str]) -> str | None:
    lives = _lives(tags.get(PROCESS_TAG, ""))
    if lives is not None:
        return None if lives else "its process is gone"
    return _why_flow_run_is_over(tags)


def _why_flow_run_is_over(tags: Mapping[str, str]) -> str | None:
    try:
        flow_run_id = UUID(tags.get(FLOW_RUN_TAG) or tags.get(PAGE_TAG, "").rpartition("/")[2])
    except ValueError:  # not one of ours
        return None
    try:
        with get_client(sync_client=True) as prefect:
            state = prefect.read_flow_run(flow_run_id).state
    except ObjectNotFound:  # of another Prefect perhaps
        here = tags.get(API_TAG) == (PREFECT_API_URL.value() or None)
        return f"flow run {flow_run_id} is gone" if here else None
    return f"flow run {flow_run_id} is {state.type.value}" if state is not None and state.is_final() else None


def _name(process: psutil.Process) -> str:
    return f"{_machine()}/{process.pid}/{process.create_time():.2f}"


def _lives(name: str) -> bool | None:
    """Whether the process of that name lives; None where it is another machine's, or another container's."""
    machine, _, rest = name.partition("/")
    if not rest or machine != _machine():
        return None
    try:
        found = psutil.Process(int(rest.partition("/")[0]))
        return _name(found) == name and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _machine() -> str:
    """What processes that see each other have in common: the machine since it was started, and the container."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{started}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux
        return f"{socket.gethostname()}:{int(psutil.boot_time())}"
