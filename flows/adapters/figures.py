"""The pictures of a training: confusion matrix and class distribution, as PNG files.

Owns their looks. Draws without a display; must not know MLflow.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

NAMED_CLASSES = 40
"""Beyond so many classes the axes bear no names: they could not be read."""


def draw_confusion(table: pd.DataFrame, path: Path) -> None:
    """Write the confusion matrix to `path`; `table` holds counts, true classes down, predicted ones across.

    Each row is shown as shares of its true class, so that small classes are seen as well as large ones.
    """
    from matplotlib.figure import Figure

    shares = table.div(table.sum(axis=1).clip(lower=1), axis=0)
    figure = Figure(figsize=(9, 8), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares.to_numpy(), cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted class", ylabel="true class", title="Frozen test set: share of each true class")
    if len(table) <= NAMED_CLASSES:
        axes.set_xticks(range(len(table)), table.columns, rotation=90, fontsize=7)
        axes.set_yticks(range(len(table)), table.index, fontsize=7)
    figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path)


def draw_classes(train: pd.Series, test: pd.Series, path: Path) -> None:
    """Write the rows by class of both sides to `path`, largest class of the training side first."""
    from matplotlib.figure import Figure

    counts = pd.DataFrame({"training": train.value_counts(), "test": test.value_counts()}).fillna(0)
    counts = counts.sort_values("training", ascending=False)
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    places = range(len(counts))
    axes.bar(places, counts["training"], label=f"training ({len(train):,} rows)")
    axes.bar(places, counts["test"], bottom=counts["training"], label=f"frozen test set ({len(test):,} rows)")
    axes.set(xlabel="class", ylabel="rows", title="Rows by class")
    if len(counts) <= NAMED_CLASSES:
        axes.set_xticks(places, counts.index, rotation=90, fontsize=8)
    axes.legend()
    figure.savefig(path)
