"""How often Prefect may be asked. Pure: knows nothing of what is asked, nor of who asks."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

REQUESTS_PER_SECOND = 0.75
"""In the long run. With the burst this makes 59 requests in any minute: below one a second, however many look."""

BURST = 14
"""Requests that may be made at once: what the first look at a page needs."""


class RequestBudget:
    """A token bucket. It may be overdrawn by whoever must ask; those who only look wait until it has filled again."""

    def __init__(
        self, rate: float = REQUESTS_PER_SECOND, burst: float = BURST, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = burst
        self._counted_at = clock()

    def allows(self) -> bool:
        """Whether a request may be made now."""
        self._fill()
        return self._tokens >= 1

    def spend(self) -> None:
        """A request is made."""
        self._fill()
        self._tokens -= 1

    def seconds_until_allowed(self) -> float:
        """How long until a request may be made; 0 where it may be now."""
        self._fill()
        return max(0.0, (1 - self._tokens) / self._rate)

    def _fill(self) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._counted_at) * self._rate)
        self._counted_at = now
