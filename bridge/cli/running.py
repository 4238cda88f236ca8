"""The commands that act on flow runs: run, watch, retry, cancel."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any
from uuid import uuid4

import typer

from bridge.cli import exit_codes
from bridge.cli.arguments import parse_text
from bridge.cli.display import Display
from bridge.cli.options import (
    PATIENCE_SECONDS,
    ApiUrl,
    DeploymentName,
    Json,
    Patience,
    Profile,
    RunId,
    Tags,
    Timeout,
    Wait,
    open_client,
)
from bridge.cli.watching import Watcher
from bridge.ending import conclude, describe_cancellation
from bridge.errors import FlowRunError, FlowRunTimedOut, ParametersRejected, PrefectUnreachable
from bridge.intention import Intention
from bridge.parameters import check_marks, check_parameters
from bridge.prefect_api import wire
from bridge.prefect_api.wire import Submission
from bridge.submitting import submit
from bridge.verdict import Live, judge

CONFIRM_SECONDS = 5.0
"""How long a cancellation is looked after; a process worker confirms one within some four seconds."""


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("run")(run)
    app.command("watch")(watch)
    app.command("retry")(retry)
    app.command("cancel")(cancel)


def run(
    deployment: DeploymentName,
    param: Annotated[
        list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="The value may be JSON.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = None,
    patience: Patience = PATIENCE_SECONDS,
    tag: Tags = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="TEXT", parser=parse_text, help="The same key never starts a second run."),
    ] = None,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Start a deployment; with --wait show state and log live, and the result at the end.

    Ctrl-C while waiting leaves the run alone and says how to follow or cancel it.
    """
    _refuse_idle_timeout(wait=wait, timeout=timeout)
    parameters = _parameters(param or [])
    display = Display(as_json=as_json)
    with open_client(api_url, profile) as client:
        record = client.run(wire.find_deployment(deployment))
        check_parameters(parameters, record, deployment)
        key = key or uuid4().hex
        submission = Submission(parameters, tags=["bridge", *(tag or [])])
        check_marks(None, submission.tags, {}, deployment)
        try:
            submitted = client.run(submit(record, Intention(deployment, ("command line", key)), submission))
        except PrefectUnreachable as error:
            raise PrefectUnreachable(f"{error}: repeat the command with --key {key}") from error
        url = client.connection.flow_run_url(submitted.run.id)
        display.started(deployment, submitted, url)
        if wait:
            _follow(Watcher(client, display, patience, timeout), submitted.run.id)
        else:
            display.run(submitted.run, url)


def watch(
    flow_run_id: RunId,
    timeout: Timeout = None,
    patience: Patience = PATIENCE_SECONDS,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Follow a run to its end: state, log, result."""
    with open_client(api_url, profile) as client:
        _follow(Watcher(client, Display(as_json=as_json), patience, timeout), flow_run_id)


def retry(
    flow_run_id: RunId,
    wait: Wait = False,
    timeout: Timeout = None,
    patience: Patience = PATIENCE_SECONDS,
    as_json: Json = False,
    api_url: ApiUrl = None,
    profile: Profile = None,
) -> None:
    """Let Prefect run a failed run again in place: tasks that finished keep their results.

    A run that still lives is left as it is; one that completed is not run again.
    """
    _refuse_idle_timeout(wait=wait, timeout=timeout)
    display = Display(as_json=as_json)
    with open_client(api_url, profile) as client:
        before = client.run(wire.read_flow_run(flow_run_id))
        if before.state_type == "COMPLETED":
            raise typer.BadParameter(f"flow run {before.name!r} completed; start a new one with: bridge run")
        lives = isinstance(judge(before), Live)
        after = client.run(wire.retry_flow_run(flow_run_id))
        url = client.connection.flow_run_url(after.id)
        display.say(f"{after.name} {'still lives and is left as it is' if lives else 'is run again'}\n{url}")
        if wait:
            _follow(Watcher(client, display, patience, timeout), flow_run_id)
        else:
            display.run(after, url)


def cancel(flow_run_id: RunId, as_json: Json = False, api_url: ApiUrl = None, profile: Profile = None) -> None:
    """Ask Prefect to cancel a run, look after it for some seconds, and say how it stands.

    The exit code is 0 also when the run had ended before, or is CANCELLING still: read the state.
    """
    display = Display(as_json=as_json)
    with open_client(api_url, profile) as client:
        before = client.run(wire.read_flow_run(flow_run_id))
        url = client.connection.flow_run_url(flow_run_id)
        if not isinstance(judge(before), Live):
            display.say(f"Nothing to cancel: flow run {before.name!r} had ended, it is {before.state_name}")
            display.run(before, url)
            return
        after = client.run(wire.cancel_flow_run(flow_run_id, confirm_seconds=CONFIRM_SECONDS))
        said = describe_cancellation(after)
        display.say(said[0].upper() + said[1:])
        display.run(after, url)


def _follow(watcher: Watcher, flow_run_id: str) -> None:
    display = watcher.display
    try:
        ended = watcher.watch(flow_run_id)
    except KeyboardInterrupt:
        display.say(f"Left running. Follow it: bridge watch {flow_run_id}; end it: bridge cancel {flow_run_id}")
        sys.exit(exit_codes.INTERRUPTED)
    except FlowRunTimedOut as error:
        if watcher.last is not None:
            display.failure(watcher.last, error.url, error)
        raise
    url = watcher.client.connection.flow_run_url(ended.id)
    try:
        outcome = watcher.ask(lambda: conclude(ended, url), flow_run_id)
    except FlowRunError as error:
        display.failure(ended, url, error)
        raise
    display.outcome(ended, url, outcome)


def _refuse_idle_timeout(*, wait: bool, timeout: float | None) -> None:
    if timeout is not None and not wait:
        raise typer.BadParameter("--timeout says how long to wait; add --wait")


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
