"""Which JSON values cross between Airflow and Prefect: what both sides' encoders and databases hold. Pure.

Checked by who sends and by who receives, since not every flow publishes through this project's code. Python's own
`json` is wider than JSON, PostgreSQL narrower than Unicode, and Airflow's processes speak MessagePack with each other.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

DEEPEST = 50
"""Levels of nesting; encoders end in a RecursionError at some hundreds."""

LARGEST_BYTES = 2_000_000
"""Prefect is known to take an artifact of so many; Airflow's XCom is a row of its database."""

LARGEST_INTEGER = 2**63 - 1
"""MessagePack has no larger one, nor has the encoder of Prefect's server."""

NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
"""A NUL, which PostgreSQL refuses, and half a surrogate pair, which has no UTF-8."""


def trouble_with(value: Any, name: str, largest_bytes: int = LARGEST_BYTES) -> str | None:
    """Why a value cannot cross, with the path of the first part that cannot; None where it can.

    `name` is what the value is called, and begins the path.
    """
    for path, part, depth in _parts(value, name):
        if depth > DEEPEST:
            return f"{path[:200]} is nested deeper than {DEEPEST}"
        if isinstance(part, Mapping):
            for key in part:
                if trouble := _trouble_with_key(key):
                    return f"{path} has a key {key!r}, which {trouble}"
        elif not isinstance(part, list | tuple) and (trouble := _trouble_with_scalar(part)):
            return f"{path} {trouble}"
    size = len(json.dumps(value))
    if size <= largest_bytes:
        return None
    return f"{name} is larger than {largest_bytes / 1_000_000:g} MB: {size:,} bytes as JSON"


def number_lost_in(value: Any, name: str) -> str | None:
    """The first number that JSON does not have, in a value that is not JSON yet: encoders make null of it."""
    for path, part, _ in _parts(value, name):
        if isinstance(part, float) and (trouble := _trouble_with_scalar(part)):
            return f"{path} {trouble}"
    return None


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any, int]]:
    """Every value within, with its path and how deep it lies; no recursion, which has a limit of its own."""
    waiting: list[tuple[str, Any, int]] = [(name, value, 0)]
    while waiting:
        path, part, depth = waiting.pop()
        yield path, part, depth
        if depth > DEEPEST:
            continue
        if isinstance(part, Mapping):
            waiting += [(f"{path}.{key}", each, depth + 1) for key, each in part.items()]
        elif isinstance(part, list | tuple):
            waiting += [(f"{path}[{index}]", each, depth + 1) for index, each in enumerate(part)]


def _trouble_with_key(key: Any) -> str | None:
    if not isinstance(key, str):
        return "is no text"
    return _trouble_with_scalar(key)


def _trouble_with_scalar(part: Any) -> str | None:
    if isinstance(part, str):
        return "holds a character that is none (NUL, or half of a surrogate pair)" if NOT_TEXT.search(part) else None
    if isinstance(part, bool) or part is None:
        return None
    if isinstance(part, float):
        return None if math.isfinite(part) else f"is {part}, which JSON does not have"
    if isinstance(part, int):
        return None if -LARGEST_INTEGER <= part <= LARGEST_INTEGER else "is an integer of more than 64 bits"
    return f"is of the type {type(part).__name__}, which is not plain JSON"
