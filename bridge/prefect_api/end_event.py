"""What is told of the end of a flow run: a JSON object that any store and any encoder takes. Pure.

A run's name, its tags and its result are the flow's to choose. What one of them holds must not trouble who tells of it,
nor the ends that are told together with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bridge.border import NOT_TEXT, trouble_with
from bridge.errors import BridgeError
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import UnreadableRun

LONGEST_RESULT_BYTES = 30_000
"""A larger result stays in Prefect; an event names the run that bears it."""

LONGEST_TEXT = 1000
MOST_TAGS = 100


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
    return trouble_with(result, "result", LONGEST_RESULT_BYTES)


def _text(value: str) -> str:
    shown = NOT_TEXT.sub("\N{REPLACEMENT CHARACTER}", value)
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 1]}…"


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
