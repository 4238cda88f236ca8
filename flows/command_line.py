"""A flow's command line: one option a parameter, the result as JSON on standard output.

Owns the translation of options into parameters, for every flow alike. Must not know any flow.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from secrets import token_urlsafe
from typing import Any

from prefect import Flow
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS,
    temporary_settings,
)

STARTUP_SECONDS = 300
OWN_SERVER = "PREFECT_API_URL names no server: Prefect starts one of its own, on 127.0.0.1, until this command ends"

PLAIN = {"string": str, "integer": int, "number": float}


def run(flow: Flow[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run the flow here with the parameters of the command line and print its result.

    Parameters that are neither text, number nor switch (datasets) cannot be given here.
    """
    options = parser_of(flow).parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    with some_server():
        result = flow(**given)
    json.dump(result, sys.stdout, indent=2)
    sys.stdout.write("\n")


@contextmanager
def some_server() -> Iterator[None]:
    """Where no server is named, Prefect starts one for as long as the process lives: it is told, and locked.

    Prefect has no way to run a flow without a server. Its own lets in everybody on this machine, unless a password is
    set, which here nobody else knows.
    """
    if PREFECT_API_URL.value():
        yield
        return
    print(OWN_SERVER, file=sys.stderr)
    secret = f"flows:{token_urlsafe(24)}"
    ours = {
        PREFECT_API_AUTH_STRING: secret,
        PREFECT_SERVER_API_AUTH_STRING: secret,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS: STARTUP_SECONDS,
    }
    with temporary_settings(ours):
        yield


def parser_of(flow: Flow[..., Any]) -> argparse.ArgumentParser:
    """The options of a flow: `--max-features 5000` for `max_features`, `--no-rollback` beside `--rollback`."""
    parser = argparse.ArgumentParser(description=(flow.description or "").partition("\n")[0])
    parameters = flow.parameters.properties
    for name, schema in parameters.items():
        flags, kinds = [f"--{name.replace('_', '-')}"], _kinds(schema)
        if name == "week_number" and "week" not in parameters:
            flags.append("--week")
        if name == "period":
            flags += ["--month", "--day"]
        default = schema.get("default")
        told = schema.get("description") or ""
        told += "" if default is None else f" (default {default})"
        if "boolean" in kinds:
            parser.add_argument(*flags, action=argparse.BooleanOptionalAction, default=None, help=told)
        elif plain := [PLAIN[kind] for kind in kinds if kind in PLAIN]:
            parser.add_argument(*flags, dest=name, type=plain[0], help=told)
    return parser


def _kinds(schema: dict[str, Any]) -> list[str]:
    return [str(option.get("type")) for option in (schema, *schema.get("anyOf", ()))]
