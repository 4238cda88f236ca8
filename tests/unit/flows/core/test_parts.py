"""Parts of the rows are told with how sure they are; one that is surely answered worse is named, others are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from flows.core import parts

KINDS = pd.DataFrame({"home_town": ["a"] * 200 + ["b"] * 200 + ["c"] * 10, "size": ["large", "small"] * 205})


def errors(seed: int = 1) -> np.ndarray:
    return np.abs(np.random.default_rng(seed).normal(0, 1, len(KINDS)))


def test_a_part_is_its_rows_on_average_with_an_interval() -> None:
    mine = errors()
    table = parts.measure(mine, KINDS).set_index("part")

    assert list(table.index) == ["a", "b", "c", "large", "small"]
    assert table.loc["a", "value"] == pytest.approx(mine[:200].mean())
    assert table["rows"].tolist() == [200, 200, 10, 205, 205]
    assert table["decides"].tolist() == [True, True, False, True, True]
    assert set(table["kind"]) == {"home town", "size"}
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()


def test_a_part_that_is_surely_worse_is_named() -> None:
    theirs = errors()
    mine = theirs + np.where(KINDS["home_town"] == "b", 0.4, 0.0)
    table = parts.measure(mine, KINDS, theirs=theirs)

    found = parts.worsened(table, 0.3, higher_is_better=False, what="the error")

    assert found.refused
    assert found.said.startswith("the error is worse by more than 30% and no chance: home town b from 0.")
    assert "home town a" not in found.said
    assert not parts.worsened(table, 0.9, higher_is_better=False, what="the error").refused


def test_where_more_is_better_less_is_a_fall() -> None:
    theirs = 1 - errors() / 10
    lower = np.where(KINDS["home_town"] == "b", 0.5, theirs)
    table = parts.measure(lower, KINDS, theirs=theirs)

    assert parts.worsened(table, 0.1, higher_is_better=True, what="precision").refused
    assert not parts.worsened(table, 0.1, higher_is_better=False, what="precision").refused


def test_of_parts_that_are_as_good_one_falls_by_chance_as_seldom_as_is_asked() -> None:
    """Of 100 comparisons of models that are as good, at most 5 and two binomial deviations refuse one."""
    random, refused = np.random.default_rng(4), 0
    for seed in range(100):
        table = parts.measure(
            random.exponential(size=410), KINDS, theirs=random.exponential(size=410), resamples=300, seed=seed
        )
        refused += parts.worsened(table, 0.0, higher_is_better=False, what="the error").refused

    assert refused <= 10


def test_a_part_of_a_few_rows_decides_nothing_however_bad() -> None:
    theirs = errors()
    mine = np.where(KINDS["home_town"] == "c", 50.0, theirs)
    table = parts.measure(mine, KINDS[["home_town"]], theirs=theirs)

    assert table.set_index("part").loc["c", "change"] > 40
    assert not parts.worsened(table, 0.1, higher_is_better=False, what="the error").refused


def test_rows_of_one_group_count_as_one() -> None:
    few = parts.measure(errors(), KINDS, groups=np.arange(len(KINDS)) // 20)

    assert not few["decides"].any()


def test_a_row_without_a_value_is_of_no_part() -> None:
    some = KINDS.assign(home_town=KINDS["home_town"].where(KINDS.index < 300, None))
    table = parts.measure(errors(), some)

    assert table.loc[table["kind"] == "home town", "rows"].tolist() == [200, 100]
    assert parts.measure(errors(), some[["home_town"]].assign(home_town=None)).empty
