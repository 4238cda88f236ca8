"""A clock that is wrong, and may be set in the middle: for a process of the bridge, and for Prefect behind the proxy.

Owns how a wrong clock shows the time. A process is given one with `install`; the proxy rewrites what Prefect says, and
what it is asked, with `shown_in` and `real_in`, so that one consistent clock shows.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime, parsedate_to_datetime

MOMENT = re.compile(rb'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)"')
DATE_HEADER = re.compile(rb"(?im)^date: *([^\r\n]+)")
OLDEST = datetime(2020, 1, 1, tzinfo=UTC)
"""Moments before are no clock's: a filter's "since ever"."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Off by `seconds` (positive: ahead) until it is set at `set_at` (right time); from then on by `seconds_then`."""

    seconds: float = 0.0
    set_at: datetime | None = None
    seconds_then: float = 0.0

    @property
    def is_right(self) -> bool:
        return self == Clock()

    def shown(self, moment: datetime) -> datetime:
        """What the clock shows at that moment."""
        is_set = self.set_at is not None and moment >= self.set_at
        return moment + timedelta(seconds=self.seconds_then if is_set else self.seconds)

    def real(self, shown: datetime) -> datetime:
        """When the clock showed that; the later moment where it did so twice."""
        later = shown - timedelta(seconds=self.seconds_then)
        if self.set_at is not None and later >= self.set_at:
            return later
        return shown - timedelta(seconds=self.seconds)


def shown_in(answer: bytes, clock: Clock) -> bytes:
    """Prefect's words, as if all that it has noted down had been noted by this clock. Keeps their length."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if separator:
        head = DATE_HEADER.sub(lambda found: b"date: " + _http_date(found[1], clock.shown), head)
    else:
        head, body = b"", head
    return head + separator + _moved(body, clock.shown)


def real_in(words: bytes, clock: Clock) -> bytes:
    """What Prefect is asked or told, by the clock that it really has. Keeps its length."""
    return _moved(words, clock.real)


def install(clock: Clock) -> None:
    """Let this process's wall clock be that one: `time.time`, and `datetime.now` in all of the bridge's modules."""
    if clock.is_right:
        return
    real_time = time.time
    utc = UTC

    def shifted_time() -> float:
        return clock.shown(datetime.fromtimestamp(real_time(), utc)).timestamp()

    class ShiftedDatetime(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(shifted_time(), tz)

    time.time = shifted_time
    for name, module in list(sys.modules.items()):
        if name.startswith("bridge.") and getattr(module, "datetime", None) is datetime:
            setattr(module, "datetime", ShiftedDatetime)  # noqa: B010 — mypy knows a module's names


def _moved(words: bytes, move: Callable[[datetime], datetime]) -> bytes:
    def replaced(found: re.Match[bytes]) -> bytes:
        fraction, zone = found[2] or b"", found[3]
        moment = datetime.fromisoformat((found[1] + fraction).decode()).replace(tzinfo=UTC)
        if moment < OLDEST:
            return found[0]
        new = move(moment)
        digits = f"{new.microsecond:06}".ljust(9, "0")[: max(0, len(fraction) - 1)]
        return f'"{new:%Y-%m-%dT%H:%M:%S}'.encode() + (b"." + digits.encode() if fraction else b"") + zone + b'"'

    return MOMENT.sub(replaced, words)


def _http_date(text: bytes, move: Callable[[datetime], datetime]) -> bytes:
    return format_datetime(move(parsedate_to_datetime(text.decode()).astimezone(UTC)), usegmt=True).encode()
