"""When to ask again: one policy over the protocol, without I/O.

`persistently` wraps an operation; it yields requests to send and pauses to take, and is sent an `Answer` or a `Fault`.
What cannot be asked again is thrown into the operation, which may know another way to find out.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TypeVar

from bridge.errors import PrefectUnreachable
from bridge.prefect_api.exchange import Answer, Operation, Request, can_be_prefects

T = TypeVar("T")

PASSING_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers that say nothing about the request; 503 is what Prefect on SQLite says while its database is locked."""

BUSY_STATUSES = frozenset({429, 503})
"""Answers of a server that is up and has not taken the request."""


ADVICE = " Check with: bridge doctor"
"""How a message ends for everybody but the doctor itself."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Take a break of so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fault:
    """No answer came; `sent` is False when the request certainly did not reach the server."""

    reason: str
    sent: bool = True


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter (AWS Architecture Blog, "Exponential Backoff And Jitter", 2015).

    A server that says it is busy (429, 503) is asked again beyond `attempts`, until the pauses add up to
    `busy_patience_seconds`: Prefect on SQLite declines a third of what hundreds of mapped tasks create at once. Such
    answers and faults are counted apart: a server that was busy for a while may still lose an answer. Faults are met
    with at least `attempts`, and until `patience_seconds` have passed since the first.
    """

    attempts: int = 8
    patience_seconds: float = 0.0
    busy_patience_seconds: float = 0.0
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 10.0
    longest_retry_after_seconds: float = 60.0

    def pause(self, attempt: int) -> float:
        """Seconds before attempt `attempt + 1`; attempts count from 1."""
        ceiling = min(self.longest_pause_seconds, self.first_pause_seconds * 2 ** min(attempt, 16))
        return random.uniform(ceiling / 10, ceiling)  # noqa: S311 — spreads load, guards nothing


Step = Generator[Request | Pause, Answer | Fault | None, T]


def persistently(
    operation: Operation[T], policy: RetryPolicy, where: str, clock: Callable[[], float] = time.monotonic
) -> Step[T]:
    """Drive `operation`, repeating requests that met a passing fault or an answer that cannot be Prefect's.

    `where` names the API in errors, `clock` tells seconds. Raises PrefectUnreachable when attempts and patience are
    used up, or at once when a request that must not be repeated may have reached the server.
    """
    try:
        request = next(operation)
        while True:
            try:
                answer = yield from _exchange(request, policy, where, clock)
            except PrefectUnreachable as error:
                request = operation.throw(error)
            else:
                request = operation.send(answer)
    except StopIteration as stop:
        result: T = stop.value
        return result


def _exchange(request: Request, policy: RetryPolicy, where: str, clock: Callable[[], float]) -> Step[Answer]:
    if request.after_seconds:
        yield Pause(request.after_seconds)
    met = _Met(clock())
    while True:
        outcome = _believed(request, (yield request))
        if isinstance(outcome, Answer) and outcome.status not in PASSING_STATUSES:
            return outcome
        reason = outcome.reason if isinstance(outcome, Fault) else f"HTTP {_status(outcome)}"
        maybe_done = (isinstance(outcome, Fault) and outcome.sent) or _status(outcome) in {500, 502, 504}
        if maybe_done and not request.repeatable:
            raise PrefectUnreachable(
                f"{where} did not answer a request that must not be repeated ({reason}); "
                "it may have been carried out: look before you start it again"
            )
        is_busy = _status(outcome) in BUSY_STATUSES
        met.add(reason, is_busy)
        if met.is_enough(policy, is_busy, clock()):
            raise PrefectUnreachable(met.describe(where))
        pause_seconds = _retry_after(outcome, policy) or policy.pause(met.faults + met.busy)
        if is_busy:
            met.busy_pause_seconds += pause_seconds
        yield Pause(pause_seconds)


def _believed(request: Request, outcome: Answer | Fault | None) -> Answer | Fault | None:
    """What came, unless it is a success that Prefect cannot have said: that is a lost answer."""
    if not isinstance(outcome, Answer) or not 200 <= outcome.status < 300 or can_be_prefects(request, outcome.body):
        return outcome
    said = "nothing" if outcome.body in (None, "") else repr(outcome.body)[:100]
    return Fault(f"HTTP {outcome.status} from {outcome.url or request.path} with {said}, which is not Prefect's answer")


@dataclass(slots=True)
class _Met:
    """What one request has met so far."""

    since: float
    busy: int = 0
    faults: int = 0
    busy_pause_seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, is_busy: bool) -> None:
        self.reasons[reason] += 1
        if is_busy:
            self.busy += 1
        else:
            self.faults += 1

    def is_enough(self, policy: RetryPolicy, is_busy: bool, now: float) -> bool:
        if is_busy:
            return self.busy >= policy.attempts and self.busy_pause_seconds >= policy.busy_patience_seconds
        return self.faults >= policy.attempts and now - self.since >= policy.patience_seconds

    def describe(self, where: str) -> str:
        met = f"{self.busy + self.faults} times in a row"
        if len(self.reasons) == 1:
            met = f"{next(iter(self.reasons))}, {met}"
        else:
            met += f" ({', '.join(f'{reason}: {count}' for reason, count in self.reasons.items())})"
        if self.faults:
            return f"{where} cannot be reached: {met}. Is the server up and the address right?{ADVICE}"
        return (
            f"{where} takes no requests: {met}. Is Prefect down behind its proxy, or asked for too much at once?"
            f"{ADVICE}"
        )


def _status(outcome: Answer | Fault | None) -> int:
    return outcome.status if isinstance(outcome, Answer) else 0


def _retry_after(outcome: Answer | Fault | None, policy: RetryPolicy) -> float | None:
    """Seconds that the server asked for; the HTTP-date form is rare enough to be met with our own backoff."""
    if not isinstance(outcome, Answer):
        return None
    value = {name.lower(): text for name, text in outcome.headers.items()}.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        return None
    # the comparison also refuses "nan", of which min() would make a pause
    return min(seconds, policy.longest_retry_after_seconds) if seconds > 0 else None
