"""Which rows are kept from every training and judged on: a share of the groups for good, or the newest periods.

Pure. How rows are put on a side belongs to `factory.snapshots`; what follows for cross-validation and for the gate to
the model side, which reads it from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class FrozenShare:
    """A share of the groups (the setting WEEK_TEST_SHARE), whatever the period; frozen with the first cut.

    Of entities, those whose outcome was known by then.
    """


@dataclass(frozen=True, slots=True)
class Span:
    """Periods by their numbers: those of the test set from `first` to `last`, and the last that may be trained on."""

    first: int
    last: int
    trainable: int


@dataclass(frozen=True, slots=True)
class Chronological:
    """The newest `test_periods` whose outcomes are known; with every period of the clock they roll on by one.

    The outcome of a row is known `outcome_periods` after its own period is over. The `embargo_periods` before the test
    set are trained on by nobody: they are no fewer, or rows to train on would tell what happened in the test set.
    """

    test_periods: int
    embargo_periods: int = 0
    outcome_periods: int = 0
    block_periods: int = 0
    """Rows of so many periods that follow each other are one observation, where they follow from each other; else those
    of one group are."""

    def __post_init__(self) -> None:
        if self.test_periods < 1 or self.outcome_periods < 0:
            raise ValueError(f"{self}: a test set has one period at least, and no outcome is known beforehand")
        if self.embargo_periods < self.outcome_periods:
            raise ValueError(
                f"{self}: outcomes of rows right before the test set become known within it, so that the embargo must "
                "be as long as an outcome takes"
            )

    def span(self, over: int) -> Span:
        """The periods of the test set once so many periods are over; raises ValueError where nothing is left to train.

        Rows of later periods are on no side, though some outcomes may be known early: they are not those of all.
        """
        last = over - self.outcome_periods
        first = last - self.test_periods + 1
        trainable = first - 1 - self.embargo_periods
        if trainable < 1:
            needed = 1 + self.embargo_periods + self.test_periods + self.outcome_periods
            raise ValueError(f"{max(over, 0)} periods are over, and {needed} are needed to train and to test")
        return Span(first, last, trainable)


Split: TypeAlias = FrozenShare | Chronological
FROZEN_SHARE = FrozenShare()
