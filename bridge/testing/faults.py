"""Faults on demand between the fake Prefect and whoever asks it.

Owns the list of what is to go wrong; how a connection is cut is `serving`'s business. Safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class Fault:
    """One thing that goes wrong for the next `left` requests whose path holds `path` (None: for all of them)."""

    kind: str
    left: int | None
    path: str = ""
    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


class Faults:
    """What is to go wrong. Each fault holds for `times` requests, for all with None, until `clear`.

    `path` is a part of the path: "create_flow_run", "/flow_runs/filter", "" for any. Of several faults that fit a
    request the one asked for first happens; a delay goes before any other.
    """

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = Lock()
        self.closers: set[Callable[[int], None]] = set()
        """For each open event socket what closes it."""

    def answer(
        self,
        status: int,
        *,
        times: int | None = 1,
        path: str = "",
        headers: Mapping[str, str] | None = None,
        body: str = '{"exception_message": "a fault on demand"}',
    ) -> None:
        """Nothing is carried out; this answer comes instead."""
        self._add(Fault("answer", times, path, status, body.encode(), headers or {}))

    def garbage(self, *, times: int | None = 1, path: str = "", body: bytes = b"<html>Sign in</html>") -> None:
        """Nothing is carried out; something that is no JSON comes with status 200, as from a proxy."""
        self._add(Fault("answer", times, path, 200, body, {"content-type": "text/html"}))

    def lose_answer(self, *, times: int | None = 1, path: str = "") -> None:
        """The request is carried out, and the connection cut before the answer."""
        self._add(Fault("lose_answer", times, path))

    def cut(self, *, times: int | None = 1, path: str = "") -> None:
        """The connection is cut before anything is carried out."""
        self._add(Fault("cut", times, path))

    def delay(self, seconds: float, *, times: int | None = 1, path: str = "") -> None:
        """The request waits before it is looked at."""
        self._add(Fault("delay", times, path, seconds=seconds))

    def drop_events(self, *, times: int | None = None) -> None:
        """Events are not sent on as they happen; a backfill holds them all the same."""
        self._add(Fault("drop_event", times))

    def duplicate_events(self, *, times: int | None = None) -> None:
        """Events are sent twice."""
        self._add(Fault("duplicate_event", times))

    def reorder_events(self, *, times: int | None = None) -> None:
        """An event is held back until the next has been sent (or for a second)."""
        self._add(Fault("hold_event", times))

    def refuse_socket(self, *, times: int | None = None) -> None:
        """The event socket cannot be opened (HTTP 403), as behind a proxy that knows no websockets."""
        self._add(Fault("refuse_socket", times))

    def close_socket(self, code: int = 1011) -> None:
        """Close the event sockets that are open now, with this code."""
        for close in tuple(self.closers):
            close(code)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._lock:
            self._faults.clear()

    def take(self, *kinds: str, path: str = "") -> Fault | None:
        """The first fault of these kinds that fits, used up by one."""
        with self._lock:
            for fault in self._faults:
                if fault.kind in kinds and fault.path in path:
                    if fault.left is not None:
                        fault.left -= 1
                    self._faults = [each for each in self._faults if each.left != 0]
                    return fault
        return None

    def _add(self, fault: Fault) -> None:
        with self._lock:
            self._faults.append(fault)
