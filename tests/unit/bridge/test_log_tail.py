"""A log that is read again and again: each line once, in order, and no line forgotten because it was late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.prefect_api.records import LogLine
from bridge.waiting.log_tail import CLOSING_LINE, OVERLAP, LogTail

BEGIN = datetime(2026, 1, 5, 7, tzinfo=UTC)


def line(seconds: float, message: str = "", name: str = "") -> LogLine:
    return LogLine(name or f"{seconds}{message}", BEGIN + timedelta(seconds=seconds), 20, "flow", message)


def test_lines_come_once_and_oldest_first() -> None:
    tail = LogTail()
    assert tail.since is None
    assert tail.take([line(2), line(1)]) == [line(1), line(2)]
    assert tail.take([line(1), line(2), line(3)]) == [line(3)]
    assert tail.take([line(3)]) == []


def test_a_line_that_is_late_is_asked_for_and_taken() -> None:
    tail = LogTail()
    tail.take([line(100)])
    assert tail.since == BEGIN + timedelta(seconds=100) - OVERLAP
    late = line(100 - OVERLAP.total_seconds())
    assert tail.take([late, line(100)]) == [late]
    assert tail.take([late, line(100)]) == []


def test_lines_of_one_moment_are_told_apart_by_their_ids() -> None:
    tail = LogTail()
    twins = [line(1, "again", name="a"), line(1, "again", name="b")]
    assert tail.take(twins[:1]) == twins[:1]
    assert tail.take(twins) == twins[1:]


def test_only_lines_that_may_come_again_are_remembered() -> None:
    tail = LogTail()
    for second in range(1000):
        tail.take([line(second)])
    assert len(tail._seen) <= OVERLAP.total_seconds() + 1
    assert tail.take([line(5)]) == [], "what is older than `since` was taken long ago"


def test_lines_before_the_wanted_moment_are_left_out() -> None:
    tail = LogTail(after=BEGIN + timedelta(seconds=5))
    assert tail.since == BEGIN + timedelta(seconds=5)
    assert tail.take([line(4), line(5), line(6)]) == [line(5), line(6)]
    assert tail.since == BEGIN + timedelta(seconds=5), "the overlap does not reach back before it"


def test_the_closing_line_closes_the_log() -> None:
    tail = LogTail()
    tail.take([line(1, "still at it")])
    assert not tail.closed
    tail.take([line(2, f"{CLOSING_LINE} Completed()")])
    assert tail.closed
