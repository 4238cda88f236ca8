"""Runs by what they were given: Prefect has no filter for parameters, so the newest runs are looked through.

Without I/O, as `bridge.prefect_api`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import RunPage, RunQuery, read_run_page

PAGES_LOOKED_THROUGH = 5
SEARCHED = PAGES_LOOKED_THROUGH * PAGE
"""So many runs are looked through at once; older ones are on the next page."""


@dataclass(frozen=True, slots=True)
class Found(RunPage):
    """`count` runs fit otherwise, of which `looked_through` were looked through for the parameter."""

    looked_through: int


def find_runs(
    query: RunQuery, wanted: str, page: int, shown: Callable[[FlowRun], Mapping[str, Any]]
) -> Operation[Found]:
    """Of the runs that the query finds, those with the parameter; page 2 looks through the next SEARCHED.

    `shown` gives the parameters without what is secret: a search that finds a secret tells it.
    """
    found, count, looked_through = [], 0, 0
    for number in range((page - 1) * PAGES_LOOKED_THROUGH + 1, page * PAGES_LOOKED_THROUGH + 1):
        read = yield from read_run_page(replace(query, limit=PAGE), number)
        count, looked_through = read.count, looked_through + len(read.runs)
        likely = (run for run in read.runs if has_parameter(run.parameters, wanted))
        found += [run for run in likely if has_parameter(shown(run), wanted)]
        if number * PAGE >= read.count:
            break
    return Found(tuple(found), count, looked_through)


def has_parameter(parameters: Mapping[str, Any], wanted: str) -> bool:
    """Whether `week_number=3`, `dataset.week=3`, or some text is among the parameters, whatever its case."""
    name, sign, value = (part.strip().casefold() for part in wanted.partition("="))
    for path, leaf in _leaves(parameters):
        if sign and (path == name or path.endswith(f".{name}")) and value in {"", leaf}:
            return True
        if not sign and (name in leaf or name in path):
            return True
    return False


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every value within as text, with the names that lead to it."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _leaves(part, f"{path}.{key}" if path else str(key).casefold())
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, path)
    else:
        yield path.casefold(), (value if isinstance(value, str) else json.dumps(value)).casefold()
