"""Candidates of tables find what was planted, respect groups, and are the same after they were kept as a file."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skops.io
from scipy.special import expit
from sklearn.metrics import r2_score, roc_auc_score

from factory.use_cases.columns import Column
from flows.core import tables
from flows.core.calibration import calibration_curve, calibration_error
from flows.core.selection import NoCandidateError
from flows.core.splits import time_splits
from flows.core.tables import BINARY_CANDIDATES, REGRESSION_CANDIDATES, TableCandidate

COLUMNS = (Column("months", "number"), Column("charge", "number"), Column("contract", "category"))
ALONE = np.arange(1_500)
ALL = [*BINARY_CANDIDATES, *REGRESSION_CANDIDATES]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "months": random.uniform(0, 72, 1_500),
            "charge": np.where(random.random(1_500) < 0.05, np.nan, random.uniform(20, 120, 1_500)),
            "contract": random.choice(["month", "year", None], 1_500, p=[0.6, 0.3, 0.1]),
        }
    )


@pytest.fixture(scope="module")
def odds(rows: pd.DataFrame) -> np.ndarray:
    """Log odds that bend with the months and jump with the contract; the charge says nothing."""
    return 2.5 - 0.06 * np.abs(rows["months"] - 40) * 2 - 2.0 * (rows["contract"] == "year").to_numpy()


@pytest.fixture(scope="module")
def leavers(odds: np.ndarray) -> np.ndarray:
    return (np.random.default_rng(2).random(len(odds)) < expit(odds)).astype(int)


def quick(candidate: TableCandidate, trees: int = 60) -> TableCandidate:
    return candidate.altered(max_iter=trees) if candidate.name.startswith("boosting") else candidate


@pytest.mark.parametrize("candidate", BINARY_CANDIDATES, ids=lambda it: it.name)
def test_answers_out_of_fold_rank_nearly_as_well_as_the_truth_itself_and_are_calibrated(
    candidate: TableCandidate, rows: pd.DataFrame, odds: np.ndarray, leavers: np.ndarray
) -> None:
    probability = tables.cross_validate(quick(candidate), rows, leavers, ALONE, COLUMNS)

    assert roc_auc_score(leavers, probability) > roc_auc_score(leavers, odds) - 0.025
    assert calibration_error(calibration_curve(probability, leavers)) < 0.05


@pytest.mark.parametrize("candidate", REGRESSION_CANDIDATES, ids=lambda it: it.name)
def test_a_regression_finds_the_curve(candidate: TableCandidate, rows: pd.DataFrame, odds: np.ndarray) -> None:
    truth = odds + np.random.default_rng(3).normal(0, 0.5, len(odds))

    answers = tables.cross_validate(quick(candidate), rows, truth, ALONE, COLUMNS)

    assert r2_score(truth, answers) > r2_score(truth, odds) - 0.06


@pytest.mark.parametrize("candidate", ALL, ids=lambda it: it.name)
def test_a_model_answers_the_same_after_it_was_kept_and_is_made_of_named_types(
    candidate: TableCandidate, rows: pd.DataFrame, leavers: np.ndarray
) -> None:
    model = tables.fit(rows, leavers, ALONE, quick(candidate, 5), COLUMNS)
    asked = pd.DataFrame({"months": [3, None, -4], "contract": ["month", "weekly", None]})

    kept = skops.io.dumps(model)

    assert set(skops.io.get_untrusted_types(data=kept)) <= set(tables.TRUSTED)
    loaded = skops.io.loads(kept, trusted=list(tables.TRUSTED))
    for table in (rows, asked):
        assert np.array_equal(tables.predict(loaded, table, COLUMNS), tables.predict(model, table, COLUMNS))


@pytest.mark.parametrize("candidate", ALL, ids=lambda it: it.name)
def test_a_model_is_the_same_every_time(candidate: TableCandidate, rows: pd.DataFrame, leavers: np.ndarray) -> None:
    one, other = (tables.fit(rows, leavers, ALONE, quick(candidate, 5), COLUMNS) for _ in range(2))

    assert np.array_equal(tables.predict(one, rows, COLUMNS), tables.predict(other, rows, COLUMNS))


def test_copies_of_a_row_flatter_nothing_where_they_are_a_group() -> None:
    """Random truths, every row three times: trees know the copies by heart, unless these stand on the same side."""
    random = np.random.default_rng(4)
    once = pd.DataFrame({"months": random.uniform(0, 72, 300), "charge": random.uniform(0, 99, 300), "contract": "x"})
    thrice, truth = pd.concat([once] * 3, ignore_index=True), np.tile(random.integers(0, 2, 300), 3)
    trees = BINARY_CANDIDATES[1].altered(max_iter=60)

    alone = tables.cross_validate(trees, thrice, truth, np.arange(900), COLUMNS)
    together = tables.cross_validate(trees, thrice, truth, np.tile(np.arange(300), 3), COLUMNS)

    assert roc_auc_score(truth, alone) > 0.75
    assert roc_auc_score(truth, together) < 0.62


def test_rows_that_no_split_answers_bear_no_number(rows: pd.DataFrame, leavers: np.ndarray) -> None:
    splits = time_splits(np.arange(1_500), blocks=2)

    answers = tables.cross_validate(BINARY_CANDIDATES[0], rows, leavers, ALONE, COLUMNS, splits=splits)

    assert np.isnan(answers[:500]).all()
    assert np.isfinite(answers[500:]).all()


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ([0, 1, np.nan], "truth: 1 of 3 rows have none"),
        ([0, 1, 2], "truth: 0 or 1 is meant, and here is also 2"),
        ([1, 1, 1], "all 3 rows are of one class"),
    ],
)
def test_a_truth_that_is_none_is_refused(truth: list[float], message: str) -> None:
    for ask in (tables.fit, lambda *asked: tables.cross_validate(asked[3], *asked[:3], asked[4])):
        with pytest.raises(ValueError, match=message):
            ask(pd.DataFrame({"months": [1, 2, 3]}), truth, np.arange(3), BINARY_CANDIDATES[0], COLUMNS)


def test_rows_of_one_group_and_a_class_of_one_group_are_refused(rows: pd.DataFrame, leavers: np.ndarray) -> None:
    with pytest.raises(NoCandidateError, match="of one group"):
        tables.fit(rows, leavers, np.zeros(1_500, dtype=int), BINARY_CANDIDATES[0], COLUMNS)
    with pytest.raises(ValueError, match="so few groups"):
        tables.fit(rows, (ALONE < 30).astype(int), np.maximum(ALONE - 29, 0), BINARY_CANDIDATES[0], COLUMNS)


def test_the_names_are_known_and_an_unknown_one_is_told_with_those_that_are() -> None:
    names = ["logistic-table", "boosting-table", "boosting-large-table"]
    assert [each.name for each in tables.find("binary")] == names
    assert tables.find("regression", ["ridge-table"]) == REGRESSION_CANDIDATES[:1]
    for unknown in (["ridge-table"], []):
        with pytest.raises(ValueError, match="there are logistic-table, boosting-table"):
            tables.find("binary", unknown)


def test_settings_that_a_search_may_alter_are_settings() -> None:
    for candidate in ALL:
        assert set(candidate.ranges) <= set(candidate.settings)
        altered = replace(candidate, settings={**candidate.settings, **{k: r.low for k, r in candidate.ranges.items()}})
        assert candidate.altered(**{name: each.low for name, each in candidate.ranges.items()}) == altered


def test_no_row_has_no_answer(rows: pd.DataFrame, leavers: np.ndarray) -> None:
    model = tables.fit(rows, leavers, ALONE, BINARY_CANDIDATES[0], COLUMNS)

    assert len(tables.predict(model, rows.head(0), COLUMNS)) == 0


def test_one_thread_is_a_limit_for_trees_as_well_whatever_was_imported_before() -> None:
    """In a process that begins: libraries are loaded late, and one that is not yet loaded cannot be limited."""
    code = (
        "import json; from flows.core import tables\n"
        "with tables.on_one_thread():\n"
        "    import sklearn.ensemble\n"
        "    from threadpoolctl import threadpool_info\n"
        "    print(json.dumps([[each['user_api'], each['num_threads']] for each in threadpool_info()]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {"openmp", "blas"} == {kind for kind, _ in found}
    assert {threads for _, threads in found} == {1}
