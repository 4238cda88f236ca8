"""The drift report that people read: Evidently's, as one HTML page, and what its tests say.

Owns Evidently's settings and how much of a sample goes into the page. Judges nothing: an alarm follows from
`flows.core.drift_check`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from flows.core.drift import COLUMNS, NUMBERS, TEXTS, is_missing
from flows.core.drift_check import sampling_error

ROWS = 5_000
"""At most so many rows of each side go into the report: the page holds them all, and the text comparison is slow."""

TEXT_METHOD = "abs_text_content_drift"
"""ROC AUC of a classifier that tells the sides apart; Evidently's default on 1,000 rows or fewer takes 2.5 s more."""

NO_TAG = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""Stands in the page for a sign that could begin a tag."""

MISSING = "missing"
"""Stands in the page for a class or a text that is not there."""

P_VALUE_NAMES = ("p_value", "p-value")
SEED = 42


@dataclass(frozen=True, slots=True)
class EvidentlyTest:
    """One column by Evidently's own test: a p-value that is small, or a distance that is large, when it drifted."""

    name: str
    score: float
    drifted: bool


@dataclass(frozen=True, slots=True)
class Report:
    """The page, about 4 MB, and the tests in it by column."""

    page: str
    tests: Mapping[str, EvidentlyTest]


def draw_report(
    reference: pd.DataFrame, current: pd.DataFrame, *, total: int, findings: str, columns: Sequence[str] = COLUMNS
) -> Report:
    """The report on those of the columns that hold values on both sides.

    `current` was drawn from `total` predictions. Above Evidently's part the page says `findings`, and how many rows
    it shows with the error of that sample.
    """
    from evidently import DataDefinition, Dataset
    from evidently import Report as EvidentlyReport
    from evidently.metrics import ValueDrift

    held = [name for name in columns if name in current.columns and name in reference.columns]
    shown_columns = [name for name in held if not any(is_missing(side[name]).all() for side in (reference, current))]
    if not shown_columns:
        return Report(_banner(f"{findings} No column holds a value on both sides: there is nothing to draw."), {})
    numbers = [name for name in shown_columns if _is_number(name, reference)]
    definition = DataDefinition(
        categorical_columns=[name for name in shown_columns if name not in (*numbers, *TEXTS)],
        numerical_columns=numbers,
        text_columns=[name for name in TEXTS if name in shown_columns],
    )
    shown, known = _plain(current, shown_columns, numbers), _plain(reference, shown_columns, numbers)
    sides = [Dataset.from_pandas(side, data_definition=definition) for side in (shown, known)]
    # not the DataDriftPreset: it computes every column twice
    drifts = [ValueDrift(column=name, method=TEXT_METHOD if name == "text" else None) for name in shown_columns]
    snapshot = EvidentlyReport(drifts).run(*sides)
    page = str(snapshot.get_html_str(as_iframe=False))
    empty = [name for name in held if name not in shown_columns]
    absent = f" Without a value on one side, and not drawn: {', '.join(empty)}." if empty else ""
    note = f"{findings}{absent} {_sample_note(len(shown), total, len(known), len(reference))}"
    return Report(page.replace("<body>", f"<body>{_banner(note)}", 1), _tests(snapshot.dict()))


def _sample_note(shown: int, total: int, known: int, reference: int) -> str:
    said = f"Below are {shown:,} of {total:,} predictions and {known:,} of {reference:,} rows of the reference."
    if shown == total:
        return said
    return f"{said} A share among them is within {100 * sampling_error(shown, total):.1f} points, 19 times in 20."


def _banner(note: str) -> str:
    style = "font-family:sans-serif;margin:0;padding:12px 24px;background:#f5f5f5;border-bottom:1px solid #ccc"
    return f'<p style="{style}">{html.escape(note)}</p>'


def _tests(document: Mapping[str, Any]) -> dict[str, EvidentlyTest]:
    found = {}
    for metric in document["metrics"]:
        config, value = metric["config"], float(metric["value"])
        threshold = float(config["threshold"])
        small_drifts = any(name in config["method"] for name in P_VALUE_NAMES)
        drifted = value < threshold if small_drifts else value >= threshold
        found[config["column"]] = EvidentlyTest(config["method"], value, drifted)
    return found


def _is_number(name: str, frame: pd.DataFrame) -> bool:
    return name in NUMBERS or (name not in TEXTS and pd.api.types.is_numeric_dtype(frame[name]))


def _plain(frame: pd.DataFrame, columns: list[str], numbers: list[str]) -> pd.DataFrame:
    wanted = frame[columns]
    if len(wanted) > ROWS:
        wanted = wanted.sample(ROWS, random_state=SEED)
    plain = wanted.reset_index(drop=True)
    for name in columns:
        empty = is_missing(plain[name])
        if name in numbers:
            plain[name] = plain[name].astype(float).mask(empty)
        else:  # Evidently writes names and words into a script of the page as they are, where a tag would end it
            plain[name] = plain[name].astype(object).mask(empty, MISSING)
            plain[name] = plain[name].map(lambda text: str(text).replace("<", NO_TAG))
    return plain
