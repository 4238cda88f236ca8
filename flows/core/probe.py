"""What remains of near duplicates: the metric on test rows that nearly equal a training row beside that on the others.

Pure: answers in, numbers out. Near duplicates that the cut finds stand on one side (`factory.grouping.joined_groups`);
texts that share most of their words may still stand on both. Where a model is much better on these, part of the promise
is memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.core.bootstrap import Estimate, estimate
from flows.core.groups import Groups

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

METRIC = "f1_weighted"


@dataclass(frozen=True, slots=True)
class Probe:
    """Weighted F1 (0 to 1) with its 95 % interval on `near_rows` test rows and on the `far_rows` others.

    None where there are no such rows.
    """

    near_rows: int
    far_rows: int
    near: Estimate | None
    far: Estimate | None

    @property
    def flatters(self) -> bool:
        """Whether the model is better on near rows by more than both intervals leave open."""
        return self.near is not None and self.far is not None and self.near.low > self.far.high

    def sentence(self) -> str:
        """What a log, a card or a gate says of it."""
        if self.far is None or self.near is None:
            return f"{self.near_rows} of {self.near_rows + self.far_rows} test rows nearly equal a training row"
        said = (
            f"{self.near_rows / (self.near_rows + self.far_rows):.0%} of the test rows nearly equal a training row: "
            f"weighted F1 is {_told(self.near)} on these and {_told(self.far)} on the others"
        )
        return f"{said}, so that on new texts it will do less well than all of them promise" if self.flatters else said

    def numbers(self) -> dict[str, float]:
        """The estimates that there are, by the name of a metric."""
        found = {f"{METRIC}_near": self.near, f"{METRIC}_far": self.far}
        known = {name: each for name, each in found.items() if each is not None}
        return {
            key: value
            for name, each in known.items()
            for key, value in ((name, each.value), (f"{name}_low", each.low), (f"{name}_high", each.high))
        }


def measure(truth: pd.Series, answers: pd.Series, near: NDArray[np.bool_], *, groups: Groups) -> Probe:
    """The probe of these answers; `near` tells which rows nearly equal a training row, `groups` are drawn together."""

    def on(rows: NDArray[np.bool_]) -> Estimate | None:
        if not rows.any():
            return None
        return estimate(truth[rows], answers[rows], groups=np.unique(groups[rows], return_inverse=True)[1])[METRIC]

    return Probe(int(near.sum()), int((~near).sum()), on(near), on(~near))


def _told(found: Estimate) -> str:
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
