"""Who follows which run, what is known of it, and whom an event or a reading tells. Without I/O.

Events come doubled, reordered and late; only one that is newer than what is known is told. A reading that was begun
after an event decides against it; one that was under way when the event came does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from bridge.errors import BridgeError
from bridge.prefect_api.events import StateChange
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.prefect_api.wire import ENDED_TYPES
from bridge.waiting.log_tail import LogTail

_NOT_KEPT: Mapping[str, Any] = MappingProxyType({})


class Follower:
    """One who waits: what there is to be told, until it has been taken."""

    __slots__ = ("_error", "_lines", "_reading", "_told", "_waker", "followed_since", "patience_seconds", "run", "tail")

    def __init__(self, run: FollowedRun, patience_seconds: float, tail: LogTail | None, now: float) -> None:
        self.run = run
        self.patience_seconds = patience_seconds
        self.tail = tail
        self.followed_since = now
        self._reading: FlowRun | None = None
        self._told: FlowRun | None = None
        self._lines: list[LogLine] = []
        self._error: BridgeError | None = None
        self._waker: asyncio.Future[None] | None = None

    async def news(self) -> None:
        """Wait until there is something to take; raises the error that ends this wait."""
        while not self._lines and self._error is None and not self._is_new(self._reading):
            self._waker = asyncio.get_running_loop().create_future()
            await self._waker
        if self._error is not None and not self._lines:
            raise self._error

    def take_lines(self) -> Sequence[LogLine]:
        lines, self._lines = self._lines, []
        return lines

    def take_reading(self) -> FlowRun | None:
        """How the run stands now; None when that was taken already."""
        if self._error is not None or not self._is_new(self._reading):
            return None
        self._told = self._reading
        return self._reading

    def tell(self, reading: FlowRun) -> None:
        self._reading = reading
        self._wake()

    def tell_lines(self, page: Sequence[LogLine]) -> None:
        """Those lines of a page of the run's log that are new to this follower."""
        if self.tail is not None and (lines := self.tail.take(page)):
            self._lines += lines
            self._wake()

    def fail(self, error: BridgeError) -> None:
        self._error = error
        self._wake()

    def _wake(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _is_new(self, reading: FlowRun | None) -> bool:
        return reading is not None and (self._told is None or _state_of(reading) != _state_of(self._told))


@dataclass(eq=False, slots=True)
class FollowedRun:
    """One run and those who follow it. Times are the event loop's, in seconds."""

    flow_run_id: str
    followers: list[Follower] = field(default_factory=list)
    reading: FlowRun | None = None
    read_at: float = float("-inf")
    """When Prefect last answered about this run."""
    _event_at: float = float("-inf")
    _early: StateChange | None = None
    """The newest event that came before the first reading."""

    def hear(self, change: StateChange, now: float) -> None:
        """An event has come."""
        known = self.reading
        if known is None:
            if self._early is None or self._early.occurred < change.occurred:
                self._early = change
        elif known.state_timestamp is None or known.state_timestamp < change.occurred:
            self._event_at = now
            self._tell(_changed(known, change))

    def see(self, reading: FlowRun, begun_at: float, now: float) -> bool:
        """A reading that was begun at `begun_at` has come; whether it takes back what an event said."""
        self.read_at = now
        behind = is_older(reading, self.reading)
        if behind and begun_at <= self._event_at:
            return False
        takes_back = behind and self._event_at > float("-inf")
        self._tell(replace(reading, parameters=_NOT_KEPT, tags=(), idempotency_key=None))
        early, self._early = self._early, None
        if early is not None:
            self.hear(early, now)
        return takes_back

    def _tell(self, reading: FlowRun) -> None:
        self.reading = reading
        for follower in self.followers:
            follower.tell(reading)

    def out_of_patience(self, now: float) -> list[tuple[Follower, float]]:
        """The followers whose patience is at an end, each with the seconds that it waited for an answer."""
        waited = [(follower, now - max(self.read_at, follower.followed_since)) for follower in self.followers]
        return [(follower, seconds) for follower, seconds in waited if seconds > follower.patience_seconds]


def is_older(reading: FlowRun, than: FlowRun | None) -> bool:
    """Whether the reading shows an older state."""
    return (
        than is not None
        and reading.state_timestamp is not None
        and than.state_timestamp is not None
        and reading.state_timestamp < than.state_timestamp
    )


def has_ended(reading: FlowRun) -> bool:
    return reading.state_type in ENDED_TYPES


def _state_of(reading: FlowRun) -> tuple[object, ...]:
    return reading.state_type, reading.state_name, reading.state_timestamp


def _changed(run: FlowRun, change: StateChange) -> FlowRun:
    """The run as an event says that it stands."""
    starts = change.state_type == "RUNNING" and run.start_time is None
    ends = change.state_type in ENDED_TYPES
    return replace(
        run,
        state_type=change.state_type,
        state_name=change.state_name,
        state_message=change.state_message,
        state_timestamp=change.occurred,
        start_time=change.occurred if starts else run.start_time,
        end_time=change.occurred if ends else None,
    )
