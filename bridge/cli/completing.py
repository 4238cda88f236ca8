"""What the shell may complete: names that Prefect knows, if it answers at once.

A shell's prompt must never show an error or stand still: whatever goes wrong, nothing is completed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import typer
from rich.markup import escape

from bridge.errors import BridgeError
from bridge.plain_text import as_line
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.run_queries import RunQuery, list_flow_runs
from bridge.profiles import find_connection

T = TypeVar("T")

ANSWER_SECONDS = 1.5
RUNS_OFFERED = 20
SHELL_SIGNS = frozenset("$`\"'\\;&|<>(){}[]*?!#~^")


def complete_deployments(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of deployments that begin as typed; none that a shell would take for more than a word."""
    found = _ask(ctx, wire.list_deployments())
    return [name for name, _ in found or () if name.startswith(incomplete) and _is_a_word(name)]


def complete_flow_runs(ctx: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Ids of the latest runs that begin as typed, with name and state for shells that show them."""
    found = _ask(ctx, list_flow_runs(RunQuery(limit=RUNS_OFFERED)))
    return [
        (run.id, escape(as_line(f"{run.name} {run.state_name}")))  # typer reads markup there
        for run in found or ()
        if run.id.startswith(incomplete)
    ]


def _is_a_word(name: str) -> bool:
    return as_line(name) == name and SHELL_SIGNS.isdisjoint(name)


def _ask(ctx: typer.Context, operation: Operation[T]) -> T | None:
    """What the operation returns, or None where it does not do so at once."""
    try:
        meant = find_connection(api_url=ctx.params.get("api_url"), profile=ctx.params.get("profile"))
        with PrefectClient(replace(meant, timeout_seconds=ANSWER_SECONDS), RetryPolicy(attempts=1)) as client:
            return client.run(operation)
    except BridgeError:
        return None
