"""What a use case declares; everything that differs between use cases is said here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gate:
    """What a challenger must show before it becomes champion; F1 is the weighted one, 0 to 1."""

    floor: float = 0.75
    """Below this F1 nobody is promoted, whether there is a champion or not."""
    margin: float = 0.0
    """The gain in F1 over the champion that must be exceeded."""
    confidence: float = 0.95
    """How sure a gain or a fall of classes must be: the chance (0 to 1) that mere luck does not look like it."""
    largest_class_fall: float = 0.10
    """No class's F1 may fall by more, unless the fall may be chance (`flows.core.falls` says how that is told)."""
    largest_macro_fall: float = 0.01
    """Nor may macro F1, which sees what happens to many small classes together."""
    largest_size_bytes: int = 250 * 10**6
    slowest_prediction_ms: float = 100.0
    """The 95th percentile of one text's prediction in a process that serves the model."""
    largest_memory_bytes: int = 1_500 * 10**6
    """Resident memory of a process that serves the model, Python and libraries included."""
    approval: bool = False
    """Whether a person has to approve besides; the setting PROMOTION_APPROVAL asks for it too."""
    approval_hours: float = 72.0
    """An approval that was not given after so many hours counts as refused: the next week must not wait for ever."""


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
    expected_words: tuple[str, ...] = ()
    """Words that may give their class away, as they do so in reality too; any other such word fails a training."""
    label_conflict_alarm: float = 0.01
    """The share of a week's rows (0 to 1) whose text may bear another class elsewhere; beyond it a person decides."""
    encoding_alarm: float = 0.01
    """The share of a week's rows (0 to 1) that may have been read in a wrong encoding; beyond it a person decides."""
    gate: Gate = Gate()
    purpose: str = ""
    """What its models are for, and what they are not for: for the model card."""
    limits: tuple[str, ...] = ()
    """What a reader of the model card must know; one sentence each."""
