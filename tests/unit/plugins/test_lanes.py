"""Runs over time, each in its deployment's lane."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from plugins.control_page.lanes import MOST_ROWS, NARROWEST, ROW_PIXELS, STEPS, TICKS, picture
from plugins.control_page.run_views import RunView, Starter

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def view(name: str, began: float | None, ended: float | None, deployment: str = "a/b", **more: Any) -> RunView:
    """A run that began and ended so many minutes ago."""
    times = [None if minutes is None else NOW - timedelta(minutes=minutes) for minutes in (began, ended)]
    told = {"due": times[0], "state": "Completed", "tone": "good", "seconds": 1.0, "is_live": ended is None, **more}
    who = Starter("Prefect", "by hand")
    return RunView(
        id=name, name=name, deployment=deployment, began=times[0], ended=times[1], message="", starter=who, **told
    )


def test_a_run_lies_where_it_went_on_and_one_that_runs_goes_on_up_to_now() -> None:
    drawn = picture([view("half", 30, 15), view("runs", 15, None), view("long", 300, 30)], HOUR, NOW)
    [lane] = drawn.lanes
    places = {block.run.name: (block.left, block.width) for block in lane.blocks}
    step = 100 / STEPS + 0.01  # the end of the picture is up to so much later than now
    assert 50 - step <= places["half"][0] <= 50
    assert 25 - 0.01 <= places["half"][1] <= 25.01
    assert 100 - step <= sum(places["runs"]) <= 100
    assert places["long"][0] == 0
    assert len(drawn.ticks) == TICKS
    assert drawn.ticks[-1] - drawn.ticks[0] == HOUR


def test_lanes_are_by_name_and_what_overlaps_lies_below_each_other() -> None:
    drawn = picture([view("a", 30, 10), view("b", 20, 5), view("c", 4, 1), view("d", 9, 1, "")], HOUR, NOW)
    assert [lane.name for lane in drawn.lanes] == ["a/b", "without a deployment"]
    assert {block.run.name: block.top for block in drawn.lanes[0].blocks} == {"a": 0, "b": ROW_PIXELS, "c": 0}
    assert drawn.lanes[0].height == 2 * ROW_PIXELS


def test_a_short_run_can_be_hit_and_many_at_once_have_room() -> None:
    drawn = picture([view(f"{n}", 10, 10) for n in range(50)] + [view("last", 0, 0)], HOUR, NOW)
    blocks = drawn.lanes[0].blocks
    assert min(block.width for block in blocks) >= NARROWEST - 0.01
    assert max(block.left + block.width for block in blocks) <= 100.01
    assert drawn.lanes[0].height == MOST_ROWS * ROW_PIXELS


def test_what_is_out_of_the_time_or_has_no_time_is_left_out() -> None:
    drawn = picture([view("before", 200, 90), view("never", None, None)], HOUR, NOW)
    assert drawn.lanes == ()
    everything = picture([view("old", 60 * 24 * 40, 60 * 24 * 39), view("new", 5, 1)], None, NOW)
    assert len(everything.lanes[0].blocks) == 2
    assert picture([], None, NOW).lanes == ()


def test_the_picture_stands_still_between_two_looks() -> None:
    runs = [view("a", 30, 10)]
    assert picture(runs, HOUR, NOW) == picture(runs, HOUR, NOW + timedelta(seconds=10))
