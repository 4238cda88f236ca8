"""Waiting for one flow run by what is told of it: until it has ended for good, or one of its limits has passed.

A limit counts from when the run was asked for, on one clock: how old the run is, is asked of Prefect's clock and of
Airflow's, each by itself, once; from then on the event loop's clock counts, which nobody sets. Knows nothing of who
waits, nor of how news come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.attempts import ASKED_AT_LABEL
from bridge.prefect_api.records import FlowRun, LogLine, moment
from bridge.verdict import Live, judge, seconds_to_final

DATE_STEP_SECONDS = 1.0
"""An answer says to the second when it was given: whoever reads the run next must find its grace over as well."""

News = AsyncIterator[FlowRun | Sequence[LogLine]]


@dataclass(frozen=True, slots=True)
class Terms:
    """How long a run is waited for, in seconds; None: no limit.

    `counted_from` is the moment by Prefect's clock from which on the limits count, where that is not the run's
    creation; `begun_before` is how often the run had begun before it was asked for.
    """

    start_seconds: float | None = None
    run_seconds: float | None = None
    crash_grace_seconds: float = 0.0
    begun_before: int = 0
    counted_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class Waited:
    """The run as last told; `passed` is "run_timeout" or "start_timeout" where that has ended the wait."""

    run: FlowRun
    passed: str | None = None


def seconds_since_asked(run: FlowRun, now: datetime, counted_from: datetime | None = None) -> float:
    """How long ago the run was asked for, `now` being the reader's time.

    The younger of two ages, each by one clock: Prefect's between the creation and this reading, Airflow's between the
    label that the asker wrote and now. So a clock that is wrong or was set makes a wait longer and never ends one.
    """
    ages: list[float] = []
    since = counted_from or run.created
    if run.read_at is not None and since is not None:
        ages.append((run.read_at - since).total_seconds())
    if counted_from is None and (asked_at := _asked_at(run)) is not None:
        ages.append((now - asked_at).total_seconds())
    return max(0.0, min(ages, default=0.0))


def _asked_at(run: FlowRun) -> datetime | None:
    """What the asker wrote; None where nobody did, or somebody wrote something else there."""
    said = run.labels.get(ASKED_AT_LABEL)
    try:
        asked_at = moment(said if isinstance(said, str) else None)
    except ValueError:
        return None
    return asked_at if asked_at is not None and asked_at.tzinfo is not None else None


async def until_final(
    news: News,
    terms: Terms,
    told_run: Callable[[FlowRun], None],
    told_lines: Callable[[Sequence[LogLine]], Awaitable[None]] | None = None,
) -> Waited:
    """Take news until they say that the run has ended for good, or a limit has passed. Raises what `news` raises."""
    loop = asyncio.get_running_loop()
    run: FlowRun | None = None
    asked_at = 0.0
    passed: str | None = None
    until: float | None = None
    while True:
        try:
            # Not wait_for: on Python 3.11 it loses a cancellation that comes together with news.
            async with asyncio.timeout_at(until):
                told = await anext(news)
        except TimeoutError:
            if run is None:
                raise
            return Waited(run, passed)
        if isinstance(told, Sequence):
            if told_lines is not None:
                await told_lines(told)
            continue
        if run is None:
            asked_at = loop.time() - seconds_since_asked(told, datetime.now(UTC), terms.counted_from)
        run = told
        told_run(run)
        verdict = judge(run, begun_before=terms.begun_before)
        if isinstance(verdict, Live):
            passed, until = _next_limit(terms, asked_at, started=verdict.started)
            continue
        grace_seconds = seconds_to_final(run, terms.crash_grace_seconds, datetime.now(UTC))
        if grace_seconds <= 0:
            return Waited(run)
        passed, until = None, loop.time() + grace_seconds + DATE_STEP_SECONDS


def _next_limit(terms: Terms, asked_at: float, *, started: bool) -> tuple[str | None, float | None]:
    """The limit that passes first, and when by the event loop's clock."""
    limits = {"run_timeout": terms.run_seconds, "start_timeout": None if started else terms.start_seconds}
    name, seconds = min(
        ((name, seconds) for name, seconds in limits.items() if seconds is not None),
        key=lambda limit: limit[1],
        default=(None, None),
    )
    return name, None if seconds is None else asked_at + seconds
