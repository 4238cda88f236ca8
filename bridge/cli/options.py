"""Arguments and options that several commands share, and the client that they lead to."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bridge.cli.completing import complete_deployments, complete_flow_runs
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.retrying import RetryPolicy
from bridge.profiles import find_connection

ApiUrl = Annotated[
    str | None, typer.Option("--api-url", metavar="URL", help="Prefect's API; else PREFECT_API_URL or the profile.")
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="A Prefect profile.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DeploymentName = Annotated[
    str, typer.Argument(metavar="FLOW/DEPLOYMENT", help="The deployment.", autocompletion=complete_deployments)
]
RunId = Annotated[str, typer.Argument(metavar="RUN-ID", help="Id of the flow run.", autocompletion=complete_flow_runs)]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end: state, log, result.")]
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", min=0.0, metavar="SECONDS", help="Stop waiting after so long; the run goes on."),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience", min=0.0, metavar="SECONDS", help="How long Prefect may be away while the run is waited for."
    ),
]

PATIENCE_SECONDS = 300.0

_AGE = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def open_client(api_url: str | None, profile: str | None) -> PrefectClient:
    """A client on the Prefect that is meant; raises ConnectionMisconfigured."""
    # A person waits: some three seconds of trying are enough for one question.
    return PrefectClient(find_connection(api_url=api_url, profile=profile), RetryPolicy(attempts=5))


def parse_since(text: str) -> datetime:
    """A moment from `90s`, `30m`, `2h`, `7d`, `1w` ago, or an ISO date; raises typer.BadParameter."""
    if age := _AGE.fullmatch(text.strip()):
        return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is neither an age like 2h or 7d nor a date like 2026-01-31") from error
    return moment.astimezone()  # a date without a zone is meant where the person is
