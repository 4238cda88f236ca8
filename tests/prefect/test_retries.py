"""What Prefect makes of the retry settings: how often, and after how long by a clock that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import prefect.task_engine
import pytest
from prefect import task
from prefect.client.schemas.objects import State

from flows.adapters.retries import DATABASE, NETWORK


class Clock:
    """Stands in for Prefect's own in its engine: whoever sleeps is awake at once, that much later."""

    def __init__(self) -> None:
        self.moment, self.slept = datetime.now(UTC), list[float]()

    def now(self, _zone: str) -> datetime:
        """What time it is."""
        return self.moment

    def sleep(self, seconds: float) -> None:
        """Nobody waits."""
        self.slept.append(seconds)
        self.moment += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """By which Prefect's engine waits here."""
    ours = Clock()
    told = SimpleNamespace(states=prefect.states, types=SimpleNamespace(_datetime=ours))
    monkeypatch.setattr(prefect.task_engine, "prefect", told)
    monkeypatch.setattr(prefect.task_engine, "time", SimpleNamespace(**{**vars(time), "sleep": ours.sleep}))
    return ours


def attempts(settings: Any, errors: Sequence[Exception]) -> tuple[State[Any], int]:
    """How a task ends that meets these errors, one a try, and how often it was tried."""
    tried: list[int] = []

    @task(**settings)
    def talk() -> str:
        tried.append(len(tried))
        if len(tried) <= len(errors):
            raise errors[len(tried) - 1]
        return "answered"

    return talk(return_state=True), len(tried)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("settings", "delays", "jitter"),
    [(NETWORK, [2, 4, 8], 0.5), (DATABASE, [30, 30], 0.0)],
    ids=["network", "database"],
)
def test_what_may_pass_is_tried_again_after_growing_delays(
    clock: Clock, settings: Any, delays: list[float], jitter: float
) -> None:
    state, tried = attempts(settings, [ConnectionResetError("away")] * len(delays))

    assert state.is_completed()
    assert tried == len(delays) + 1
    for waited, delay in zip(clock.slept, delays, strict=True):
        assert delay * (1 - jitter) <= waited <= delay * (1 + jitter)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("settings", [NETWORK, DATABASE], ids=["network", "database"])
def test_after_the_last_try_the_error_stands_and_a_bug_is_tried_once(clock: Clock, settings: Any) -> None:
    lasting, tried = attempts(settings, [ConnectionResetError("away")] * 9)
    assert lasting.is_failed()
    assert tried == settings["retries"] + 1

    clock.slept.clear()
    wrong, tried = attempts(settings, [KeyError("energy")] * 9)
    assert wrong.is_failed()
    assert (tried, clock.slept) == (1, [])
