"""What an argument may say: each is read here, once, and refused with what can be given.

A script whose variable is not set hands over an empty text. None means "not said" by it, so it is refused everywhere.
Every function raises typer.BadParameter.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from math import isfinite
from uuid import UUID

import typer

from bridge.prefect_api.run_queries import STATE_NAMES, STATE_TYPES

_AGE = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_STATES = {state.lower(): state for state in (*STATE_NAMES, *STATE_TYPES)}


def parse_text(text: str) -> str:
    """Any text that says something."""
    if not text.strip():
        raise typer.BadParameter("it is empty: was a variable not set?")
    return text


def parse_deployment(text: str) -> str:
    """The name of a deployment, with its flow's."""
    flow, _, name = parse_text(text).partition("/")
    if not flow.strip() or not name.strip() or "/" in name:
        raise typer.BadParameter(
            f"{text!r} names no deployment: it is <flow>/<deployment>; bridge deployments lists them"
        )
    return text


def parse_run_id(text: str) -> str:
    """The id of a flow run, in its usual spelling."""
    try:
        return str(UUID(parse_text(text).strip()))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no id of a flow run: bridge runs lists them with their names") from None


def parse_seconds(text: str) -> float:
    """A time, from 0 on."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not isfinite(seconds) or seconds < 0:
        raise typer.BadParameter(f"{text!r} is no number of seconds, such as 90")
    return seconds


def parse_state(text: str) -> str:
    """A state's type or name, however it is written; a name that flows may have made up stays as it is."""
    return _STATES.get(parse_text(text).strip().lower(), text)


def is_prefects_own(state: str) -> bool:
    """Whether every Prefect knows the state."""
    return state.lower() in _STATES


def parse_since(text: str) -> datetime:
    """A moment from `90s`, `30m`, `2h`, `7d`, `1w` ago, or an ISO date."""
    try:
        if age := _AGE.fullmatch(parse_text(text).strip()):
            return datetime.now(UTC) - timedelta(**{_UNITS[age[2]]: int(age[1])})
        # a date without a zone is meant where the person is
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError):
        raise typer.BadParameter(f"{text!r} is neither an age like 2h or 7d nor a date like 2026-01-31") from None
