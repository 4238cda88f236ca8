"""What Prefect makes of the retry settings: how often, and after how long by a clock that nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import prefect.task_engine
import pytest
from prefect import task
from prefect.client.schemas.objects import State

from flows.adapters.retries import DATABASE, NETWORK

SLACK_SECONDS = 2.0
"""By so much less may be waited: Prefect counts from when it said that it would."""


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that Prefect's engine would have slept."""
    slept: list[float] = []
    monkeypatch.setattr(prefect.task_engine, "time", SimpleNamespace(**{**vars(time), "sleep": slept.append}))
    return slept


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
    waits: list[float], settings: Any, delays: list[float], jitter: float
) -> None:
    state, tried = attempts(settings, [ConnectionResetError("away")] * len(delays))

    assert state.is_completed()
    assert tried == len(delays) + 1
    for waited, delay in zip(waits, delays, strict=True):
        assert delay * (1 - jitter) - SLACK_SECONDS <= waited <= delay * (1 + jitter)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("settings", [NETWORK, DATABASE], ids=["network", "database"])
def test_after_the_last_try_the_error_stands_and_a_bug_is_tried_once(waits: list[float], settings: Any) -> None:
    lasting, tried = attempts(settings, [ConnectionResetError("away")] * 9)
    assert lasting.is_failed()
    assert tried == settings["retries"] + 1

    waits.clear()
    wrong, tried = attempts(settings, [KeyError("energy")] * 9)
    assert wrong.is_failed()
    assert (tried, waits) == (1, [])
