"""What became of a notification: it fails nothing, takes a bounded time, and where it did not arrive the log has it.

Owns the bounds that every channel shares. What is said is `bridge.notifications.message`'s business, and how a channel
is spoken to is that of the module named after it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bridge.notifications.message import Message

BUDGET_SECONDS = 10.0
"""No pipeline waits longer than this for a message, whatever a channel does."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a message; `problem` is empty when it was sent."""

    sent: bool
    problem: str = ""


def deliver(
    channel: str, message: Message, attempt: Callable[[], Delivery], *, budget_seconds: float = BUDGET_SECONDS
) -> Delivery:
    """What `attempt` gives, or that it gave nothing in time; never raises. What was not sent is logged."""
    outcome: list[Delivery] = []

    def run() -> None:
        try:
            outcome.append(attempt())
        except Exception as error:  # noqa: BLE001 — libraries raise what they like; no message may fail what it tells of
            outcome.append(Delivery(sent=False, problem=type(error).__name__))  # its text may hold the address

    # A request's own timeout does not bound an answer that drips in byte by byte; a thread that is left behind does.
    thread = threading.Thread(target=run, name=f"tell {channel}", daemon=True)
    thread.start()
    thread.join(budget_seconds)
    delivery = outcome[0] if outcome else Delivery(sent=False, problem=f"no answer within {budget_seconds:g} s")
    if not delivery.sent:
        problem, told = delivery.problem, message.as_text()
        log.warning("%s was not told (%s); this would have been sent:\n%s", channel, problem, told)
    return delivery


@contextmanager
def silenced(*loggers: str) -> Iterator[None]:
    """Nothing that these loggers say is heard: libraries print addresses, and with them their secrets."""

    def refuse(_: logging.LogRecord) -> bool:
        return False

    silent = [logging.getLogger(name) for name in loggers]
    for each in silent:
        each.addFilter(refuse)
    try:
        yield
    finally:
        for each in silent:
            each.removeFilter(refuse)
