"""A check for drift: the last 7 days against the version's reference and the 23 days before, column by column.

Pure. Owns which columns are compared with what, and when both together are an alarm. Must not know where predictions
come from or what an alarm sets off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import pandas as pd

from flows.core import drift
from flows.core.drift import Drift, Level
from flows.core.groups import with_text_keys
from flows.core.slice_drift import Slices, check_slices
from flows.core.trend import Trend


class Alert(StrEnum):
    """How urgent a finding is."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


MEDIUM_SHARE, HIGH_SHARE = 0.2, 0.5
"""The shares of drifted columns (0 to 1) from which on a finding is of that urgency, whatever the answers do."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`against_reference` holds all columns, `recent` those for which the days before hold enough predictions.

    `slices` are parts of the whole (`flows.core.slice_drift`), `trends` what moved over the weeks, where these are
    known (`flows.core.trend`); both raise the level and no score.
    """

    against_reference: Drift
    recent: Drift
    slices: Slices = field(default_factory=lambda: Slices({}))
    trends: Mapping[str, Trend] = field(default_factory=dict)

    def drifted(self) -> list[str]:
        """Names of the columns that drifted in either comparison."""
        either = {*self.against_reference.drifted(), *self.recent.drifted()}
        return [name for name in self.against_reference.columns if name in either]

    @property
    def score(self) -> float:
        """The share of drifted columns, 0 to 1."""
        return len(self.drifted()) / len(self.against_reference.columns)

    @property
    def level(self) -> Level:
        """The highest of all comparisons' and trends' levels."""
        compared = (self.against_reference.level, self.recent.level, self.slices.level)
        return max([*compared, *(trend.level for trend in self.trends.values())], key=lambda level: level.rank)

    @property
    def alert(self) -> Alert:
        """By the share of drifted columns, or by how far the answers moved, whichever is the more urgent."""
        compared = (self.against_reference.columns, self.recent.columns)
        answers = [columns[name].level for columns in compared for name in drift.MODEL_COLUMNS if name in columns]
        moved = max(answers, key=lambda level: level.rank, default=Level.STABLE)
        if self.score >= HIGH_SHARE or moved is Level.CRITICAL:
            return Alert.HIGH
        if self.score >= MEDIUM_SHARE or moved is Level.ALERT:
            return Alert.MEDIUM
        return Alert.LOW

    def alarms(self, threshold: float) -> bool:
        """Whether more than `threshold` of the columns drifted, or one column, slice or trend critically."""
        return self.score > threshold or self.level is Level.CRITICAL


def check_drift(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    before: pd.DataFrame,
    before_of_version: pd.DataFrame,
    *,
    min_samples: int,
    data_columns: tuple[str, ...] = drift.DATA_COLUMNS,
    model_columns: tuple[str, ...] = drift.MODEL_COLUMNS,
) -> Finding:
    """What the current predictions of a version show against its reference, and against those of the days before.

    Frames hold prediction, score and, where they are known, `data_columns`, which do not depend on the model.
    Prediction and score are compared with `before_of_version`, what another model said would pass for drift; the
    rows themselves with all of `before`. `model_columns` are those of the answers. Either comparison is left out below
    `min_samples` rows.
    """
    reference, current = with_text_keys(reference), with_text_keys(current)
    before, before_of_version = with_text_keys(before), with_text_keys(before_of_version)
    pairs: list[tuple[pd.DataFrame, tuple[str, ...]]] = [(reference, (*model_columns, *data_columns))]
    for frame, columns in ((before_of_version, model_columns), (before, data_columns)):
        if len(frame) >= min_samples:
            pairs.append((frame, columns))
    tests = sum(len([name for name in columns if name in frame and name in current]) for frame, columns in pairs)
    first, *others = [drift.compare(frame, current, columns, tests=tests) for frame, columns in pairs]
    recent = Drift({name: column for other in others for name, column in other.columns.items()})
    if drift.PREDICTION not in model_columns:  # no shares of answers that are each another one
        reference, current = (frame.drop(columns=drift.PREDICTION) for frame in (reference, current))
    return Finding(first, recent, check_slices(reference, current, min_samples=min_samples))


def sampling_error(drawn: int, total: int) -> float:
    """How far (0 to 1) a share among the drawn rows may lie from that among all, 19 times in 20; 0 when all were drawn.

    The normal approximation at a share of one half, where it is largest, with the correction for a finite population
    (Cochran, Sampling Techniques, 1977, section 3.2).
    """
    if drawn >= total:
        return 0.0
    return 1.96 * math.sqrt(0.25 / drawn) * math.sqrt((total - drawn) / (total - 1))
