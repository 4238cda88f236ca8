"""A wrong clock is wrong everywhere in the same way."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.clocks import Clock, install, real_in, shown_in

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
SET_BACK = Clock(0.0, NOON, -600.0)


@pytest.mark.parametrize("clock", [Clock(30), Clock(-900), Clock(30, NOON, -30)])
@pytest.mark.parametrize("hours", [-1, 0, 1])
def test_what_a_clock_has_shown_was_once(clock: Clock, hours: int) -> None:
    moment = NOON + timedelta(hours=hours)
    assert clock.real(clock.shown(moment)) == moment


def test_what_was_shown_twice_is_taken_for_the_later_moment() -> None:
    assert SET_BACK.real(NOON - timedelta(minutes=5)) == NOON + timedelta(minutes=5)


def test_prefects_words_and_its_date_tell_one_clock() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\ndate: Sat, 28 Nov 2026 12:00:00 GMT\r\n\r\n"
        b'{"created": "2026-11-28T12:00:00.125Z", "since": "0001-01-01T00:00:00+00:00", "note": "2026-11-28"}'
    )
    shown = shown_in(answer, Clock(-60))
    assert b"date: Sat, 28 Nov 2026 11:59:00 GMT" in shown
    document = json.loads(shown.partition(b"\r\n\r\n")[2])
    assert document["created"] == "2026-11-28T11:59:00.125Z"
    assert (document["since"], document["note"]) == ("0001-01-01T00:00:00+00:00", "2026-11-28")
    assert len(shown) == len(answer)


def test_what_prefect_is_asked_goes_back_to_its_own_clock() -> None:
    question = b'{"after_": "2026-11-28T11:59:00.000000+00:00"}'
    assert real_in(question, Clock(-60)) == b'{"after_": "2026-11-28T12:00:00.000000+00:00"}'


def _tell_times(seconds: float) -> tuple[float, float]:
    import time

    import bridge.verdict as module_of_the_bridge

    install(Clock(seconds))
    return time.time(), module_of_the_bridge.datetime.now(UTC).timestamp()


def test_a_process_with_a_wrong_clock_shows_it_in_the_bridges_modules() -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        shown = pool.apply(_tell_times, (900.0,))
    now = datetime.now(UTC).timestamp()
    for each in shown:
        assert 0 <= now + 900 - each < 120
