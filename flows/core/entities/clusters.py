"""Clusters of a table's entities: what the flows ask of a kind of task, answered where there is no truth.

Pure. Owns the way to the modules that do the work, and which of the gate's guards such a model has to meet. The answer
is the cluster's name, its `score` how sure that is (0 to 1).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pandas as pd

from factory.use_cases.metrics import SILHOUETTE
from factory.use_cases.tasks import Clusters
from factory.use_cases.use_case import Gate
from flows.core import clustering
from flows.core.answers import Numbers
from flows.core.bootstrap import Estimate
from flows.core.clustering import ClusterCandidate
from flows.core.comparison import RESAMPLES, beside
from flows.core.entities.base import EntityLogic, Folded, near_ids
from flows.core.evaluation import ClustersEvaluation
from flows.core.evidence import Evidence
from flows.core.policy import Check
from flows.core.selection import AnyCandidate, Choice, Score, Validation
from flows.core.tasks import clusters

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

REPLICAS = "replicas"
"""The column of examined answers that holds those of the model's replicas, a list a row."""


FIXED = "n_clusters"
"""The setting by which a caller fixes how many clusters there are."""


@dataclass(frozen=True, slots=True)
class ClustersLogic(EntityLogic):
    """A cluster for each entity."""

    def find_candidates(self, names: list[str] | None) -> tuple[ClusterCandidate, ...]:
        return clustering.find(names)

    def recipe(self, settings: Mapping[str, Any]) -> ClusterCandidate:
        """k-means with so many clusters (`n_clusters`); raises ValueError for other settings."""
        if set(settings) - {FIXED}:
            return cast("ClusterCandidate", super(ClustersLogic, self).recipe(settings))
        return clustering.CANDIDATES[0].altered(clusters=settings[FIXED])

    def prepare(self, train: pd.DataFrame, candidates: Sequence[AnyCandidate]) -> Folded:  # noqa: ARG002
        return self._fold(train, np.zeros(len(train)), classes=False)

    def score(self, candidate: AnyCandidate, validation: Validation) -> Score:
        """The candidate with the number of clusters that it does best with, on rows that it has not seen."""
        began, known, folded = time.perf_counter(), cast("ClusterCandidate", candidate), cast("Folded", validation)
        chosen = clustering.choose_number(
            known, folded.rows, folded.groups, folded.columns, folded.splits, cast("Clusters", self.task).most
        )
        return Score(chosen.candidate, chosen.found, chosen.influences[:, None], time.perf_counter() - began)

    def fit(self, train: pd.DataFrame, choice: Choice) -> BaseEstimator:
        candidate = cast("ClusterCandidate", choice.candidate)
        return clustering.fit(train, self._groups(train), candidate, self._features(train))

    def answer(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        if rows.empty:
            return pd.DataFrame({"prediction": pd.Series(dtype=str), "score": pd.Series(dtype=float)})
        names, sure = clustering.assign(model, rows, self._known(model))
        return pd.DataFrame({"prediction": names, "score": sure})

    def examine(self, model: BaseEstimator, rows: pd.DataFrame) -> pd.DataFrame:
        replicas = clustering.ask_replicas(model, rows, self._known(model))
        return self.answer(model, rows).assign(**{REPLICAS: replicas.tolist()})

    def evaluate(self, model: BaseEstimator, test: pd.DataFrame, near: Sequence[int]) -> ClustersEvaluation:
        answers, points = self.examine(model, test), self._points(test)
        return ClustersEvaluation(
            estimates=clusters.estimate(points, *_pair(answers), groups=self._groups(test)),
            reference=self.reference(test, answers),
            near=near_ids(test, near),
            sizes=clusters.sizes(points, answers["prediction"]),
            plane=pd.DataFrame(clustering.on_a_plane(points), columns=["across", "up"]).assign(
                cluster=answers["prediction"]
            ),
        )

    def gather(
        self,
        rows: pd.DataFrame,
        answers: pd.DataFrame,
        theirs: pd.DataFrame | None,
        *,
        gate: Gate,
        near: Collection[str] | None,  # noqa: ARG002 - where nothing is told, nothing can be remembered
    ) -> Evidence:
        points, groups, metric = self._points(rows), self._groups(rows), self.task.metrics[0].name
        mine, sizes = _pair(answers), clusters.sizes(points, answers["prediction"])
        common: dict[str, Any] = {
            "mine": clusters.estimate(points, *mine, groups=groups),
            "guards": _guards(sizes, gate),
            "parts": sizes.rename(columns={"cluster": "part", "silhouette": "value"}).assign(kind="cluster"),
            "part_measure": SILHOUETTE.title,
        }
        if theirs is None:
            return Evidence(theirs=None, gains=None, comparison=None, **common)
        rival = _pair(theirs)
        champion = clusters.estimate(points, *rival, groups=groups)
        sure = clusters.estimate_difference(
            points, mine, rival, groups=groups, level=2 * gate.confidence - 1, resamples=RESAMPLES
        )
        return Evidence(
            theirs=champion,
            gains=clusters.estimate_difference(points, mine, rival, groups=groups),
            comparison=beside(champion[metric], sure[metric]),
            **common,
        )

    def estimate(self, rows: pd.DataFrame) -> Mapping[str, Estimate]:  # noqa: ARG002 - no truth arrives
        return {}

    def _measure(self, model: BaseEstimator, row: pd.DataFrame) -> tuple[str, Callable[[pd.DataFrame], Numbers]]:
        columns = self._known(model)
        name = clustering.assign(model, row, columns)[0][0]
        return (
            f"how much nearer to cluster {name} than to another",
            lambda rows: clustering.lead(model, rows, columns, str(name)),
        )

    def _points(self, rows: pd.DataFrame) -> clusters.Numbers:
        return clustering.as_points(rows, self._features(rows))


def _pair(answers: pd.DataFrame) -> tuple[Any, Any]:
    """Answers, and those of the replicas (rows by replicas)."""
    return answers["prediction"].to_numpy(), np.array(answers[REPLICAS].tolist(), dtype=object)


def _guards(sizes: pd.DataFrame, gate: Gate) -> tuple[Check, ...]:
    """No cluster is so small that it tells nothing."""
    least = gate.smallest_cluster
    if least <= 0:
        return ()
    smallest = sizes.sort_values("rows", kind="stable").iloc[0]
    passed = len(sizes) > 1 and smallest["share"] >= least
    said = (
        f"of {len(sizes)} clusters the smallest, {smallest['cluster']}, holds {smallest['share']:.1%} of the rows, "
        f"{'at least' if passed else 'of two or more each must hold'} {least:.1%}"
    )
    return (Check("clusters", passed=bool(passed), said=said),)
