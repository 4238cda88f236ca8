"""How fresh what a page shows is, and what is said of it. Pure.

What is known stays shown: with its age where something fresher was wanted, and under a banner only where Prefect does
not answer, or refuses. An old state never stands as if it were the present one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

LOADING_SECONDS = 0.4
AWAITED_SECONDS = 1.0
"""So soon the page is looked at again while it shows what is old."""
SLOW_SECONDS = 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """What was read last and when; `trouble` says in words for people why it is not fresher.

    `is_away`: the trouble is that Prefect does not answer. `is_old`: something fresher was wanted and has not come.
    `is_slow`: it has been asked for, and that for longer than a page waits.
    """

    value: T | None = None
    read_at: datetime | None = None
    trouble: str | None = None
    is_away: bool = False
    is_old: bool = False
    is_slow: bool = False

    @property
    def is_loading(self) -> bool:
        """Whether nothing has come yet, and nothing has gone wrong."""
        return self.value is None and self.trouble is None


@dataclass(frozen=True, slots=True)
class Freshness:
    """A page's, of all its parts: the trouble of the first that has one, and the age of the oldest."""

    trouble: str | None = None
    read_at: datetime | None = None
    is_away: bool = False
    is_loading: bool = False
    is_old: bool = False
    is_slow: bool = False

    @classmethod
    def of(cls, *parts: Seen[Any]) -> Freshness:
        """Of the parts of a page."""
        troubled = next((part for part in parts if part.trouble), None)
        old = [part for part in parts if part.is_old]
        moments = [part.read_at for part in old or parts if part.read_at is not None]
        return cls(
            trouble=troubled.trouble if troubled else None,
            read_at=min(moments, default=None),
            is_away=any(part.is_away for part in parts),
            is_loading=troubled is None and any(part.is_loading for part in parts),
            is_old=bool(old),
            is_slow=any(part.is_slow for part in parts),
        )

    def look_again_seconds(self, calm_seconds: float) -> float:
        """When the page is to be looked at again: soon where more is expected, in no haste where Prefect is in need."""
        if self.trouble:
            return max(calm_seconds, 3.0)
        if self.is_slow:
            return min(calm_seconds, SLOW_SECONDS)
        if self.is_loading:
            return LOADING_SECONDS
        return min(calm_seconds, AWAITED_SECONDS) if self.is_old else calm_seconds
