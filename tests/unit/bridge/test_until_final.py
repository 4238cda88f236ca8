"""How old a run is, and when a wait for it ends: by one clock at a time, whatever the others say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge.attempts import ASKED_AT_LABEL
from bridge.prefect_api.exchange import Answer
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.wire import flow_run_in
from bridge.waiting.until_final import Terms, seconds_since_asked, until_final

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
DOCUMENT = {"id": "r1", "name": "brave-fox", "state_type": "RUNNING", "created": NOON.isoformat()}


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def run(read_at: datetime | None = None, asked_at: object = None, **document: object) -> FlowRun:
    labels = {} if asked_at is None else {ASKED_AT_LABEL: asked_at}
    return FlowRun.parse({**DOCUMENT, "labels": labels, **document}, read_at)


@pytest.mark.parametrize("wrong_by", [-3600, -600, 0, 600, 3600])
def test_a_clock_of_prefects_that_is_wrong_makes_no_run_older(wrong_by: float) -> None:
    there = timedelta(seconds=wrong_by)
    seen = replace(run(after(60) + there, asked_at=NOON.isoformat()), created=NOON + there)
    assert seconds_since_asked(seen, after(60)) == 60


@pytest.mark.parametrize("readers_clock", [-600, 600])
def test_a_reader_whose_clock_differs_from_the_askers_cuts_no_wait_short(readers_clock: float) -> None:
    age = seconds_since_asked(run(after(60), asked_at=NOON.isoformat()), after(60 + readers_clock))
    assert 0 <= age <= 60


def test_a_clock_that_is_set_while_the_run_goes_on_cuts_no_wait_short() -> None:
    assert seconds_since_asked(run(after(7200), asked_at=NOON.isoformat()), after(60)) == 60  # Prefect's, ahead
    assert seconds_since_asked(run(after(-600), asked_at=NOON.isoformat()), after(60)) == 0  # Prefect's, back


@pytest.mark.parametrize("label", ["", "yesterday", 7, True, "2026-01-05T12:00:00", ["x"]])
def test_a_label_that_is_no_moment_says_nothing(label: object) -> None:
    assert seconds_since_asked(run(after(60), asked_at=label), after(5)) == 60


def test_without_the_answers_date_the_askers_label_counts_and_else_the_observation() -> None:
    assert seconds_since_asked(run(asked_at=NOON.isoformat()), after(60)) == 60
    assert seconds_since_asked(run(), after(60)) == 0


def test_a_retry_in_place_counts_from_the_retry() -> None:
    assert seconds_since_asked(run(after(3600), asked_at=NOON.isoformat()), after(3600), after(3590)) == 10


@pytest.mark.parametrize(
    ("date", "read_at"),
    [
        ("Mon, 05 Jan 2026 12:00:00 GMT", NOON),
        ("Mon, 05 Jan 2026 12:00:00 -0000", NOON),
        ("half past nine", None),
        ("", None),
    ],
)
def test_a_run_knows_when_prefect_said_so(date: str, read_at: datetime | None) -> None:
    assert flow_run_in(Answer(200, DOCUMENT, {"Date": date}))(DOCUMENT).read_at == read_at


async def told(*runs: FlowRun) -> AsyncGenerator[FlowRun, None]:
    for each in runs:
        yield each
    await asyncio.Event().wait()


async def test_a_limit_counts_from_the_runs_age_and_not_from_when_the_wait_begins() -> None:
    waited = await until_final(told(run(after(60))), Terms(run_seconds=60.0), lambda _: None)
    assert waited.passed == "run_timeout"


async def test_later_readings_move_no_limit() -> None:
    early, late = run(after(1)), run(after(7200), state_name="Still running")
    async with asyncio.timeout(5):
        waited = asyncio.create_task(until_final(told(early, late), Terms(run_seconds=60.0), lambda _: None))
        done, _ = await asyncio.wait({waited}, timeout=0.2)
        assert not done
        waited.cancel()


async def test_a_run_that_ends_ends_the_wait_though_its_limit_has_passed() -> None:
    ended = run(after(3600), state_type="FAILED")
    waited = await until_final(told(ended), Terms(run_seconds=1.0), lambda _: None)
    assert (waited.run, waited.passed) == (ended, None)


async def test_news_that_never_come_are_the_callers_business() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await until_final(told(), Terms(run_seconds=0.0), lambda _: None)
