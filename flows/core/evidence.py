"""What is known of a challenger before it is judged: its numbers on the frozen test set, beside the champion's.

Pure: rows and answers in, numbers and tables out. Must not know models, versions or the gate.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from factory.use_cases.use_case import Gate
from flows.core import calibration, probe
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate, estimate, estimate_classes, estimate_difference
from flows.core.comparison import compare
from flows.core.groups import Groups, groups_of
from flows.core.policy import Check, Comparison
from flows.core.probe import Probe
from flows.core.slices import measure_slices


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Estimates hold the task's metrics with their 95 % intervals; `gains` are the differences.

    What needs a champion is None without one. `guards` are rules of the gate that a kind of task has for itself. Tables
    of kinds that have no such are empty: `classes` has one row a class, worst F1 first: class, rows, precision, recall,
    f1, f1_low, f1_high and, beside a champion, change (of its F1) and p_value (of a fall). `slices` is what
    `measure_slices` gives, `curve` one row a tenth of confidence, with `calibration_error` (0 to 1) and its interval.
    `groups` is fairness by sensitive columns, `deciles` the ranking by tenths. `parts` (`flows.core.parts`) tells
    `part_measure` by part of the rows. The probe is None where nobody knows which rows nearly equal a training row.
    """

    mine: Mapping[str, Estimate]
    theirs: Mapping[str, Estimate] | None
    gains: Mapping[str, Estimate] | None
    comparison: Comparison | None
    classes: pd.DataFrame = field(default_factory=pd.DataFrame)
    slices: pd.DataFrame = field(default_factory=pd.DataFrame)
    curve: pd.DataFrame = field(default_factory=pd.DataFrame)
    calibration_error: Estimate | None = None
    probe: Probe | None = None
    guards: tuple[Check, ...] = ()
    groups: pd.DataFrame = field(default_factory=pd.DataFrame)
    deciles: pd.DataFrame = field(default_factory=pd.DataFrame)
    parts: pd.DataFrame = field(default_factory=pd.DataFrame)
    part_measure: str = ""
    backtest: pd.DataFrame = field(default_factory=pd.DataFrame)
    """A row a moment of the test set, as `flows.core.backtest` tells it, where answers are followed for gain."""
    followed: Numbers = field(default_factory=lambda: np.empty(0))
    """What following them brought at each moment, as a share."""


def gather(
    rows: pd.DataFrame,
    answers: pd.DataFrame,
    theirs: pd.DataFrame | None,
    *,
    gate: Gate,
    near: Collection[str] | None = None,
) -> Evidence:
    """The evidence of a challenger's `answers`, and of the champion's (`theirs`), to the same test rows.

    `near` are the ids of rows that nearly equal one that the challenger was trained on.

    `rows` holds target and group, those of texts text and described, which make slices; answers hold prediction
    and score. Rows of one group are one observation in every number. Raises ValueError without rows.
    """
    truth, mine, groups = rows["target"].astype(str), answers["prediction"], groups_of(rows)
    right = truth.to_numpy() == mine.to_numpy()
    rival = None if theirs is None else theirs["prediction"]
    comparison = None
    if rival is not None:
        limit = gate.largest_class_fall
        comparison = compare(truth, mine, rival, confidence=gate.confidence, limit=limit, groups=groups)
    return Evidence(
        mine=estimate(truth, mine, groups=groups),
        theirs=None if rival is None else estimate(truth, rival, groups=groups),
        gains=None if rival is None else estimate_difference(truth, mine, rival, groups=groups),
        comparison=comparison,
        classes=_classes(truth, mine, groups, comparison),
        slices=measure_slices(rows, answers, groups=groups) if "text" in rows.columns else pd.DataFrame(),
        curve=calibration.calibration_curve(answers["score"], right, groups=groups),
        calibration_error=calibration.estimate_error(answers["score"], right, groups=groups),
        probe=_probe(rows, truth, mine, groups, near),
    )


def _probe(
    rows: pd.DataFrame, truth: pd.Series, mine: pd.Series, groups: Groups, near: Collection[str] | None
) -> Probe | None:
    if near is None:
        return None
    return probe.measure(truth, mine, rows["entity_id"].astype(str).isin(near).to_numpy(), groups=groups)


def _classes(truth: pd.Series, mine: pd.Series, groups: Groups, comparison: Comparison | None) -> pd.DataFrame:
    table = estimate_classes(truth, mine, groups=groups)
    if comparison is not None:
        changes = {change.name: change for change in comparison.classes}
        table = table[table["class"].isin(changes)].assign(
            change=lambda frame: [-changes[name].fall for name in frame["class"]],
            p_value=lambda frame: [changes[name].p_value for name in frame["class"]],
        )
    return table.sort_values(["f1", "class"], kind="stable").reset_index(drop=True)
