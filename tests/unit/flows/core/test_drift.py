"""Drift alarms on what shifted, stays silent on what did not, and is not fooled by small samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core import drift

WORDS = np.array([f"word{number}" for number in range(300)])
COUNTS = st.lists(st.integers(min_value=0, max_value=500), min_size=2, max_size=30).filter(any)


def predictions(rows: int, seed: int, *, classes: int = 21, words: np.ndarray = WORDS) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(words, 8)) for _ in range(rows)]
    return pd.DataFrame(
        {
            "prediction": random.integers(0, classes, rows).astype(str),
            "score": random.beta(5, 2, rows),
            "text_length": random.integers(20, 200, rows),
            "text": texts,
        }
    )


@given(counts=COUNTS)
def test_equal_samples_have_no_psi(counts: list[int]) -> None:
    same = np.array(counts)

    assert float(drift.stability_index(same, same)) == pytest.approx(0, abs=1e-12)


@given(reference=COUNTS, current=COUNTS)
def test_psi_is_never_negative_and_the_same_both_ways(reference: list[int], current: list[int]) -> None:
    bins = min(len(reference), len(current))
    one, other = np.array(reference[:bins]), np.array(current[:bins])

    index = float(drift.stability_index(one, other))

    assert index >= 0
    assert index == pytest.approx(float(drift.stability_index(other, one)))


def test_psi_of_a_known_shift() -> None:
    """(.5, .5) to (.8, .2): .3 ln(.8/.5) - .3 ln(.2/.5) = .4159, but for the half rows added."""
    index = drift.stability_index(np.array([50_000, 50_000]), np.array([80_000, 20_000]))

    assert float(index) == pytest.approx(0.4159, abs=1e-3)


def test_p_values_are_evenly_spread_without_drift() -> None:
    """Of 200 pairs from one source about a tenth must fall below .1: binomial, three deviations either way."""
    random = np.random.default_rng(7)
    values = [
        drift.permutation_test(
            random.integers(0, 21, 800), random.integers(0, 21, 120), permutations=199, seed=seed
        ).p_value
        for seed in range(200)
    ]

    assert 0.4 < np.mean(values) < 0.6
    assert 7 <= sum(value <= 0.1 for value in values) <= 33


def test_psi_alone_would_alarm_on_small_samples() -> None:
    """Why the level needs a test beside it: 100 rows of 21 classes reach .2 without any drift, most of the time."""
    random = np.random.default_rng(3)
    pairs = [(random.integers(0, 21, 100), random.integers(0, 21, 100)) for _ in range(40)]
    tested = [drift.permutation_test(*pair, permutations=199) for pair in pairs]

    assert sum(found.psi >= 0.2 for found in tested) > 20
    assert {drift.level_of(found.psi, found.p_value, 0.0025) for found in tested} == {drift.Level.STABLE}


def test_the_psi_to_expect_without_drift_is_told() -> None:
    """About (bins - 1)(1/n + 1/m) = 20 * (1/100 + 1/100) = .4 (Yurdakul, 2018), less what the half rows take off."""
    random = np.random.default_rng(5)
    found = drift.permutation_test(random.integers(0, 21, 100), random.integers(0, 21, 100))

    assert found.chance_psi == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize(
    ("psi", "p_value", "level"),
    [
        (0.09, 0.001, "stable"),
        (0.10, 0.001, "warning"),
        (0.20, 0.001, "alert"),
        (0.30, 0.001, "critical"),
        (9.00, 0.001, "critical"),
        (9.00, 0.010, "stable"),
    ],
)
def test_a_level_needs_its_psi_and_significance(psi: float, p_value: float, level: str) -> None:
    assert drift.level_of(psi, p_value).value == level


def test_many_tests_share_the_error_of_one() -> None:
    """A difference whose p-value lies just below .01 counts alone and does not among eight."""
    one = pd.DataFrame({"prediction": np.repeat(["a", "b"], [100, 100])})
    other = pd.DataFrame({"prediction": np.repeat(["a", "b"], [14, 36])})

    alone, among = (drift.compare(one, other, tests=tests).columns["prediction"] for tests in (1, 8))

    assert 0.01 / 8 < alone.p_value == among.p_value < 0.01
    assert (alone.level, among.level) == (drift.Level.WARNING, drift.Level.STABLE)


@pytest.mark.parametrize("rows", [100, 170, 1200])
def test_no_column_drifts_between_two_draws_of_one_source(rows: int) -> None:
    found = drift.compare(predictions(1100, seed=1), predictions(rows, seed=2))

    assert found.score == 0
    assert found.drifted() == []


def test_the_columns_that_shifted_are_named_and_counted() -> None:
    current = predictions(170, seed=2, classes=3)
    current["text_length"] += 300

    found = drift.compare(predictions(1100, seed=1), current)

    assert found.drifted() == ["prediction", "text_length"]
    assert found.score == 0.5
    assert found.level is drift.Level.CRITICAL


def test_other_words_in_texts_of_the_same_length_are_drift_of_the_text() -> None:
    current = predictions(170, seed=2, words=np.array([f"autre{number}" for number in range(300)]))

    assert drift.compare(predictions(1100, seed=1), current).drifted() == ["text"]


def test_equal_texts_on_both_sides_are_no_drift() -> None:
    """All scores are equal then: the order of rows must not pass for a difference."""
    reference, current = predictions(400, seed=1), predictions(120, seed=2)
    reference["text"] = current["text"] = "one and the same"

    assert drift.compare(reference, current).columns["text"].psi == pytest.approx(0, abs=0.05)


def test_a_log_without_texts_is_compared_by_its_other_columns() -> None:
    found = drift.compare(predictions(400, seed=1), predictions(120, seed=2).drop(columns="text"))

    assert list(found.columns) == ["prediction", "score", "text_length"]


@pytest.mark.parametrize("column", drift.COLUMNS)
@pytest.mark.parametrize("share", [0.3, 1.0])
def test_missing_values_are_a_level_of_their_own(column: str, share: float) -> None:
    """Whatever spells them: none, not a number, or an empty text."""
    current = predictions(500, seed=2)
    current[column] = current[column].astype(object)
    nothing: object = np.nan if column in drift.NUMBERS else ""
    current.loc[current.index[: int(share * 500)], column] = nothing

    found = drift.compare(predictions(1100, seed=1), current)

    assert found.drifted() == [column]
    assert found.columns[column].missing == share
    assert found.columns[column].reference_missing == 0


def test_one_missing_value_hides_no_drift() -> None:
    current = predictions(500, seed=2)
    current["text_length"] = current["text_length"] + 300.0
    whole = drift.compare(predictions(1100, seed=1), current).columns["text_length"]
    current.loc[7, "text_length"] = np.nan

    found = drift.compare(predictions(1100, seed=1), current).columns["text_length"]

    assert found.level is whole.level is drift.Level.CRITICAL
    assert found.psi == pytest.approx(whole.psi, rel=0.2)


def test_a_column_that_was_always_empty_is_no_drift() -> None:
    reference, current = (predictions(300, seed).assign(score=np.nan, text=None) for seed in (1, 2))

    assert drift.compare(reference, current).drifted() == []


def test_a_reference_of_few_groups_is_known_to_be_no_sample_of_the_population() -> None:
    """Eight merchants sell one class each; all sixteen of them come by in the week, and nothing has changed."""
    reference = predictions(800, seed=1).assign(group=np.repeat(range(8), 100))
    current = predictions(800, seed=2).assign(group=np.repeat(range(16), 50))
    for side in (reference, current):
        side["prediction"] = side["group"].astype(str)

    found = drift.compare(reference, current).columns["prediction"]

    assert found.psi > 0.3
    assert found.level is drift.Level.STABLE
    assert found.false_alarm_rate > 0.5


def test_a_reference_of_many_rows_is_not_alarmed_by_itself() -> None:
    found = drift.compare(predictions(1100, seed=1), predictions(500, seed=2))

    assert {column.false_alarm_rate for column in found.columns.values()} == {0.0}
