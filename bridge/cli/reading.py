"""The commands that look at things: status, logs, runs, deployments, doctor."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import typer

from bridge import __version__
from bridge.cli import exit_codes
from bridge.cli.arguments import is_prefects_own, parse_deployment, parse_since, parse_state
from bridge.cli.completing import complete_deployments
from bridge.cli.display import Display
from bridge.cli.options import ApiUrl, Json, Profile, RunId, Tags, open_client
from bridge.cli.run_list import show_runs
from bridge.cli.watching import LAST_LINES_SECONDS, POLL_SECONDS, Watcher
from bridge.errors import PrefectApiError, PrefectUnreachable
from bridge.heartbeats import examine_running
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.retrying import ADVICE
from bridge.prefect_api.run_queries import STATE_NAMES, STATE_TYPES, RunQuery, list_flow_runs
from bridge.readiness import examine, finding_of_socket
from bridge.verdict import Live, judge
from bridge.waiting.log_tail import LogTail, new_lines


class Level(StrEnum):
    """Levels of Python's logging, by the names that people type."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("status")(status)
    app.command("logs")(logs)
    app.command("runs")(runs)
    app.command("deployments")(deployments)
    app.command("doctor")(doctor)


def status(flow_run_id: RunId, as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """How a flow run stands."""
    with open_client(api_url, profile) as client:
        found = client.run(wire.read_flow_run(flow_run_id))
        Display(as_json=as_json).run(found, client.connection.flow_run_url(found.id))


def logs(
    flow_run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")] = False,
    level: Annotated[Level, typer.Option("--level", help="Nothing below it is shown.")] = Level.debug,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """The log of a run, oldest line first; with --json one object a line."""
    lowest = logging.getLevelNamesMapping()[level.upper()]
    display, tail = Display(as_json=as_json), LogTail()
    with open_client(api_url, profile) as client:
        watcher = Watcher(client, display, patience_seconds=0)
        closing_at: float | None = None
        while True:
            run = client.run(wire.read_flow_run(flow_run_id))
            for line in watcher.named(client.run(new_lines(flow_run_id, tail, to_the_floor=closing_at is not None))):
                if line.level >= lowest:
                    display.log_as_answer(line)
            if not isinstance(judge(run), Live):
                closing_at = closing_at or time.monotonic() + LAST_LINES_SECONDS
            ended = closing_at is not None and (tail.closed or time.monotonic() > closing_at)
            if not follow or ended or (closing_at is not None and run.start_time is None):
                return
            time.sleep(POLL_SECONDS)


def runs(
    deployment: Annotated[
        str | None,
        typer.Option(
            "--deployment",
            "-d",
            metavar="FLOW/DEPLOYMENT",
            parser=parse_deployment,
            help="Of it alone.",
            autocompletion=complete_deployments,
        ),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", "-s", metavar="STATE", parser=parse_state, help="Like failed, running or Late; may be repeated."
        ),
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option("--since", metavar="AGE", parser=parse_since, help="Like 90s, 2h, 7d, or a date like 2026-01-31."),
    ] = None,
    tag: Tags = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="The latest so many.")] = 20,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """The latest flow runs, newest first. Runs that a schedule plans are left out unless --state scheduled is given."""
    with open_client(api_url, profile) as client:
        names = {record.id: name for name, record in client.run(wire.list_deployments())}
        only = client.run(wire.find_deployment(deployment)).id if deployment else None
        query = RunQuery(deployment_id=only, states=tuple(state or ()), since=since, tags=tuple(tag or ()), limit=limit)
        found = client.run(list_flow_runs(query))
        if not found:
            _refuse_unheard_of(client, query.states)
        show_runs(Display(as_json=as_json), found, names, client.connection)


def _refuse_unheard_of(client: PrefectClient, states: Sequence[str]) -> None:
    """A flow may name its states as it likes; what neither Prefect knows nor any run was in is a slip."""
    for state in states:
        if not is_prefects_own(state) and not client.run(list_flow_runs(RunQuery(states=(state,), limit=1))):
            known = ", ".join([*sorted(map(str.lower, STATE_TYPES)), *sorted(STATE_NAMES)])
            raise typer.BadParameter(
                f"no run is in a state {state!r}; Prefect's own are: {known}", param_hint="--state"
            )


def deployments(as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """The deployments there are, with their parameters."""
    with open_client(api_url, profile) as client:
        rows = client.run(wire.list_deployments())
    Display(as_json=as_json).rows(
        "Deployments",
        [
            {
                "deployment": name,
                "status": "PAUSED" if record.paused else record.status,
                "work pool": record.work_pool_name or "",
                "parameters": ", ".join(record.parameter_schema.get("properties", {})),
            }
            for name, record in rows
        ],
    )


def doctor(
    deployment: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FLOW/DEPLOYMENT",
            parser=parse_deployment,
            help="What must be ready; default: all.",
            autocompletion=complete_deployments,
        ),
    ] = None,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Look whether everything is in order: API, credentials, versions, deployments, workers, runs, event socket."""
    with open_client(api_url, profile) as client:
        try:
            findings = client.run(examine(deployment or []))
            findings += client.run(examine_running(deployment or []))
        except PrefectUnreachable as error:
            raise PrefectUnreachable(f"{str(error).removesuffix(ADVICE)} {_where_to_look(api_url)}") from error
        findings.append(finding_of_socket(_socket_error(client.connection)))
        address = client.connection.api_url
    Display(as_json=as_json).findings(f"Prefect at {address}, seen by bridge {__version__}", findings)
    if not all(finding.in_order for finding in findings):
        sys.exit(exit_codes.PREFECT)


def _where_to_look(api_url: str | None) -> str:
    """What else there is to do where the doctor itself gets no answer."""
    if api_url:
        return "Look whether --api-url is right and the server runs (prefect server start)."
    named = "PREFECT_API_URL" if os.environ.get("PREFECT_API_URL") else "prefect.toml or the Prefect profile"
    return (
        f"{named} names this address: mend it, or start the server (prefect server start; the local stack's: make up)."
    )


def _socket_error(connection: PrefectConnection) -> PrefectApiError | None:
    from bridge.prefect_api.events import check_socket  # brings websockets, which no other command needs

    try:
        asyncio.run(check_socket(connection))
    except PrefectApiError as error:
        return error
    return None
