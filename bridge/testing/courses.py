"""How a run of the fake Prefect goes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

STATE_TYPES = (
    "SCHEDULED",
    "PENDING",
    "RUNNING",
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "CRASHED",
    "PAUSED",
    "CANCELLING",
)
"""As Prefect's server lists them when it refuses another."""

TERMINAL_TYPES = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})

Result = Mapping[str, Any] | BaseModel


@dataclass(frozen=True, slots=True)
class Course:
    """How a run goes: the state in which it comes to rest, and what it leaves on the way.

    `state` is a state type: COMPLETED, FAILED, CRASHED and CANCELLED end the run; SCHEDULED (nobody picks it up),
    PENDING, RUNNING and PAUSED leave it there for the test to move on. `state_name` is a name of the flow's own, like
    `Skipped`. `result` is published as a flow does it. `logs` are lines, or pairs of a level of `logging` and a line.
    A run stays RUNNING for `after_seconds` before it ends. One that does not obey a cancellation stays CANCELLING.
    Raises ValueError when Prefect has no such state type.
    """

    state: str = "COMPLETED"
    result: Result | None = None
    message: str = ""
    state_name: str | None = None
    logs: Sequence[str | tuple[int, str]] = ()
    after_seconds: float = 0.0
    obeys_cancel: bool = True

    def __post_init__(self) -> None:
        if self.state not in STATE_TYPES:
            raise ValueError(f"{self.state!r} is no state type of Prefect's; there are: {', '.join(STATE_TYPES)}")


Flow = Callable[[dict[str, Any]], Course | Result | None]
"""Stands for a flow: is given the parameters, returns the result or a Course; what it raises fails the run."""


def follow(plan: Course | Flow, parameters: dict[str, Any]) -> Course:
    """The course that a plan comes to for these parameters."""
    if isinstance(plan, Course):
        return plan
    try:
        outcome = plan(parameters)
    except Exception as error:  # noqa: BLE001 — as Prefect's engine does with a flow
        return Course("FAILED", message=f"Flow run encountered an exception: {type(error).__name__}: {error}")
    return outcome if isinstance(outcome, Course) else Course(result=outcome)


def as_json(result: Result) -> dict[str, Any]:
    """A result as a flow publishes it."""
    return result.model_dump(mode="json") if isinstance(result, BaseModel) else dict(result)
