"""The candidates of a clustering of a table: what they are, how one is fitted, how many clusters it has.

Owns the declared list. Pure; must not know a use case's columns, or when clusters are good enough.

A model is a pipeline of scikit-learn's own types: `features`, then `clusters`. With it are kept replicas, the same
clustering of resampled rows: whoever judges the model asks them whether its clusters come back. Clusters are numbered
from 1, the largest of the training rows first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column
from flows.core.bootstrap import Estimate
from flows.core.candidates import SEED, Tunable, pick
from flows.core.features.table import as_table, distance_features
from flows.core.groups import Groups
from flows.core.resampling import draw_rows
from flows.core.splits import Splits
from flows.core.tables import on_one_thread
from flows.core.tasks import clusters

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

Numbers: TypeAlias = NDArray[np.float64]
Codes: TypeAlias = NDArray[np.int64]

REPLICAS = 20
STARTS = 5
"""A clustering begins so many times, each time elsewhere, and the best one is kept."""


@dataclass(frozen=True, slots=True)
class ClusterCandidate(Tunable):
    """One way to clusters; the number of them is chosen, and stands among the settings then."""

    name: str
    title: str
    learner: Callable[..., BaseEstimator]


def _k_means(clusters: int, **settings: Any) -> BaseEstimator:
    from sklearn.cluster import KMeans

    return KMeans(clusters, n_init=STARTS, random_state=SEED, **settings)


def _mixture(clusters: int, **settings: Any) -> BaseEstimator:
    from sklearn.mixture import GaussianMixture

    return GaussianMixture(clusters, n_init=STARTS, random_state=SEED, reg_covar=1e-3, **settings)


CANDIDATES = (
    ClusterCandidate("k-means-table", "k-means over standardised columns", _k_means),
    ClusterCandidate("mixture-table", "Gaussian mixture over standardised columns", _mixture),
)
"""The simple one first: of candidates that are as good, the first is taken."""


def find(names: Sequence[str] | None = None) -> tuple[ClusterCandidate, ...]:
    """The candidates of these names, all where None; raises ValueError naming those that exist."""
    return pick(CANDIDATES, names)


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """A candidate with its number of clusters; `found` is the mean of `influences`, one of each row that was
    measured."""

    candidate: ClusterCandidate
    found: Estimate
    influences: Numbers


def choose_number(
    candidate: ClusterCandidate,
    rows: pd.DataFrame,
    groups: Groups,
    columns: Sequence[Column],
    splits: Splits,
    most: int,
) -> Chosen:
    """The candidate with the number from 2 to `most` that gives the highest silhouette.

    Rows are answered by the clustering of their split, and measured within it. Of numbers that are as good, the
    smallest is taken. Raises ValueError where two clusters are not allowed, or there are fewer rows than clusters.
    """
    if most < 2:
        raise ValueError(f"at most {most} clusters are allowed, and two are the fewest there can be")
    splits = [(fitted, held[clusters.measured_rows(len(held))]) for fitted, held in splits]
    points, measured = as_points(rows, columns), np.concatenate([held for _, held in splits])

    def influences(tried: ClusterCandidate) -> Numbers:
        return np.concatenate(
            [
                clusters.influences(
                    points[held], assign(_fit_one(tried, rows.iloc[fitted], columns), rows.iloc[held], columns)[0]
                )
                for fitted, held in splits
            ]
        )

    tried = [candidate.altered(clusters=number) for number in range(2, most + 1)]
    found = [influences(each) for each in tried]
    best = int(np.argmax([each.mean() for each in found]))
    return Chosen(tried[best], clusters.mean_silhouette(found[best], groups[measured]), found[best])


def fit(rows: pd.DataFrame, groups: Groups, candidate: ClusterCandidate, columns: Sequence[Column]) -> Pipeline:
    """The candidate fitted on all rows, with its replicas; raises ValueError where its number was not chosen."""
    model = _fit_one(candidate, rows, columns)
    points = model.named_steps["features"].transform(as_table(rows, columns))
    model.replicas_ = []
    with on_one_thread():
        for counts in draw_rows(groups, REPLICAS, SEED):
            model.replicas_.append(_fitted(candidate, np.repeat(points, counts, axis=0)))
    return model


def assign(model: Pipeline, rows: pd.DataFrame, columns: Sequence[Column]) -> tuple[NDArray[np.object_], Numbers]:
    """Of each row the cluster's name, "1" for the largest, and how sure that is (0 to 1).

    By a mixture that is the cluster's probability; else how much nearer the row is to it than to the next one: 0 where
    both are as near, 1 in its centre.
    """
    with on_one_thread():
        points = model.named_steps["features"].transform(as_table(rows, columns))
        learner = model.named_steps["clusters"]
        if hasattr(learner, "predict_proba"):
            sure = learner.predict_proba(points).max(axis=1)
        else:
            nearest = np.sort(learner.transform(points), axis=1)[:, :2]
            sure = 1 - nearest[:, 0] / np.maximum(nearest[:, 1], np.finfo(float).tiny)
        return _names(learner.predict(points)), sure


def lead(model: Pipeline, rows: pd.DataFrame, columns: Sequence[Column], name: str) -> Numbers:
    """How much nearer each row is to the cluster of that name than to the nearest other; below 0 where it is not.

    By a mixture that is a difference of logarithms of probabilities, else of distances in standard deviations.
    """
    with on_one_thread():
        points = model.named_steps["features"].transform(as_table(rows, columns))
        learner, place = model.named_steps["clusters"], int(name) - 1
        if hasattr(learner, "predict_proba"):
            near = np.log(np.maximum(learner.predict_proba(points), np.finfo(float).tiny))
        else:
            near = -learner.transform(points)
    found: Numbers = near[:, place] - np.delete(near, place, axis=1).max(axis=1)
    return found


def ask_replicas(model: Pipeline, rows: pd.DataFrame, columns: Sequence[Column]) -> NDArray[np.object_]:
    """The answers of the model's replicas to each row (rows by REPLICAS)."""
    with on_one_thread():
        points = model.named_steps["features"].transform(as_table(rows, columns))
        return np.stack([_names(replica.predict(points)) for replica in model.replicas_], axis=1)


def as_points(rows: pd.DataFrame, columns: Sequence[Column]) -> Numbers:
    """Coordinates of the rows that no model has made: in standard deviations of these very rows."""
    with on_one_thread():
        points: Numbers = distance_features(columns).fit_transform(as_table(rows, columns))
    return points


def on_a_plane(points: Numbers) -> Numbers:
    """The points in two dimensions (rows by 2): their first two principal components, 0 for one that is not there."""
    from sklearn.decomposition import PCA

    plane = np.zeros((len(points), 2))
    there = min(2, *points.shape)
    plane[:, :there] = PCA(there, svd_solver="full").fit_transform(points)
    return plane


def _fit_one(candidate: ClusterCandidate, rows: pd.DataFrame, columns: Sequence[Column]) -> Pipeline:
    """The candidate fitted on the rows, without replicas."""
    from sklearn.pipeline import Pipeline

    if "clusters" not in candidate.settings:
        raise ValueError(f"how many clusters {candidate.name} has was not chosen")
    features = distance_features(columns)
    with on_one_thread():
        points = features.fit_transform(as_table(rows, columns))
        return Pipeline([("features", features), ("clusters", _fitted(candidate, points))])


def _names(places: Codes) -> NDArray[np.object_]:
    return np.array([str(place + 1) for place in places], dtype=object)


def _fitted(candidate: ClusterCandidate, points: Numbers) -> BaseEstimator:
    """The learner fitted, its clusters in the order of their size and without what it kept of the rows."""
    learner = candidate.learner(**candidate.settings).fit(points)
    order = np.argsort(-np.bincount(learner.predict(points), minlength=candidate.settings["clusters"]), kind="stable")
    for name in ("cluster_centers_", "weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"):
        if hasattr(learner, name):
            setattr(learner, name, getattr(learner, name)[order])
    vars(learner).pop("labels_", None)
    return learner
