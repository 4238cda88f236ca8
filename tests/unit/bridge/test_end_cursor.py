"""Which ends are news, by the cursor alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.prefect_api.end_cursor import LATE, LONGEST_RESULT_BYTES, REMEMBERED, Cursor, Watch, describe
from bridge.prefect_api.events import StateChange
from bridge.prefect_api.records import FlowRun

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


def ended(name: str, seconds: float = 0.0, **more: Any) -> FlowRun:
    """A run that completed so many seconds after noon."""
    moment = (NOON + timedelta(seconds=seconds)).isoformat()
    state = {"type": "COMPLETED", "name": "Completed", "timestamp": moment}
    return FlowRun.parse({"id": name, "name": name, "end_time": moment, "state": state, **more})


def readable(runs: list[FlowRun], cursor: Cursor) -> list[FlowRun]:
    """What Prefect answers when it is asked for the runs from the cursor on."""
    return [run for run in runs if cursor.since is None or (run.end_time or NOON) >= cursor.since]


def names(runs: list[FlowRun]) -> list[str]:
    return [run.id for run in runs]


@given(st.lists(st.tuples(st.integers(0, 3600), st.integers(0, int(LATE.total_seconds()))), max_size=40), st.data())
def test_every_end_is_news_once_whatever_becomes_readable_when(
    moments: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Each run ends at a moment, and becomes readable up to five minutes later."""
    arriving = sorted((end + late, f"run-{index}", end) for index, (end, late) in enumerate(moments))
    cursor, there, told = Cursor(), [], []
    while arriving:
        count = data.draw(st.integers(1, len(arriving)))
        there += [ended(name, end) for _, name, end in arriving[:count]]
        arriving = arriving[count:]
        news = cursor.news(readable(there, cursor))
        told += names(news)
        cursor = Cursor.decode(json.loads(json.dumps(cursor.told_of(news).encode())))
    assert sorted(told) == sorted(names(there))


def test_news_come_in_the_order_in_which_they_happened() -> None:
    assert names(Cursor().news([ended("late", 5), ended("early", 1)])) == ["early", "late"]


def test_a_second_end_of_the_same_run_is_news() -> None:
    cursor = Cursor().told_of([ended("a", 1)])
    assert names(cursor.news([ended("a", 1)])) == []
    assert names(cursor.news([ended("a", 9)])) == ["a"]


def test_what_was_begun_is_pending_until_it_was_told() -> None:
    a, b = ended("a"), ended("b")
    begun = Cursor().beginning([a, b])
    assert begun.is_pending(a)
    assert names(begun.news([a, b])) == ["a", "b"]
    told = begun.told_of([a])
    assert not told.is_pending(a)
    assert told.is_pending(b)


def test_a_cursor_stays_small_and_what_it_forgets_is_not_read_again() -> None:
    runs = [ended(f"run-{index}", index / 100) for index in range(3 * REMEMBERED)]
    cursor = Cursor().told_of(runs)
    assert len(cursor.told) == REMEMBERED
    assert cursor.news(readable(runs, cursor)) == []
    assert len(json.dumps(cursor.encode())) < 64_000


def test_the_cursor_never_moves_back() -> None:
    cursor = Cursor().told_of([ended("new", 1000)])
    assert cursor.told_of([ended("old", 0)]).since == cursor.since


def test_another_watch_has_another_digest_and_order_does_not_matter() -> None:
    assert Watch(tags=("a", "b")).digest == Watch(tags=("b", "a")).digest
    assert len({Watch().digest, Watch("a/b").digest, Watch(flow="a").digest, Watch(states=("FAILED",)).digest}) == 4


def test_a_large_result_stays_in_prefect() -> None:
    told = describe(
        ended("a"), "http://p/a", deployment=None, result={"x": "y" * LONGEST_RESULT_BYTES}, maybe_repeated=False
    )
    assert told["result"] is None
    assert told["omitted"] == ["result"]


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
