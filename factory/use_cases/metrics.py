"""What models are measured by: a metric's name, title, direction and format, declared once for each kind of task.

Pure. Who stores, judges, draws or tells a metric reads from here how it is called; how one is measured belongs to the
model side.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Metric:
    """`name` is that under which it is stored; `headline` tells whether messages and tables of a line show it."""

    name: str
    title: str
    higher_is_better: bool = True
    headline: bool = True
    digits: int = 4
    proper: bool = False
    """Whether the title begins with a name, or is an abbreviation, and stays as it is within a sentence."""
    short: str = ""
    """By which people call it where there is no other like it; the title where nothing is said."""

    @property
    def words(self) -> str:
        """The title within a sentence."""
        return self.title if self.proper else self.title[:1].lower() + self.title[1:]

    def show(self, value: float) -> str:
        """The value as it is written everywhere."""
        return f"{value:.{self.digits}f}"


F1_WEIGHTED = Metric("f1_weighted", "Weighted F1", short="F1")
F1_MACRO = Metric("f1_macro", "Macro F1")
ACCURACY = Metric("accuracy", "Accuracy", headline=False)
MULTICLASS = (F1_WEIGHTED, F1_MACRO, ACCURACY)
"""Each 0 to 1, on the frozen test set; the first decides."""

AUC = Metric("auc", "AUC", proper=True)
AVERAGE_PRECISION = Metric("average_precision", "Average precision", headline=False)
BRIER = Metric("brier", "Brier score", higher_is_better=False, proper=True)
LOG_LOSS = Metric("log_loss", "Log loss", higher_is_better=False, headline=False)
LIFT = Metric("lift", "Lift in the first tenth", headline=False, digits=2)
BINARY = (AUC, AVERAGE_PRECISION, BRIER, LOG_LOSS, LIFT)
"""Of the probability of the positive class; the first decides. The first three are 0 to 1; lift says how many times as
often the tenth of the rows with the highest probability is positive as all are."""

SHARPE = Metric("sharpe", "Sharpe ratio after costs", digits=2, proper=True)
EXCESS_RETURN = Metric("excess_return", "Yearly return over holding", headline=False)
DIRECTION = (*BINARY, SHARPE, EXCESS_RETURN)
"""Of the direction of a price: those of a probability, and what following it would have brought after fees and
slippage, a year each: mean return over its standard deviation, and what the mean has over buying and holding."""

R2 = Metric("r2", "R²", proper=True)
MAE = Metric("mae", "Mean absolute error", higher_is_better=False, short="MAE")
RMSE = Metric("rmse", "Root mean squared error", higher_is_better=False, headline=False, short="RMSE")
REGRESSION = (R2, MAE, RMSE)
"""Of numbers: the share of the variance that is explained (at most 1, the first decides), errors in the target's
unit."""

SILHOUETTE = Metric("silhouette", "Silhouette")
STABILITY = Metric("stability", "Stability")
CLUSTER_COUNT = Metric("clusters", "Number of clusters", headline=False, digits=0)
CLUSTERS = (SILHOUETTE, STABILITY, CLUSTER_COUNT)
"""How much nearer rows are to their own cluster than to the next (-1 to 1, decides), how alike the clusters of
resampled rows are (adjusted Rand index, at most 1), and how many there are, which is told and not judged."""

PRECISION_AT_K = Metric("precision_at_k", "Precision among the nearest")
RECALL_AT_K = Metric("recall_at_k", "Recall against an exact search")
NEIGHBOURS = (PRECISION_AT_K, RECALL_AT_K)
"""Each 0 to 1: the share of the nearest that is relevant (decides), and that of an exact search's nearest that is
found."""

_ALL = (*MULTICLASS, *DIRECTION, *REGRESSION, *CLUSTERS, *NEIGHBOURS)


def declared(names: Collection[str]) -> tuple[Metric, ...]:
    """The metrics among the names, the one that decides first."""
    return tuple(metric for metric in _ALL if metric.name in names)


def headlines(names: Collection[str]) -> tuple[Metric, ...]:
    """Those of them that stand in messages and in tables of one line a model."""
    return tuple(metric for metric in declared(names) if metric.headline)
