"""Which week a moment falls into, which products a week holds, and on which side of the split a product stands.

Pure: every answer follows from the arguments alone, on any machine and database. A product's share never changes, so
a week holds every earlier week's products and appending products moves none. Shares are those of the first stock;
what was created after the epoch belongs whole to its week and every later one.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b

import numpy as np

from factory.settings import WeekPlan
from factory.use_cases.clock import Week, aware

__all__ = ["arrival_week", "aware", "on_test_side", "share_of", "start_of", "threshold", "week_of"]

WEEK = timedelta(days=7)
_GOLDEN = 0x9E3779B97F4A7C15


def week_of(as_of: datetime, epoch: datetime) -> int:
    """The number of the week, 1 for the seven days that begin with the epoch; raises ValueError before it."""
    return Week(epoch).number(as_of)


def start_of(week: int, epoch: datetime) -> datetime:
    """The first moment of the week, in UTC; raises ValueError for a week below 1 or beyond the calendar."""
    return Week(epoch).start(week)


def threshold(plan: WeekPlan, week: int) -> float:
    """The share of all products (0 to 1) that the week holds; raises ValueError for a week below 1."""
    if week < 1:
        raise ValueError(f"there is no week {week}: weeks count from 1")
    return min(1.0, plan.first_share + plan.weekly_share * (week - 1))


def share_of(entity_id: str, seed: int) -> float:
    """Where the product stands between 0 (in from the first week) and 1 (exclusive); evenly spread over products."""
    return _fraction(f"{seed}:{entity_id}")


def arrival_week(entity_id: str, plan: WeekPlan) -> int:
    """The first week whose share holds the product; one that no week will ever hold gets the week after the last.

    `plan` may stand still (a weekly share of 0): then there are only weeks 1 and 2.
    """
    share = share_of(entity_id, plan.seed)
    if share < plan.first_share:
        return 1
    if plan.weekly_share == 0:
        return 2
    guess = max(1, int((share - plan.first_share) / plan.weekly_share))
    while share >= threshold(plan, guess):  # the guess may be one off by rounding
        guess += 1
    return guess


def on_test_side(groups: np.ndarray, *, seed: int, test_share: float) -> np.ndarray:
    """Which of the groups (their 64-bit keys, `factory.grouping.keys`) stand on the test side, whatever the week.

    Every row of a group stands where the group stands; that is independent of the rows' shares. The keys are mixed
    with the seed by splitmix64 (Steele, Lea, Flood 2014).
    """
    with np.errstate(over="ignore"):
        mixed = groups.astype(np.int64).view(np.uint64) + np.uint64((seed * _GOLDEN) % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    on_test: np.ndarray = (mixed >> np.uint64(11)) / 2**53 < test_share
    return on_test


def _fraction(text: str) -> float:
    digest = blake2b(text.encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # 53 bits: exact in a float, and never 1.0
