"""The period that a run's parameters name, whichever of their names it is given by.

Pure. Must not know which periods were cut.
"""

from __future__ import annotations

from factory import use_cases


def chosen_week(use_case: str, week_number: int | None, week: int | None, *written: str | None) -> int | None:
    """The number of the period that the parameters name, None where none does.

    `written` are periods as the use case's clock writes them. Raises ValueError when two are named, or one of another
    clock.
    """
    clock = use_cases.clock_of(use_case)
    named = {clock.parse(each) for each in written if each is not None}
    named |= {number for number in (week_number, week) if number is not None}
    if len(named) > 1:
        told = " and ".join(clock.words(number) for number in sorted(named))
        raise ValueError(f"the parameters name {told}: give one {clock.noun}")
    return next(iter(named), None)
