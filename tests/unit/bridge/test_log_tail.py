"""A log that is read again and again: each line once, in order, and no line forgotten because it was late."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from bridge.prefect_api.exchange import PAGE
from bridge.prefect_api.records import LogLine
from bridge.waiting.log_tail import CLOSING_LINE, KEPT, OVERLAP, LogTail

BEGIN = datetime(2026, 1, 5, 7, tzinfo=UTC)


def line(seconds: float, message: str = "", name: str = "") -> LogLine:
    return LogLine(name or f"{seconds}{message}", BEGIN + timedelta(seconds=seconds), 20, "flow", message)


def test_lines_come_once_and_oldest_first() -> None:
    tail = LogTail()
    assert tail.since is None
    assert tail.take([line(2), line(1)]) == [line(1), line(2)]
    assert tail.take([line(1), line(2), line(3)]) == [line(3)]
    assert tail.take([line(3)]) == []


def test_a_short_log_is_asked_for_whole_so_that_a_line_of_any_clock_is_found() -> None:
    tail = LogTail()
    tail.take([line(3600)])
    assert tail.since is None
    late = line(-3600)
    assert tail.take([late, line(3600)]) == [late]
    assert tail.take([late, line(3600)]) == []


def test_a_long_log_is_asked_for_from_a_little_before_its_newest_line_and_at_its_end_whole() -> None:
    tail = LogTail()
    tail.take([line(second) for second in range(PAGE)])
    assert tail.since == BEGIN + timedelta(seconds=PAGE - 1) - OVERLAP
    assert tail.floor is None
    assert tail.take([line(-3600)]) == [line(-3600)]


def test_lines_of_one_moment_are_told_apart_by_their_ids() -> None:
    tail = LogTail()
    twins = [line(1, "again", name="a"), line(1, "again", name="b")]
    assert tail.take(twins[:1]) == twins[:1]
    assert tail.take(twins) == twins[1:]


def test_no_more_than_a_bounded_number_of_lines_is_remembered_and_none_is_doubled() -> None:
    tail = LogTail()
    lines = [line(second) for second in range(3 * KEPT)]
    taken = [each for start in range(0, len(lines), PAGE) for each in tail.take(lines[start : start + PAGE])]
    assert taken == lines
    assert len(tail._seen) <= KEPT
    assert tail.take(lines) == []


def test_after_a_hand_over_a_line_is_new_by_when_it_came_to_prefect_and_not_by_the_flows_clock() -> None:
    handed_over = BEGIN + timedelta(seconds=60)
    old = replace(line(90), id=id_of(handed_over - timedelta(seconds=1)))  # the flow's clock is ahead
    new = replace(line(30), id=id_of(handed_over))  # another's is behind
    tail = LogTail(after=handed_over)
    assert tail.since is not None
    assert tail.since < BEGIN
    assert tail.take([new, old]) == [new]
    assert tail.lag == timedelta(seconds=30)


def test_the_closing_line_closes_the_log() -> None:
    tail = LogTail()
    tail.take([line(1, "still at it")])
    assert not tail.closed
    tail.take([line(2, f"{CLOSING_LINE} Completed()")])
    assert tail.closed


def test_a_task_runs_closing_line_closes_no_log() -> None:
    tail = LogTail()
    tail.take([replace(line(1, f"{CLOSING_LINE} Completed()"), task_run_id="t1")])
    assert not tail.closed


@pytest.mark.parametrize(
    ("said", "level", "named"),
    [(25, 25, 20), (0, 0, 10), (-5, -5, 10), (10**9, 10**9, 50), ("loud", 20, 20), (None, 20, 20), (30, 30, 30)],
)
def test_any_level_has_a_named_one_and_an_odd_one_is_told(said: object, level: int, named: int) -> None:
    read = LogLine.parse({"id": "a", "timestamp": BEGIN.isoformat(), "level": said, "name": "n", "message": None})
    assert (read.level, read.named_level, read.message) == (level, named, "")
    assert (f"(level {level})" in read.text) == (level != named)


def id_of(moment: datetime) -> str:
    """As Prefect's server gives it to a line that comes at this moment."""
    return str(UUID(int=(int(moment.timestamp() * 1000) << 80) | (7 << 76) | (2 << 62)))
