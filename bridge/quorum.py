"""How many of many flow runs must complete: the rule by which waiting for them ends.

Pure. How one run stands is `bridge.verdict`'s business; here it counts as completed, as failed, or as neither yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Needs = Literal["all", "any"] | int
"""All of the runs, any one of them, or at least so many."""


@dataclass(frozen=True, slots=True)
class Quorum:
    """`needed` of `total` runs must complete."""

    needed: int
    total: int

    def standing(self, completed: int, failed: int) -> Literal["met", "failed", "open"]:
        """ "met" once enough have completed, "failed" once too few can, "open" as long as it may go either way."""
        if completed >= self.needed:
            return "met"
        return "failed" if self.total - failed < self.needed else "open"


def check_needs(needs: Needs) -> Needs:
    """The same; raises ValueError where it is no rule."""
    is_number = isinstance(needs, int) and not isinstance(needs, bool) and needs >= 1
    if needs in ("all", "any") or is_number:
        return needs
    raise ValueError(f"needs={needs!r}: write 'all', 'any' or how many of the runs must complete, at least 1")


def quorum_of(needs: Needs, total: int) -> Quorum:
    """What `needs` means for so many runs; more than there are can never be met."""
    if needs == "all":
        return Quorum(total, total)
    return Quorum(1 if needs == "any" else needs, total)
