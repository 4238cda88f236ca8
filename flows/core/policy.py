"""When a challenger becomes champion, and when a week's data is new enough to train on again.

Pure: numbers and names in, a verdict with its reason out. Must not know the registry or the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and the sentence that explains it with its numbers."""

    promoted: bool
    reason: str


def judge(challenger_f1: float, champion_f1: float | None, threshold: float) -> Verdict:
    """The challenger wins when its weighted F1 reaches the threshold and is better than the champion's.

    All numbers are weighted F1 (0 to 1) on one test set; `champion_f1` is None when nobody holds the title. A tie
    leaves the champion where it is: a change in production needs a reason.
    """
    if challenger_f1 < threshold:
        return Verdict(promoted=False, reason=f"weighted F1 {challenger_f1:.4f} is below the threshold {threshold:.4f}")
    if champion_f1 is None:
        reason = f"weighted F1 {challenger_f1:.4f} reaches the threshold {threshold:.4f} and there was no champion"
        return Verdict(promoted=True, reason=reason)
    gain = challenger_f1 - champion_f1
    if gain > 0:
        reason = f"weighted F1 {challenger_f1:.4f} beats the champion's {champion_f1:.4f} ({gain:+.4f})"
        return Verdict(promoted=True, reason=reason)
    reason = f"weighted F1 {challenger_f1:.4f} does not beat the champion's {champion_f1:.4f} ({gain:+.4f})"
    return Verdict(promoted=False, reason=reason)


@dataclass(frozen=True, slots=True, order=True)
class Snapshot:
    """A week's data by age; a later revision of a week is newer."""

    week: int
    revision: int


def is_newer(candidate: Snapshot, trained_on: Iterable[Snapshot]) -> bool:
    """Whether the candidate is newer than every snapshot that a model was trained on already."""
    return all(candidate > known for known in trained_on)
