"""Clusters are measured where nobody knows the right ones: how far apart they lie, and whether they come back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score, silhouette_score

from flows.core.tasks import clusters

CENTRES = np.array([[0.0, 0.0], [6.0, 0.0], [0.0, 6.0]])


def drawn(rows: int = 300, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    own = random.integers(0, 3, rows)
    return CENTRES[own] + random.normal(size=(rows, 2)), own


def shuffled(answers: np.ndarray, share: float, columns: int = 20) -> np.ndarray:
    """Replicas that agree but for a share of the rows."""
    random = np.random.default_rng(7)
    return np.stack(
        [np.where(random.random(len(answers)) < share, random.permutation(answers), answers) for _ in range(columns)],
        axis=1,
    )


def test_the_values_are_those_of_scikit_learn() -> None:
    points, own = drawn()
    replicas = shuffled(own, 0.1)

    found = clusters.estimate(points, own, replicas)

    assert found["silhouette"].value == pytest.approx(silhouette_score(points, own))
    assert found["stability"].value == pytest.approx(np.mean([adjusted_rand_score(own, each) for each in replicas.T]))
    assert (found["clusters"].low, found["clusters"].value, found["clusters"].high) == (3, 3, 3)
    assert all(found[name].low < found[name].value < found[name].high for name in ("silhouette", "stability"))


def test_names_of_clusters_do_not_matter() -> None:
    points, own = drawn()
    renamed = np.array(["c", "a", "b"], dtype=object)[own]

    assert clusters.estimate(points, renamed, own[:, None])["stability"].value == 1
    assert clusters.silhouettes(points, renamed) == pytest.approx(clusters.silhouettes(points, own))


def test_what_a_row_adds_is_seen_where_it_is_there_once_more() -> None:
    points, own = drawn(200)
    added = clusters.influences(points, own)

    twice = [silhouette_score(np.vstack([points, points[[row]]]), np.append(own, own[row])) for row in range(200)]

    assert added.mean() == pytest.approx(silhouette_score(points, own))
    assert np.corrcoef(added, twice)[0, 1] > 0.99
    assert clusters.influences(points, np.append(np.zeros(199), 1))[-1] == pytest.approx(0, abs=0.01)


def test_answers_by_chance_are_neither_apart_nor_stable() -> None:
    points, _ = drawn()
    random = np.random.default_rng(3).integers(0, 3, (300, 11))

    found = clusters.estimate(points, random[:, 0], random[:, 1:])

    assert found["silhouette"].high < 0.05
    assert found["stability"].low < 0 < found["stability"].high


def test_the_interval_holds_the_silhouette_of_many_rows() -> None:
    points, own = drawn(4_000, seed=9)
    truth, held = silhouette_score(points, own), 0
    for seed in range(60):
        sample, answers = drawn(150, seed)
        found = clusters.mean_silhouette(clusters.influences(sample, answers), resamples=150, seed=seed)
        held += found.low <= truth <= found.high

    assert held / 60 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60)


def test_two_clusterings_are_compared_row_by_row() -> None:
    points, own = drawn()
    worse = np.where(np.random.default_rng(4).random(300) < 0.1, 0, own)
    mine, theirs = (own, shuffled(own, 0.05)), (worse, shuffled(worse, 0.3))

    apart = clusters.estimate_difference(points, mine, theirs)
    same = clusters.estimate_difference(points, mine, mine)

    assert 0 < apart["silhouette"].low < apart["silhouette"].value
    assert apart["stability"].low > 0
    assert same["silhouette"].value == same["silhouette"].high == 0
    assert same["stability"].value == 0


def test_one_cluster_is_no_nearer_to_itself_than_to_another() -> None:
    points, own = drawn(50)

    assert clusters.silhouettes(points, np.zeros(50)).tolist() == [0.0] * 50
    assert clusters.silhouettes(points, np.arange(50)).tolist() == [0.0] * 50
    assert clusters.estimate(points, np.zeros(50), own[:, None])["clusters"].value == 1


def test_sizes_tell_each_cluster_in_the_order_of_its_name() -> None:
    points, own = drawn()
    table = clusters.sizes(points, pd.Series(own).map({0: "2", 1: "10", 2: "1"}))

    assert table["cluster"].tolist() == ["1", "2", "10"]
    assert table["rows"].sum() == 300
    assert table["share"].sum() == pytest.approx(1)
    assert table["silhouette"].between(0.5, 0.8).all()


def test_of_many_rows_whole_groups_are_measured() -> None:
    groups = np.repeat(np.arange(3_000), 2)

    kept = clusters.measured_rows(6_000, groups)

    assert len(kept) <= clusters.MEASURED_ROWS
    assert np.bincount(groups[kept])[np.unique(groups[kept])].tolist() == [2] * (len(kept) // 2)


def test_without_a_replica_nothing_is_stable() -> None:
    points, own = drawn(20)

    with pytest.raises(ValueError, match="there is no such replica"):
        clusters.estimate(points, own, np.empty((20, 0)))
    with pytest.raises(ValueError, match="not of the same rows: answers 20, replicas 19"):
        clusters.agreement(own, own[1:, None])
