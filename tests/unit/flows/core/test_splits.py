"""Splits leave no row out, and let no group and no later row be learned from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core.splits import group_splits, time_splits


def test_a_group_stands_on_one_side_of_every_split() -> None:
    leavers = np.random.default_rng(2).integers(0, 2, 1_500).astype(float)
    groups = np.arange(1_500) // 3

    splits = group_splits(leavers, groups, classes=True)

    assert sorted(np.concatenate([held for _, held in splits])) == list(range(1_500))
    for fitted, held in splits:
        assert not set(groups[fitted]) & set(groups[held])
        assert leavers[held].mean() == pytest.approx(leavers.mean(), abs=0.05)


def test_blocks_of_time_are_answered_by_what_is_older_than_the_embargo() -> None:
    moments = pd.Series(pd.date_range("2026-01-01", periods=120, freq="D")).sample(frac=1, random_state=1)

    splits = time_splits(moments, blocks=5, embargo=pd.Timedelta(days=7))

    assert len(splits) == 5
    for fitted, held in splits:
        assert moments.iloc[fitted].max() + pd.Timedelta(days=7) < moments.iloc[held].min()
    held = np.concatenate([held for _, held in splits])
    assert len(set(held)) == len(held) == 100


def test_one_moment_cannot_be_split_by_time() -> None:
    with pytest.raises(ValueError, match="no older row"):
        time_splits([3, 3, 3])


def test_folds_of_numbers_bear_the_same_shares_of_high_and_low_ones() -> None:
    truth = np.random.default_rng(3).lognormal(0, 2, 500)

    for _, held in group_splits(truth, np.arange(500), classes=False):
        assert np.median(truth[held]) == pytest.approx(np.median(truth), rel=0.3)


def test_rows_of_equal_numbers_are_split_as_well() -> None:
    assert len(group_splits(np.ones(20), np.arange(20), classes=False)) == 5
