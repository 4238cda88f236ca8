"""The commands of `bridge` and their exit codes.

0  done; a run that was waited for succeeded (or skipped)
1  the flow run ended badly: failed, crashed, cancelled, timed out
2  wrong usage, or parameters that the deployment refuses
3  Prefect cannot be reached, refuses the credentials, or lacks what was named
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Annotated, Any
from uuid import uuid4

import typer

from bridge.cli.display import Display, describe
from bridge.cli.watching import watch
from bridge.ending import conclude
from bridge.errors import BridgeError, FlowRunError, ParametersRejected
from bridge.intention import Intention
from bridge.parameters import check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import Submission
from bridge.profiles import find_connection
from bridge.readiness import examine
from bridge.submitting import submit

EXIT_RUN_FAILED, EXIT_USAGE, EXIT_PREFECT = 1, 2, 3

app = typer.Typer(
    name="bridge",
    help="Run Prefect deployments: started once, followed to the end, with exit codes that scripts can trust.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

ApiUrl = Annotated[str | None, typer.Option("--api-url", help="Prefect's API; else PREFECT_API_URL or the profile.")]
Profile = Annotated[str | None, typer.Option("--profile", help="A Prefect profile.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
RunId = Annotated[str, typer.Argument(help="Id of the flow run.")]


def main() -> None:
    """Entry point: runs a command; an error of the bridge's becomes one message and an exit code."""
    try:
        app()
    except FlowRunError as error:
        _leave(error, EXIT_RUN_FAILED)
    except ParametersRejected as error:
        _leave(error, EXIT_USAGE)
    except BridgeError as error:
        _leave(error, EXIT_PREFECT)


def _leave(error: BridgeError, code: int) -> None:
    typer.echo(f"bridge: {error}", err=True)
    sys.exit(code)


def _client(api_url: str | None, profile: str | None) -> PrefectClient:
    # A person waits: some three seconds of trying are enough.
    return PrefectClient(find_connection(api_url=api_url, profile=profile), RetryPolicy(attempts=5))


@app.command()
def run(
    deployment: Annotated[str, typer.Argument(help="<flow>/<deployment>")],
    param: Annotated[list[str] | None, typer.Option("--param", "-p", help="name=value; the value may be JSON.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the run to its end.")] = False,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag for the flow run.")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The same key never starts a second run.")] = None,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Start a deployment; with --wait show state and log live, and the result at the end.

    Ctrl-C while waiting leaves the run alone and says how to follow or cancel it.
    """
    parameters = _parameters(param or [])
    display = Display(as_json=as_json)
    with _client(api_url, profile) as client:
        record = client.run(wire.find_deployment(deployment))
        check_parameters(parameters, record, deployment)
        intention = Intention(deployment, ("command line", key or uuid4().hex))
        submitted = client.run(submit(record, intention, Submission(parameters, tags=["bridge", *(tag or [])])))
        url = client.connection.flow_run_url(submitted.run.id)
        display.started(deployment, submitted, url)
        if not wait:
            display.document(describe(submitted.run, url))
            return
        _follow(client, submitted.run.id, display)


@app.command(name="watch")
def watch_run(flow_run_id: RunId, as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """Follow a run to its end: state, log, result."""
    with _client(api_url, profile) as client:
        _follow(client, flow_run_id, Display(as_json=as_json))


def _follow(client: PrefectClient, flow_run_id: str, display: Display) -> None:
    try:
        ended = watch(client, flow_run_id, display)
    except KeyboardInterrupt:
        display.say(f"Left running. Follow it: bridge watch {flow_run_id}; end it: bridge cancel {flow_run_id}")
        sys.exit(130)
    url = client.connection.flow_run_url(ended.id)
    outcome = client.run(conclude(ended, url))
    display.outcome(ended, url, outcome)


@app.command()
def status(flow_run_id: RunId, as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """How a flow run stands."""
    with _client(api_url, profile) as client:
        found = client.run(wire.read_flow_run(flow_run_id))
        Display(as_json=as_json).document(describe(found, client.connection.flow_run_url(found.id)))


@app.command()
def cancel(flow_run_id: RunId, as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """Ask Prefect to cancel a run, and say how it stands afterwards."""
    with _client(api_url, profile) as client:
        after = client.run(wire.cancel_flow_run(flow_run_id))
        Display(as_json=as_json).document(describe(after, client.connection.flow_run_url(after.id)))


@app.command()
def deployments(as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """The deployments there are, with their parameters."""
    with _client(api_url, profile) as client:
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


@app.command()
def doctor(
    deployment: Annotated[list[str] | None, typer.Argument(help="What must be ready; default: all.")] = None,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Look whether everything is in order: API, credentials, versions, deployments, a worker on each pool."""
    with _client(api_url, profile) as client:
        findings = client.run(examine(deployment or []))
        address = client.connection.api_url
    rows: list[dict[str, Any]] = [
        {"what": f.subject, "in order": f.in_order, "detail": f.detail, "remedy": f.remedy} for f in findings
    ]
    Display(as_json=as_json).rows(f"Prefect at {address}, seen by bridge {version('bridge')}", rows)
    if not all(finding.in_order for finding in findings):
        sys.exit(EXIT_PREFECT)


def _parameters(pairs: list[str]) -> dict[str, Any]:
    """`name=value` pairs; a value that is JSON is taken as such, anything else as text, as Prefect's CLI does."""
    parameters: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise ParametersRejected(f"--param {pair!r} is not of the form name=value")
        try:
            parameters[name] = json.loads(text)
        except json.JSONDecodeError:
            parameters[name] = text
    return parameters
