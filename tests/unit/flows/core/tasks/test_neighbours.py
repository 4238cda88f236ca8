"""Neighbours are measured by whether they are relevant, and by whether they are the nearest there are."""

from __future__ import annotations

import numpy as np
import pytest

from flows.core.tasks import neighbours
from flows.core.tasks.neighbours import Found


def found(rows: int = 200, *, relevant: float = 0.7, missed: float = 0.0, seed: int = 1) -> Found:
    """Three neighbours of each row, relevant with that chance, each of which is missed with another."""
    random = np.random.default_rng(seed)
    exact = np.array([[f"{row}-{place}" for place in range(3)] for row in range(rows)], dtype=object)
    nearest = np.where(random.random((rows, 3)) < missed, "nobody", exact)
    return Found(
        nearest=nearest.astype(object),
        exact=exact,
        relevant=np.where(random.random((rows, 3)) < relevant, "pop", "metal").astype(object),
        wanted=np.full(rows, "pop", dtype=object),
    )


def test_precision_and_recall_are_shares_of_the_k() -> None:
    one = Found(
        nearest=np.array([["a", "c", "x"], ["b", "a", "c"]], dtype=object),
        exact=np.array([["a", "b", "c"], ["a", "b", "c"]], dtype=object),
        relevant=np.array([["pop", "pop", "metal"], ["metal", "metal", "metal"]], dtype=object),
        wanted=np.array(["pop", "metal"], dtype=object),
    )

    estimates, table = neighbours.estimate(one, resamples=50), neighbours.by_k(one)

    assert estimates["precision_at_k"].value == pytest.approx(5 / 6)
    assert estimates["recall_at_k"].value == pytest.approx(5 / 6)
    assert table["k"].tolist() == [1, 2, 3]
    assert table["precision"].tolist() == pytest.approx([1, 1, 5 / 6])
    assert table["recall"].tolist() == pytest.approx([0.5, 0.75, 5 / 6])


def test_the_interval_holds_the_chance_that_was_planted() -> None:
    held = 0
    for seed in range(100):
        value = neighbours.estimate(found(missed=0.1, seed=seed), resamples=150, seed=seed)
        held += value["precision_at_k"].low <= 0.7 <= value["precision_at_k"].high
        held += value["recall_at_k"].low <= 0.9 <= value["recall_at_k"].high

    assert held / 200 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 200)


def test_rows_of_one_group_count_as_one() -> None:
    once, groups = found(100), np.repeat(np.arange(100), 4)
    four = Found(*(np.repeat(each, 4, axis=0) for each in (once.nearest, once.exact, once.relevant, once.wanted)))

    alone, known, unknown = (
        value["precision_at_k"].high - value["precision_at_k"].low
        for value in (neighbours.estimate(once), neighbours.estimate(four, groups=groups), neighbours.estimate(four))
    )

    assert known == pytest.approx(alone, rel=0.1)
    assert unknown == pytest.approx(alone / 2, rel=0.15)


def test_a_row_that_bears_nothing_is_left_out_of_precision_alone() -> None:
    some = found()
    bare = Found(some.nearest, some.exact, some.relevant, np.where(np.arange(200) < 50, None, some.wanted))

    value = neighbours.estimate(bare)

    assert value["precision_at_k"].value == pytest.approx(some.hits[50:].mean())
    assert value["recall_at_k"].value == 1
    assert neighbours.by_k(bare)["precision"].iloc[-1] == pytest.approx(some.hits[50:].mean())


def test_a_difference_is_paired() -> None:
    mine, theirs = found(), found(missed=0.2)

    apart = neighbours.estimate_difference(mine, theirs)

    assert apart["recall_at_k"].value == pytest.approx(1 - theirs.kept().mean())
    assert apart["recall_at_k"].low > 0
    assert neighbours.estimate_difference(mine, mine)["precision_at_k"].high == 0


def test_what_cannot_be_measured_is_refused() -> None:
    nobody = np.empty((0, 3), dtype=object)
    some = found(5)

    with pytest.raises(ValueError, match="no row has a neighbour"):
        Found(nobody, nobody, nobody, np.empty(0, dtype=object))
    with pytest.raises(ValueError, match="no row bears what makes others relevant"):
        neighbours.estimate(Found(some.nearest, some.exact, some.relevant, np.full(5, None, dtype=object)))
    with pytest.raises(ValueError, match="not of the same rows: nearest 4"):
        Found(some.nearest[1:], some.exact, some.relevant, some.wanted)
