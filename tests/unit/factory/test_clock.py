"""Days, weeks and months: which period a moment falls into, when it is cut, and how it is written."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory.use_cases import ALL, clock_of
from factory.use_cases.clock import Clock, Day, Month, Week
from factory.use_cases.use_case import UseCase

WEEK = Week(datetime(2026, 1, 5, tzinfo=UTC))
MONTH, DAY = Month(first=date(2016, 10, 1)), Day(first=date(2016, 2, 28))
INSTANT = timedelta(microseconds=1)


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("clock", "written", "number"),
    [
        (WEEK, "2026-01-05", 1),
        (WEEK, "2026-01-11T23:59:59.999999", 1),
        (WEEK, "2026-01-12", 2),
        (MONTH, "2016-10-01", 1),
        (MONTH, "2016-10-31T23:59:59.999999", 1),
        (MONTH, "2016-12-31", 3),
        (MONTH, "2017-01-01", 4),
        (MONTH, "2020-02-29", 41),
        (DAY, "2016-02-28", 1),
        (DAY, "2016-02-29T23:59:59.999999", 2),
        (DAY, "2016-03-01", 3),
    ],
)
def test_a_moment_on_the_edge_belongs_to_the_period_that_begins(clock: Clock, written: str, number: int) -> None:
    assert clock.number(moment(written)) == number


def test_periods_are_those_of_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert MONTH.number(datetime(2016, 11, 1, 1, tzinfo=east)) == 1
    assert DAY.number(datetime(2016, 2, 29, 1, tzinfo=east)) == 1


@pytest.mark.parametrize("clock", [WEEK, MONTH, DAY])
@given(number=st.integers(1, 3_000))
def test_a_period_reaches_from_its_start_to_the_start_of_the_next(clock: Clock, number: int) -> None:
    assert clock.number(clock.start(number)) == number
    assert clock.number(clock.end(number) - INSTANT) == number
    assert clock.number(clock.end(number)) == number + 1


@pytest.mark.parametrize("clock", [WEEK, MONTH, DAY])
@given(number=st.integers(1, 3_000))
def test_what_is_written_is_read_again(clock: Clock, number: int) -> None:
    assert clock.parse(clock.written(number)) == number
    assert clock.parse(number) == number


@pytest.mark.parametrize(
    ("clock", "number", "label", "words", "key"),
    [
        (WEEK, 3, "Week 3", "week 3", "03"),
        (MONTH, 9, "2017-06", "2017-06", "2017-06"),
        (DAY, 471, "2017-06-12", "2017-06-12", "2017-06-12"),
    ],
)
def test_how_a_period_is_written(clock: Clock, number: int, label: str, words: str, key: str) -> None:
    assert (clock.label(number), clock.words(number), clock.key(number)) == (label, words, key)


@pytest.mark.parametrize(
    ("clock", "before", "said"),
    [
        (WEEK, "2026-01-04T23:59:59", "2026-01-04 lies before the first week.*2026-01-05.*WEEK_EPOCH"),
        (MONTH, "2016-09-30", "2016-09-30 lies before the first month.*2016-10-01.*earlier `first`"),
        (DAY, "2016-02-27", "2016-02-27 lies before the first day.*2016-02-28.*earlier `first`"),
    ],
)
def test_a_moment_before_the_first_period_is_refused(clock: Clock, before: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        clock.number(moment(before))


@pytest.mark.parametrize("clock", [WEEK, MONTH, DAY])
def test_numbers_that_no_period_has_are_refused(clock: Clock) -> None:
    for number in (0, -1):
        with pytest.raises(ValueError, match=rf"there is no {clock.noun} {number}: {clock.nouns} count from 1"):
            clock.start(number)
    with pytest.raises(ValueError, match="the calendar ends before it"):
        clock.start(10**7)


@pytest.mark.parametrize(
    ("clock", "written", "said"),
    [
        (WEEK, "2017-06", "is no week: write it as 3"),
        (MONTH, "2017-13", "is no month: write it as 2017-06"),
        (MONTH, "201706", "is no month"),
        (MONTH, "2016-09", "lies before the first month"),
        (DAY, "2017-02-29", "is no day of this clock: day is out of range for month"),
        (DAY, "2017-06", "is no day: write it as 2017-06-12"),
    ],
)
def test_a_period_that_is_written_otherwise_is_refused(clock: Clock, written: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        clock.parse(written)


def test_a_month_begins_on_its_first_day() -> None:
    with pytest.raises(ValueError, match="2017-06-12 is no first day of a month"):
        Month(first=date(2017, 6, 12))


@pytest.mark.parametrize(
    ("clock", "end", "periods", "begin"),
    [
        (WEEK, "2026-02-02T07:05", 1, "2026-01-26T07:05"),
        (WEEK, "2026-02-02", 23 / 7, "2026-01-10"),
        (MONTH, "2017-03-01", 1, "2017-02-01"),
        (MONTH, "2017-01-31T12:00", 2, "2016-11-30T12:00"),
        (MONTH, "2020-03-31", 1, "2020-02-29"),
        (MONTH, "2018-01-01", 1, "2017-12-01"),
        (DAY, "2016-03-01", 1, "2016-02-29"),
    ],
)
def test_a_window_reaches_back_by_periods(clock: Clock, end: str, periods: float, begin: str) -> None:
    assert clock.back(moment(end), periods) == moment(begin)


def test_a_part_of_a_month_is_no_window() -> None:
    with pytest.raises(ValueError, match=r"1\.5 are no whole months"):
        MONTH.back(moment("2017-03-01"), 1.5)


def test_a_week_is_cut_as_it_begins_with_what_had_come_when_it_is_asked_for() -> None:
    asked = moment("2026-01-19T07:05")
    assert WEEK.due(asked) == 3
    assert WEEK.as_of(3, asked) == asked
    assert WEEK.as_of(3) == moment("2026-01-19")


@pytest.mark.parametrize(
    ("clock", "asked", "number", "as_of"),
    [
        (MONTH, "2017-07-01", 9, "2017-07-01"),
        (MONTH, "2017-07-01T07:05", 9, "2017-07-01"),
        (MONTH, "2017-07-30", 9, "2017-07-01"),
        (DAY, "2016-03-01T07:05", 2, "2016-03-01"),
    ],
)
def test_months_and_days_are_cut_once_they_are_over_and_late_is_no_different(
    clock: Clock, asked: str, number: int, as_of: str
) -> None:
    assert clock.due(moment(asked)) == number
    assert clock.as_of(number, moment(asked)) == clock.as_of(number) == moment(as_of)


def test_a_month_that_is_not_over_is_not_cut() -> None:
    with pytest.raises(ValueError, match=r"2017-06 is not over on 2017-06-30 23:59 UTC.*from 2017-07-01 on"):
        MONTH.as_of(9, moment("2017-06-30T23:59"))
    with pytest.raises(ValueError, match="2016-10 is not over on 2016-10-12, and it is the first month"):
        MONTH.due(moment("2016-10-12"))


def test_weeks_count_from_the_setting_and_the_calendar_from_itself() -> None:
    epoch = moment("2025-12-29")
    assert WEEK.since(epoch).start(1) == epoch
    assert (MONTH.since(epoch), DAY.since(epoch)) == (MONTH, DAY)


def test_a_use_case_runs_when_its_clock_says_so_unless_it_says_otherwise() -> None:
    def schedule(**given: object) -> str:
        known = {name: getattr(ALL[0], name) for name in ("title", "models", "dag_id", "source")}
        return UseCase(name="any", **known, **given).schedule  # type: ignore[arg-type]

    assert (schedule(), schedule(clock=MONTH), schedule(clock=DAY)) == ("5 7 * * 1", "5 7 1 * *", "5 7 * * *")
    assert schedule(clock=MONTH, schedule="none") == "none"


def test_a_use_case_that_is_not_declared_any_more_is_told_in_weeks() -> None:
    assert clock_of("products") == clock_of("gone") == Week()
