"""Which ends are news, by the cursor alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prefect_api.end_cursor import REMEMBERED, Cursor, Watch, start_from_now
from bridge.prefect_api.events import StateChange
from bridge.prefect_api.exchange import Answer
from bridge.prefect_api.records import FlowRun

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def ended(name: str, seconds: float = 0.0, **more: Any) -> FlowRun:
    """A run that completed so many seconds after noon."""
    moment = (NOON + timedelta(seconds=seconds)).isoformat()
    state = {"type": "COMPLETED", "name": "Completed", "timestamp": moment}
    return FlowRun.parse({"id": name, "name": name, "end_time": moment, "state": state, **more})


def names(runs: list[FlowRun]) -> list[str]:
    return [run.id for run in runs]


def saved(cursor: Cursor) -> Cursor:
    """The cursor as it comes back from a store."""
    return Cursor.decode(json.loads(json.dumps(cursor.encode())))


@given(st.lists(st.integers(-7200, 7200), max_size=40), st.data())
def test_every_end_is_news_once_whatever_the_clock_says(moments: list[int], data: st.DataObject) -> None:
    """The ends become readable one after another, each with whatever moment the clock showed."""
    arriving = [ended(f"run-{index}", end) for index, end in enumerate(moments)]
    cursor, there, told = Cursor(), [], []
    while arriving:
        count = data.draw(st.integers(1, len(arriving)))
        there, arriving = there + arriving[:count], arriving[count:]
        found = [run for run in there if cursor.floor is None or (run.end_time or NOON) >= cursor.floor]
        news = cursor.news(found)
        told += names(news)
        cursor = saved(cursor.told_of(news))
    assert sorted(told) == sorted(names(there))


def test_a_search_begins_a_little_before_the_end_that_was_told_last() -> None:
    cursor = Cursor().told_of([ended("a", 0), ended("b", 3600)])
    assert cursor.since == NOON + timedelta(minutes=55)
    assert cursor.told_of([ended("after the clock was set back", 60)]).since == NOON - timedelta(minutes=4)


def test_a_clock_that_was_set_back_is_noticed() -> None:
    cursor = Cursor().told_of([ended("a", 60)])
    assert cursor.is_ahead_of(NOON)
    assert not cursor.is_ahead_of(NOON + timedelta(seconds=60))
    assert not cursor.is_ahead_of(None)
    assert not Cursor().is_ahead_of(NOON)


def test_news_come_in_the_order_in_which_they_happened() -> None:
    assert names(Cursor().news([ended("late", 5), ended("early", 1)])) == ["early", "late"]


def test_a_second_end_of_the_same_run_is_news() -> None:
    cursor = Cursor().told_of([ended("a", 1)])
    assert names(cursor.news([ended("a", 1)])) == []
    assert names(cursor.news([ended("a", 9)])) == ["a"]


def test_what_was_begun_is_pending_until_it_was_told() -> None:
    a, b = ended("a"), ended("b")
    begun = Cursor().beginning([a, b])
    assert begun.may_have_told(a)
    assert names(begun.news([a, b])) == ["a", "b"]
    told = begun.told_of([a])
    assert not told.may_have_told(a)
    assert told.may_have_told(b)


def test_a_cursor_stays_small_and_what_it_forgets_is_no_news() -> None:
    runs = [ended(f"run-{index}", index / 100) for index in range(3 * REMEMBERED)]
    cursor = saved(Cursor().told_of(runs))
    assert len(cursor.told) == REMEMBERED
    assert cursor.news(runs) == []
    assert len(json.dumps(cursor.encode())) < 64_000


def test_an_end_of_a_time_that_is_forgotten_is_told_with_a_doubt_where_an_event_hints_at_it() -> None:
    cursor = Cursor().told_of([ended(f"run-{index}", index) for index in range(REMEMBERED + 2)])
    hinted = ended("new", -3600)
    assert names(cursor.unknown([hinted, ended(f"run-{REMEMBERED}", REMEMBERED)])) == ["new"]
    assert cursor.may_have_told(hinted)
    told = cursor.told_of([hinted])
    assert told.unknown([hinted]) == []
    assert names(told.news([ended("later", REMEMBERED + 5)])) == ["later"]


def started(count: int) -> Cursor:
    """The cursor of a watch that begins when so many runs have ended."""
    rows = [
        {"id": f"run-{index}", "name": "n", "end_time": (NOON - timedelta(seconds=index)).isoformat()}
        for index in range(count)
    ]
    operation = start_from_now(Watch())
    try:
        request = next(operation)
        while True:
            asked = request.json or {}
            request = operation.send(Answer(200, rows[asked["offset"] : asked["offset"] + asked["limit"]]))
    except StopIteration as stop:
        cursor: Cursor = stop.value
        return cursor


def test_what_had_ended_before_the_watch_began_is_no_news() -> None:
    assert started(0) == Cursor()
    assert len(started(3).told) == 3
    assert started(3).floor is None
    many = started(REMEMBERED + 300)
    assert len(many.told) == REMEMBERED
    assert many.since == NOON - timedelta(minutes=5)
    old = [ended(f"run-{index}", -index) for index in range(REMEMBERED, REMEMBERED + 300)]
    assert many.news(old) == []


def test_another_watch_has_another_digest_and_order_does_not_matter() -> None:
    assert Watch(tags=("a", "b")).digest == Watch(tags=("b", "a")).digest
    assert len({Watch().digest, Watch("a/b").digest, Watch(flow="a").digest, Watch(states=("FAILED",)).digest}) == 4


def event_of(flow: str, deployment: str, *tags: str, state_type: str = "COMPLETED") -> StateChange:
    related = [
        {"prefect.resource.id": "prefect.flow.1", "prefect.resource.role": "flow", "prefect.resource.name": flow},
        {"prefect.resource.id": "prefect.deployment.2", "prefect.resource.role": "deployment"}
        | {"prefect.resource.name": deployment},
        *({"prefect.resource.id": f"prefect.tag.{tag}", "prefect.resource.role": "tag"} for tag in tags),
    ]
    return StateChange("r", state_type, "Any", NOON, related=related)


@pytest.mark.parametrize(
    ("watch", "may_be"),
    [
        (Watch("train/products"), True),
        (Watch("train/other"), False),
        (Watch("score/products"), False),
        (Watch(flow="train"), True),
        (Watch(flow="score"), False),
        (Watch(tags=("a",)), True),
        (Watch(tags=("a", "c")), False),
        (Watch("train/products", tags=("b", "a")), True),
        (Watch(states=("FAILED", "CRASHED")), False),
        (Watch(), True),
    ],
)
def test_an_event_says_which_watch_it_concerns(watch: Watch, may_be: bool) -> None:
    assert watch.may_be(event_of("train", "products", "a", "b")) is may_be


def test_an_event_that_does_not_say_whose_it_is_concerns_every_watch() -> None:
    assert Watch("train/products", tags=("a",)).may_be(StateChange("r", "COMPLETED", "Completed", NOON))
