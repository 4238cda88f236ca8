"""What is told of the end of a flow run: a JSON object that any store and any encoder takes. Pure.

A run's name, its tags and its result are the flow's to choose. What one of them holds must not trouble who tells of it,
nor the ends that are told together with it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.errors import BridgeError
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import UnreadableRun

LONGEST_RESULT_BYTES = 32_768
"""A larger result stays in Prefect; an event names the run that bears it."""

LONGEST_TEXT = 1000
MOST_TAGS = 100
DEEPEST = 50
LARGEST_INTEGER = 2**63 - 1
"""Airflow's processes speak MessagePack with each other, which has no larger one."""

NOT_TEXT = re.compile("[\x00\ud800-\udfff]")
"""A NUL, which PostgreSQL refuses, and half a surrogate pair, which has no UTF-8."""


def event_id(run: FlowRun) -> str:
    """Names this end of this run: a run that is retried in place ends more than once."""
    return f"{run.id}@{run.state_timestamp.isoformat() if run.state_timestamp else ''}"


def describe(
    run: FlowRun,
    url: str,
    *,
    deployment: str | None,
    result: Mapping[str, Any] | BridgeError | None,
    maybe_repeated: bool,
) -> dict[str, Any]:
    """What is told of an end. What cannot be told is null and named under `omitted`, with `omitted_because`.

    `result` may be the error of one who tried to read it.
    """
    reason = run.state_message if isinstance(run, UnreadableRun) else _why_not(result)
    omitted = ["name", "tags", "result"] if isinstance(run, UnreadableRun) else ["result"]
    return {
        "event_id": _text(event_id(run)),
        "flow_run_id": _text(run.id),
        "name": _text(run.name),
        "url": _text(url),
        "deployment": None if deployment is None else _text(deployment),
        "state": _text(run.state_type),
        "state_name": _text(run.state_name),
        "tags": [_text(tag) for tag in run.tags[:MOST_TAGS]],
        "start_time": _time(run.start_time),
        "end_time": _time(run.end_time or run.state_timestamp),
        "result": dict(result) if isinstance(result, Mapping) and not reason else None,
        "omitted": omitted if reason else [],
        "omitted_because": _text(reason) if reason else None,
        "maybe_repeated": maybe_repeated,
    }


def _why_not(result: Mapping[str, Any] | BridgeError | None) -> str | None:
    """Why a result is not told; None where it is, or where there is none."""
    if result is None:
        return None
    if isinstance(result, BridgeError):
        return str(result)
    trouble = _trouble(result)
    if trouble is None and len(json.dumps(result)) > LONGEST_RESULT_BYTES:
        return f"the result is larger than {LONGEST_RESULT_BYTES // 1024} KB"
    return trouble


def _trouble(result: Mapping[str, Any]) -> str | None:
    """The first value that cannot be told, by its path; None where all can."""
    waiting: list[tuple[str, Any, int]] = [("result", result, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if depth > DEEPEST:
            return f"{path[:200]} is nested deeper than {DEEPEST}"
        if isinstance(value, Mapping):
            waiting += [(f"{path} (a key)", key, depth) for key in value]
            waiting += [(f"{path}.{key}", each, depth + 1) for key, each in value.items()]
        elif isinstance(value, list):
            waiting += [(f"{path}[{index}]", each, depth + 1) for index, each in enumerate(value)]
        elif isinstance(value, str) and NOT_TEXT.search(value):
            return f"{path} holds a character that is none (NUL, or half of a surrogate pair)"
        elif isinstance(value, float) and not math.isfinite(value):
            return f"{path} is {value}, which JSON does not have"
        elif isinstance(value, int) and not -LARGEST_INTEGER <= value <= LARGEST_INTEGER:
            return f"{path} is an integer of more than 64 bits"
    return None


def _text(value: str) -> str:
    shown = NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
