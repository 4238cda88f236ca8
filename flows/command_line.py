"""A flow's command line: one option a parameter, the result as JSON on standard output.

Owns the translation of options into parameters, for every flow alike. Must not know any flow.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from prefect import Flow

PLAIN = {"string": str, "integer": int, "number": float}


def run(flow: Flow[..., Any], arguments: Sequence[str] | None = None) -> None:
    """Run the flow here with the parameters of the command line and print its result.

    Parameters that are neither text, number nor switch (datasets) cannot be given here.
    """
    options = parser_of(flow).parse_args(arguments)
    given = {name: value for name, value in vars(options).items() if value is not None}
    json.dump(flow(**given), sys.stdout, indent=2)
    sys.stdout.write("\n")


def parser_of(flow: Flow[..., Any]) -> argparse.ArgumentParser:
    """The options of a flow: `--max-features 5000` for `max_features`, `--no-rollback` beside `--rollback`."""
    parser = argparse.ArgumentParser(description=(flow.description or "").partition("\n")[0])
    parameters = flow.parameters.properties
    for name, schema in parameters.items():
        flags, kinds = [f"--{name.replace('_', '-')}"], _kinds(schema)
        if name == "week_number" and "week" not in parameters:
            flags.append("--week")
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
