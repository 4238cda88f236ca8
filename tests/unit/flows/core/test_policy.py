"""When a challenger wins and which data is newer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.core.policy import Snapshot, is_newer, judge

SCORES = st.floats(min_value=0, max_value=1)


@pytest.mark.parametrize(
    ("challenger", "champion", "threshold", "promoted", "words"),
    [
        (0.80, None, 0.75, True, "there was no champion"),
        (0.75, None, 0.75, True, "there was no champion"),
        (0.74, None, 0.75, False, "below the threshold 0.7500"),
        (0.82, 0.80, 0.75, True, "beats the champion's 0.8000 (+0.0200)"),
        (0.80, 0.80, 0.75, False, "does not beat the champion's 0.8000 (+0.0000)"),
        (0.79, 0.80, 0.75, False, "does not beat the champion's 0.8000 (-0.0100)"),
        (0.70, 0.60, 0.75, False, "below the threshold 0.7500"),
    ],
)
def test_the_verdict_follows_from_the_numbers_and_names_them(
    challenger: float, champion: float | None, threshold: float, promoted: bool, words: str
) -> None:
    verdict = judge(challenger, champion, threshold)

    assert verdict.promoted is promoted
    assert words in verdict.reason
    assert f"{challenger:.4f}" in verdict.reason


@given(challenger=SCORES, champion=SCORES, threshold=SCORES)
def test_a_winner_reaches_the_threshold_and_is_better(challenger: float, champion: float, threshold: float) -> None:
    assert judge(challenger, champion, threshold).promoted == (challenger >= threshold and challenger > champion)


def test_data_is_newer_than_what_was_trained_on_only_when_it_is_newer_than_all_of_it() -> None:
    trained = [Snapshot(3, 1), Snapshot(2, 1)]

    assert is_newer(Snapshot(4, 1), trained)
    assert is_newer(Snapshot(3, 2), trained)
    assert not is_newer(Snapshot(3, 1), trained)
    assert not is_newer(Snapshot(2, 2), trained)
    assert is_newer(Snapshot(1, 1), [])
