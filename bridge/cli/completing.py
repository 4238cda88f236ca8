"""What the shell may complete: names that Prefect knows, if it answers at once.

A shell's prompt must never show an error or stand still: whatever goes wrong, nothing is completed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import typer

from bridge.errors import BridgeError
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.run_queries import RunQuery, list_flow_runs
from bridge.profiles import find_connection

T = TypeVar("T")

ANSWER_SECONDS = 1.5
RUNS_OFFERED = 20


def complete_deployments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of deployments that begin as typed."""
    found = _ask(ctx, wire.list_deployments())
    return [name for name, _ in found or () if name.startswith(incomplete)]


def complete_flow_runs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the latest runs that begin as typed, with name and state for shells that show them."""
    found = _ask(ctx, list_flow_runs(RunQuery(limit=RUNS_OFFERED)))
    return [(run.id, f"{run.name} {run.state_name}") for run in found or () if run.id.startswith(incomplete)]


def _ask(ctx: typer.Context, operation: Operation[T]) -> T | None:
    """What the operation returns, or None where it does not do so at once."""
    try:
        meant = find_connection(api_url=ctx.params.get("api_url"), profile=ctx.params.get("profile"))
        with PrefectClient(replace(meant, timeout_seconds=ANSWER_SECONDS), RetryPolicy(attempts=1)) as client:
            return client.run(operation)
    except BridgeError:
        return None
