"""The drift report that people read: Evidently's, as one HTML page.

Owns Evidently's settings. Judges nothing: an alarm follows from `flows.core.drift`.
"""

from __future__ import annotations

import pandas as pd

COLUMNS = ("predicted_class", "confidence", "text_length", "text")

TEXT_ROWS = 2_000
"""At most so many rows of each side go into the report: the page holds them all, and the text comparison is slow."""

TEXT_METHOD = "abs_text_content_drift"
"""ROC AUC of a classifier that tells the sides apart; Evidently's default on 1,000 rows or fewer takes 2.5 s more."""

SEED = 42


def draw_report(reference: pd.DataFrame, current: pd.DataFrame) -> str:
    """The report on COLUMNS as HTML, about 4 MB; without text where the current predictions hold none."""
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    columns = [name for name in COLUMNS if name in current.columns]
    definition = DataDefinition(
        categorical_columns=["predicted_class"],
        numerical_columns=["confidence", "text_length"],
        text_columns=["text"] if "text" in columns else [],
    )
    sides = [Dataset.from_pandas(_plain(side, columns), data_definition=definition) for side in (current, reference)]
    # not the DataDriftPreset: it computes every column twice
    drifts = [ValueDrift(column=name, method=TEXT_METHOD if name == "text" else None) for name in columns]
    snapshot = Report(drifts).run(*sides)
    return str(snapshot.get_html_str(as_iframe=False))


def _plain(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    wanted = frame[columns]
    if len(wanted) > TEXT_ROWS:
        wanted = wanted.sample(TEXT_ROWS, random_state=SEED)
    texts: dict[str, type] = {name: object for name in ("predicted_class", "text") if name in columns}
    return wanted.astype(texts).reset_index(drop=True)
