"""Arguments and options that several commands share, and the client that they lead to."""

from __future__ import annotations

from typing import Annotated

import typer

from bridge.cli.arguments import parse_deployment, parse_run_id, parse_seconds, parse_text
from bridge.cli.completing import complete_deployments, complete_flow_runs
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.retrying import RetryPolicy
from bridge.profiles import find_connection

ApiUrl = Annotated[
    str | None,
    typer.Option(
        "--api-url", metavar="URL", parser=parse_text, help="Prefect's API; else PREFECT_API_URL or the profile."
    ),
]
Profile = Annotated[str | None, typer.Option("--profile", metavar="NAME", parser=parse_text, help="A Prefect profile.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
DeploymentName = Annotated[
    str,
    typer.Argument(
        metavar="FLOW/DEPLOYMENT", parser=parse_deployment, help="The deployment.", autocompletion=complete_deployments
    ),
]
RunId = Annotated[
    str,
    typer.Argument(
        metavar="RUN-ID", parser=parse_run_id, help="Id of the flow run.", autocompletion=complete_flow_runs
    ),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", metavar="TAG", parser=parse_text, help="May be repeated.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end: state, log, result.")]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout", metavar="SECONDS", parser=parse_seconds, help="Stop waiting after so long; the run goes on."
    ),
]
Patience = Annotated[
    float,
    typer.Option(
        "--patience",
        metavar="SECONDS",
        parser=parse_seconds,
        help="How long Prefect may be away while the run is waited for.",
    ),
]

PATIENCE_SECONDS = 300.0


def open_client(api_url: str | None, profile: str | None) -> PrefectClient:
    """A client on the Prefect that is meant; raises ConnectionMisconfigured."""
    # A person waits: some three seconds of trying are enough for one question.
    return PrefectClient(find_connection(api_url=api_url, profile=profile), RetryPolicy(attempts=5))
