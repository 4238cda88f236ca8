"""Which period a moment falls into: days, weeks or months, counted from 1, and how people write one.

Pure. A use case declares its clock; whoever cuts, trains on or tells of a period asks it and counts no days of its own.
On the wire and in tables a period is its number, in fields that are called `week` and `week_number` whatever the clock:
people who read them know these names. What people read as text comes from `label`, `words` and `key`.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import ClassVar, Self, TypeAlias

MONTHS = 12
_WEEK = timedelta(days=7)
_DAY = timedelta(days=1)


def aware(moment: datetime) -> datetime:
    """The moment in UTC; one without a zone is taken to be UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)


class Periods(ABC):
    """What all clocks have in common: equal steps from a first period on, each from its start to the next one's."""

    __slots__ = ()

    noun: ClassVar[str]
    cron: ClassVar[str]
    """When a period is due, in UTC."""
    pattern: ClassVar[str]
    """How people write a period, as a regular expression."""
    example: ClassVar[str]
    remedy: ClassVar[str]
    """What to do about a moment before the first period."""
    cut_when_over: ClassVar[bool] = True
    """Whether a snapshot shows its period whole; else it shows what had come by the time that it was asked for."""

    @abstractmethod
    def start(self, number: int) -> datetime:
        """The first moment of the period, in UTC; raises ValueError for one below 1 or beyond the calendar."""

    @abstractmethod
    def number(self, moment: datetime) -> int:
        """The number of the period into which the moment falls; raises ValueError before the first."""

    @abstractmethod
    def back(self, moment: datetime, periods: float) -> datetime:
        """The moment so many periods before; raises ValueError where a clock has no parts of a period."""

    def key(self, number: int) -> str:
        """The period in the name of a file, after the noun; as it is written, where that sorts."""
        return self.written(number)

    @abstractmethod
    def written(self, number: int) -> str:
        """The period as people write it, and `parse` reads it."""

    @abstractmethod
    def _read(self, written: str) -> int:
        """The number of a period that is written as the pattern has it; raises ValueError where there is none."""

    def since(self, epoch: datetime) -> Self:  # noqa: ARG002 - days and months of the calendar need no epoch
        """The clock as the setting WEEK_EPOCH has it, which is about weeks alone."""
        return self

    @property
    def nouns(self) -> str:
        """Several of them."""
        return f"{self.noun}s"

    def end(self, number: int) -> datetime:
        """The first moment after the period."""
        return self.start(number + 1)

    def words(self, number: int) -> str:
        """The period within a sentence."""
        return self.written(number)

    def label(self, number: int) -> str:
        """The period as a heading."""
        words = self.words(number)
        return words[:1].upper() + words[1:]

    def several(self, count: float) -> str:
        """So many periods, in words."""
        return f"{count:g} {self.noun if count == 1 else self.nouns}"

    def parse(self, written: str | int) -> int:
        """The number of a period as people write it, or the number itself; raises ValueError that shows an example."""
        if isinstance(written, int):
            return written
        if not re.fullmatch(self.pattern, written.strip()):
            raise ValueError(f"{written!r} is no {self.noun}: write it as {self.example}")
        try:
            return self._read(written.strip())
        except ValueError as error:
            raise ValueError(f"{written!r} is no {self.noun} of this clock: {error}") from error

    def lasting(self, periods: float) -> str:
        """The length of a window, in words."""
        return self.several(periods)

    def over(self, moment: datetime) -> int:
        """How many periods are over by then, which is the number of the last; 0 where none is."""
        return 0 if aware(moment) < self.end(1) else self.number(moment) - 1

    def due(self, moment: datetime) -> int:
        """The period that is cut at that moment: the last one that is over, or else the one that has begun.

        Raises ValueError where none is yet.
        """
        if not self.cut_when_over:
            return self.number(moment)
        if number := self.over(moment):
            return number
        raise ValueError(f"{self.words(1)} is not over on {aware(moment):%Y-%m-%d}, and it is the first {self.noun}")

    def as_of(self, number: int, asked: datetime | None = None) -> datetime:
        """As of which moment the period is cut, where it is `asked` for then.

        A clock whose periods are cut when they are over gives the same moment however late it is asked, and raises
        ValueError before. Another one gives the moment itself, and the period's start where none is named.
        """
        if not self.cut_when_over:
            return self.start(number) if asked is None else aware(asked)
        if asked is not None and aware(asked) < self.end(number):
            raise ValueError(
                f"{self.words(number)} is not over on {aware(asked):%Y-%m-%d %H:%M} UTC: a {self.noun} is cut once it "
                f"is, from {self.end(number):%Y-%m-%d} on"
            )
        return self.end(number)

    def _refuse_before(self, moment: datetime) -> None:
        if aware(moment) < self.start(1):
            raise ValueError(
                f"{aware(moment):%Y-%m-%d} lies before the first {self.noun}, which begins on "
                f"{self.start(1):%Y-%m-%d}: name a {self.noun}, or {self.remedy}"
            )

    def _refuse_number(self, number: int) -> None:
        if number < 1:
            raise ValueError(f"there is no {self.noun} {number}: {self.nouns} count from 1")

    def _beyond(self, number: int) -> ValueError:
        return ValueError(f"there is no {self.noun} {number}: the calendar ends before it")


@dataclass(frozen=True, slots=True)
class Week(Periods):
    """Weeks of seven days from the `epoch` on, for which WEEK_EPOCH stands in; one is cut as soon as it begins."""

    noun: ClassVar[str] = "week"
    cron: ClassVar[str] = "5 7 * * 1"
    pattern: ClassVar[str] = r"\d+"
    example: ClassVar[str] = "3"
    remedy: ClassVar[str] = "set WEEK_EPOCH to an earlier day"
    cut_when_over: ClassVar[bool] = False

    epoch: datetime = datetime(2026, 1, 5, tzinfo=UTC)

    def start(self, number: int) -> datetime:
        """The same time of the same day as the epoch."""
        self._refuse_number(number)
        try:
            return aware(self.epoch) + (number - 1) * _WEEK
        except OverflowError as error:
            raise self._beyond(number) from error

    def number(self, moment: datetime) -> int:
        """1 for the seven days that begin with the epoch."""
        self._refuse_before(moment)
        return (aware(moment) - aware(self.epoch)) // _WEEK + 1

    def back(self, moment: datetime, periods: float) -> datetime:
        """Weeks have parts."""
        return moment - periods * _WEEK

    def key(self, number: int) -> str:
        """Two digits at least."""
        return f"{number:02d}"

    def written(self, number: int) -> str:
        """The number."""
        return str(number)

    def lasting(self, periods: float) -> str:
        """In days."""
        return f"{7 * periods:g} days"

    def words(self, number: int) -> str:
        """The noun and the number."""
        return f"{self.noun} {number}"

    def _read(self, written: str) -> int:
        return int(written)

    def since(self, epoch: datetime) -> Week:
        """Counted from there."""
        return replace(self, epoch=epoch)


@dataclass(frozen=True, slots=True)
class Month(Periods):
    """Months of the calendar in UTC from the `first` on; each is cut once it is over."""

    noun: ClassVar[str] = "month"
    cron: ClassVar[str] = "5 7 1 * *"
    pattern: ClassVar[str] = r"\d{4}-(0[1-9]|1[0-2])"
    example: ClassVar[str] = "2017-06"
    remedy: ClassVar[str] = "declare an earlier `first` for the use case's clock"

    first: date = date(2000, 1, 1)

    def __post_init__(self) -> None:
        if self.first.day != 1:
            raise ValueError(f"{self.first} is no first day of a month")

    def start(self, number: int) -> datetime:
        """Midnight of the first day."""
        self._refuse_number(number)
        year, month = divmod(self._count(self.first) + number - 1, MONTHS)
        if year > date.max.year:
            raise self._beyond(number)
        return datetime(year, month + 1, 1, tzinfo=UTC)

    def number(self, moment: datetime) -> int:
        """1 for the first month."""
        self._refuse_before(moment)
        return self._count(aware(moment)) - self._count(self.first) + 1

    def back(self, moment: datetime, periods: float) -> datetime:
        """The same time of the same day, or of the last one that the month has."""
        if periods != int(periods):
            raise ValueError(f"{periods} are no whole months")
        year, month = divmod(self._count(moment) - int(periods), MONTHS)
        following = datetime(year + (month + 1) // MONTHS, (month + 1) % MONTHS + 1, 1, tzinfo=UTC)
        return moment.replace(year=year, month=month + 1, day=min(moment.day, (following - _DAY).day))

    def written(self, number: int) -> str:
        """Such as 2017-06."""
        return f"{self.start(number):%Y-%m}"

    def _read(self, written: str) -> int:
        return self.number(_midnight(date.fromisoformat(f"{written}-01")))

    @staticmethod
    def _count(moment: date) -> int:
        return moment.year * MONTHS + moment.month - 1


@dataclass(frozen=True, slots=True)
class Day(Periods):
    """Days of the calendar in UTC from the `first` on; each is cut once it is over."""

    noun: ClassVar[str] = "day"
    cron: ClassVar[str] = "5 7 * * *"
    pattern: ClassVar[str] = r"\d{4}-\d{2}-\d{2}"
    example: ClassVar[str] = "2017-06-12"
    remedy: ClassVar[str] = "declare an earlier `first` for the use case's clock"

    first: date = date(2000, 1, 1)

    def start(self, number: int) -> datetime:
        """Midnight."""
        self._refuse_number(number)
        try:
            return _midnight(self.first) + (number - 1) * _DAY
        except OverflowError as error:
            raise self._beyond(number) from error

    def number(self, moment: datetime) -> int:
        """1 for the first day."""
        self._refuse_before(moment)
        return (aware(moment) - _midnight(self.first)) // _DAY + 1

    def back(self, moment: datetime, periods: float) -> datetime:
        """Days have parts."""
        return moment - periods * _DAY

    def written(self, number: int) -> str:
        """Such as 2017-06-12."""
        return f"{self.start(number):%Y-%m-%d}"

    def _read(self, written: str) -> int:
        return self.number(_midnight(date.fromisoformat(written)))


Clock: TypeAlias = Week | Month | Day

WEEKS = Week()
