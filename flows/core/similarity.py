"""The candidates of a search for similar rows: what they are, how one is fitted, how it is asked.

Owns the declared list. Pure; must not know a use case's columns, or what found neighbours are worth.

A model is a pipeline of scikit-learn's own types: `features`, `unit` (each row of length 1: the nearest are then those
of the largest cosine) and `index`, which holds the rows that are searched, their ids and what makes them relevant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.use_cases.columns import Column
from flows.core.candidates import Tunable, pick
from flows.core.features.table import as_table, distance_features
from flows.core.splits import Splits
from flows.core.tables import on_one_thread
from flows.core.tasks.neighbours import Found

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator
    from sklearn.pipeline import Pipeline

Numbers: TypeAlias = NDArray[np.float64]
Names: TypeAlias = NDArray[np.object_]

TRUSTED = ("sklearn.metrics._dist_metrics.EuclideanDistance64", "sklearn.neighbors._kd_tree.KDTree")
"""What skops must be told to trust to load one of these models; neither runs code of a file's own."""


@dataclass(frozen=True, slots=True)
class SimilarityCandidate(Tunable):
    """One way to find the rows that are most like one; `learner` is given how many are wanted."""

    name: str
    title: str
    learner: Callable[..., BaseEstimator]


def _search(k: int, **settings: Any) -> BaseEstimator:
    from sklearn.neighbors import NearestNeighbors

    return NearestNeighbors(n_neighbors=k, **settings)


CANDIDATES = (
    SimilarityCandidate(
        "cosine-tree", "Cosine of standardised columns, found in a k-d tree", _search, settings={"algorithm": "kd_tree"}
    ),
    SimilarityCandidate(
        "cosine-exhaustive",
        "Cosine of standardised columns, every row compared",
        _search,
        settings={"algorithm": "brute"},
    ),
)
"""The quick one first: of candidates that are as good, the first is taken."""


def find(names: Sequence[str] | None = None) -> tuple[SimilarityCandidate, ...]:
    """The candidates of these names, all where None; raises ValueError naming those that exist."""
    return pick(CANDIDATES, names)


@dataclass(frozen=True, slots=True, eq=False)
class Neighbourhood:
    """The neighbours of each row that was asked, the nearest first (rows by k), and how alike they are (-1 to 1)."""

    found: Found
    cosine: Numbers


def fit(
    rows: pd.DataFrame, candidate: SimilarityCandidate, columns: Sequence[Column], *, k: int, relevant_by: str
) -> Pipeline:
    """The candidate over all rows (entity_id, the columns and `relevant_by`).

    Raises ValueError where there are too few rows to have `k` neighbours.
    """
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import Normalizer

    if len(rows) <= k:
        raise ValueError(f"{len(rows)} rows have no {k} neighbours each: wait for more, or ask for fewer")
    model = Pipeline(
        [("features", distance_features(columns)), ("unit", Normalizer()), ("index", _learner(candidate, k))]
    )
    index = model.named_steps["index"]
    with on_one_thread():
        index.points_ = model[:-1].fit_transform(as_table(rows, columns))
        index.fit(index.points_)
    index.ids_ = rows["entity_id"].astype(str).to_numpy(dtype=object)
    index.relevant_ = _texts(rows[relevant_by])
    return model


def ask(
    model: Pipeline, rows: pd.DataFrame, columns: Sequence[Column], *, k: int, relevant_by: str, exact: bool = False
) -> Neighbourhood:
    """The `k` nearest of each row (entity_id, the columns and, where it has one, `relevant_by`), never the row itself.

    With `exact` an exhaustive search is made besides; else the found ones stand for it.
    """
    index = model.named_steps["index"]
    with on_one_thread():
        points = model[:-1].transform(as_table(rows, columns))
        distances, places = index.kneighbors(points, n_neighbors=k + 1)
        known = _exhaustive(index, points, k + 1) if exact else places
    names = rows["entity_id"].astype(str).to_numpy(dtype=object)
    kept, all_kept = (_without_itself(index.ids_[found], names) for found in (places, known))
    at = np.arange(len(rows))[:, None]
    wanted = _texts(rows[relevant_by]) if relevant_by in rows.columns else np.full(len(rows), None, dtype=object)
    found = Found(
        nearest=index.ids_[places[at, kept]],
        exact=index.ids_[known[at, all_kept]],
        relevant=index.relevant_[places[at, kept]],
        wanted=wanted,
    )
    return Neighbourhood(found, 1 - distances[at, kept] ** 2 / 2)  # of vectors of length 1


def cosine_to(model: Pipeline, rows: pd.DataFrame, columns: Sequence[Column], entity_id: str) -> Numbers:
    """The cosine (-1 to 1) between each row and the one of that id among those that are searched."""
    index = model.named_steps["index"]
    (place,) = np.flatnonzero(index.ids_ == entity_id)
    with on_one_thread():
        points = model[:-1].transform(as_table(rows, columns))
    cosine: Numbers = points @ index.points_[place]
    return cosine


def cross_validate(
    candidate: SimilarityCandidate,
    rows: pd.DataFrame,
    columns: Sequence[Column],
    splits: Splits,
    *,
    k: int,
    relevant_by: str,
) -> Found:
    """The neighbours of each row that is answered, in their order, among those that its split fits on.

    Raises what `fit` raises.
    """
    parts: list[tuple[NDArray[np.int64], Found]] = []
    for fitted, held in splits:
        model = fit(rows.iloc[fitted], candidate, columns, k=k, relevant_by=relevant_by)
        parts.append((held, ask(model, rows.iloc[held], columns, k=k, relevant_by=relevant_by).found))
    order = np.argsort(np.concatenate([held for held, _ in parts]), kind="stable")
    whole = (
        np.concatenate([getattr(found, name) for _, found in parts])[order]
        for name in ("nearest", "exact", "relevant", "wanted")
    )
    return Found(*whole)


def _learner(candidate: SimilarityCandidate, k: int) -> BaseEstimator:
    return candidate.learner(k, **candidate.settings)


def _exhaustive(index: BaseEstimator, points: Numbers, k: int) -> NDArray[np.int64]:
    """Places of the `k` nearest of each point, every row of the index compared."""
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(index.points_)
    places: NDArray[np.int64] = search.kneighbors(points, return_distance=False)
    return places


def _without_itself(found: Names, names: Names) -> NDArray[np.int64]:
    """Of each row the places of all but one of its neighbours: but for itself, else for the farthest."""
    itself = found == names[:, None]
    itself[~itself.any(axis=1), -1] = True
    order: NDArray[np.int64] = np.argsort(itself, axis=1, kind="stable")[:, :-1]
    return order


def _texts(values: pd.Series) -> Names:
    """Each value as text, None where there is none."""
    return np.array([None if pd.isna(value) else str(value) for value in values], dtype=object)
