"""What a use case declares; everything that differs between use cases is said here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UseCase:
    """`near_duplicate_alarm` is the share of test rows (0 to 1) that may nearly equal a training row without a word."""

    name: str
    title: str
    model_name: str
    experiment: str
    near_duplicate_alarm: float
    min_class_rows: int
    """A training needs at least so many rows of every class of the week."""
