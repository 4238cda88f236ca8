"""Moments as a file writes them, read strictly: a day, or a day and a time, in ISO 8601's extended form.

Pure; knows nothing of products or weeks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

import pandas as pd

from factory.errors import SourceUnreadable
from factory.sources.lines import shown

_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d(:?\d\d)?)?)?", re.ASCII)


def evening_of(day: date) -> datetime:
    """The last second of the day, in UTC: what is told of a day alone is known by then, and not before."""
    return datetime.combine(day, time(23, 59, 59), UTC)


@dataclass(slots=True)
class MomentColumn:
    """Reads one column of a file. `row` is what the file's rows are counted by: "line" or "row"."""

    origin: str
    name: str
    row: str
    without_zone: int = 0

    def read(self, values: Iterable[object], numbers: Iterable[int]) -> pd.Series:
        """The moments in UTC, one for each value; `numbers` are those of their rows. Raises SourceUnreadable."""
        return pd.Series([self._moment(*pair) for pair in zip(values, numbers, strict=True)], dtype=object)

    def account(self) -> str | None:
        """A line about moments that name no zone; None where all do."""
        if self.without_zone:
            return f"{self.name}: {self.without_zone:,} moments name no zone and were taken for UTC"
        return None

    def _moment(self, value: object, number: int) -> datetime:
        written = "" if value is None or pd.isna(value) else str(value).strip()
        try:
            if not _WRITTEN.fullmatch(written):
                raise ValueError
            moment = datetime.fromisoformat(written)
            if moment.tzinfo is None:
                self.without_zone += 1
                return moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise SourceUnreadable(
                f"{self.origin}, {self.row} {number}: {shown(written)} in {self.name} is no moment: write a day, "
                "2026-01-31, or a day and a time, 2026-01-31T12:00:00+01:00, in every row"
            ) from error
