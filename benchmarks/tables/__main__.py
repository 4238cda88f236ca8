"""Print what the candidates for tables are worth in five folds, beside common recipes: `python -m benchmarks.tables`.

Every row of the whole table is answered once, by a model that has not seen it; all models have the same folds. Recipes
are scikit-learn's own defaults: one-hot and scaled columns into a logistic regression, ordinal codes into histogram
boosting. See docs/benchmarks/tables.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from factory.sources.tables import Rows, TableMapping, read_sample, read_table
from factory.use_cases import get
from factory.use_cases.columns import YES, Column
from flows.core import calibration, fairness, tables
from flows.core.features.table import as_table
from flows.core.splits import group_splits
from flows.core.tasks import binary

CHURN = get("churn")
SOURCE = CHURN.entities
Answers = Callable[[pd.DataFrame, NDArray[Any], tuple[Column, ...]], NDArray[np.float64]]


def main() -> None:
    """Measure the sample, and the Telco layout where a file of it is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--telco", type=Path, help="a CSV of the Telco layout")
    options = parser.parse_args()
    with threadpool_limits(limits=1):  # the project's own fits take one thread, and so do the recipes
        _measure_all(options.telco)


def _measure_all(telco: Path | None) -> None:
    _measure("modeldata/mlc_churn", read_sample(SOURCE, CHURN.outcome, print))
    if telco:
        _measure("Telco", read_table(telco, SOURCE, TableMapping("customerID", CHURN.outcome), print))


def _measure(title: str, rows: Rows) -> None:
    states = rows.states.reindex(columns=[column.name for column in SOURCE.columns])
    known = rows.outcomes.set_index(SOURCE.key)["outcome"]
    truth = (rows.states[SOURCE.key].map(known) == YES).to_numpy(dtype=float)
    columns = tuple(column for column in SOURCE.features if states[column.name].notna().any())
    entrants: dict[str, Answers] = {
        "logistic regression, plain": _recipe(_plain_logistic),
        "histogram boosting, plain": _recipe(_plain_boosting),
    }
    entrants |= {candidate.name: _candidate(candidate) for candidate in tables.find("binary")}
    print(f"\n{title}: {len(truth):,} rows, {truth.mean():.1%} leave, {len(columns)} features\n")
    print("| model | AUC | Brier score | calibration error | seconds |")
    print("|---|---:|---:|---:|---:|")
    answered = {}
    for name, answer in entrants.items():
        began = time.perf_counter()
        answered[name] = answer(states, truth, columns)
        took = time.perf_counter() - began
        found, error = binary.estimate(truth, answered[name]), calibration.estimate_error(answered[name], truth)
        cells = [
            f"{each.value:.4f} ({each.low:.4f} to {each.high:.4f})" for each in (found["auc"], found["brier"], error)
        ]
        print(f"| {name} | {' | '.join(cells)} | {took:.1f} |", flush=True)
    _tell_groups(states, truth, answered)


def _tell_groups(states: pd.DataFrame, truth: NDArray[Any], answered: dict[str, NDArray[np.float64]]) -> None:
    held = [column.name for column in SOURCE.sensitive if states[column.name].notna().any()]
    if not held:
        return
    print("\n| model | column | selected more often | by |")
    print("|---|---|---|---:|")
    for name, probability in answered.items():
        table = fairness.measure(truth, probability >= binary.THRESHOLD, states[held])
        for row in fairness.differences(table).itertuples(index=False):
            by = f"{row.selection_rate:.3f} ({row.selection_rate_low:.3f} to {row.selection_rate_high:.3f})"
            print(f"| {name} | {row.attribute} | {row.most} than {row.least} | {by} |")


def _candidate(candidate: tables.TableCandidate) -> Answers:
    return lambda rows, truth, columns: tables.cross_validate(candidate, rows, truth, np.arange(len(rows)), columns)


def _recipe(build: Callable[[], BaseEstimator]) -> Answers:
    def answer(rows: pd.DataFrame, truth: NDArray[Any], columns: tuple[Column, ...]) -> NDArray[np.float64]:
        table, answers = as_table(rows, columns), np.empty(len(truth))
        for fitted, held in group_splits(truth, np.arange(len(truth)), classes=True):
            model = build().fit(table.iloc[fitted], truth[fitted])
            answers[held] = model.predict_proba(table.iloc[held])[:, 1]
        return answers

    return answer


def _plain_logistic() -> BaseEstimator:
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, LogisticRegression(max_iter=1_000))


def _plain_boosting() -> BaseEstimator:
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="number")),
        (codes, make_column_selector(dtype_exclude="number")),
    )
    return make_pipeline(columns, HistGradientBoostingClassifier(random_state=0))


if __name__ == "__main__":
    main()
