"""The pictures of a training, as PNG files: what each kind of task has to show.

Owns their looks. Draws without a display; must not know MLflow.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from factory.use_cases.metrics import AUC, R2, SILHOUETTE
from flows.core.bootstrap import Estimate
from flows.core.evaluation import (
    ClassesEvaluation,
    ClustersEvaluation,
    DirectionEvaluation,
    Evaluation,
    NeighboursEvaluation,
    ProbabilityEvaluation,
    RegressionEvaluation,
    TableEvaluation,
)

SHOWN_POINTS = 2_000
"""Of more rows so many are drawn, or they would be one blot."""
SEED = 42
NAMED_CLASSES = 40
"""Beyond so many classes the axes bear no names: they could not be read."""


def draw(found: Evaluation, train: pd.Series, test: pd.Series, folder: Path) -> None:
    """Write everything that this kind of task has to show; `train` and `test` are the true classes, where it has
    such."""
    if isinstance(found, ProbabilityEvaluation):
        draw_confusion(found.confusion, folder / "confusion_matrix.png")
        draw_classes(train, test, folder / "class_distribution.png")
        draw_calibration(found.curve, found.calibration_error, folder / "calibration.png")
    match found:
        case ClassesEvaluation():
            draw_class_scores(found.classes, folder / "class_scores.png")
        case TableEvaluation():
            draw_roc(found.roc, found.estimates[AUC.name], folder / "roc.png")
            draw_deciles(found.deciles, folder / "deciles.png")
            if len(found.groups):
                draw_groups(found.groups, folder / "groups.png")
            if isinstance(found, DirectionEvaluation):
                draw_backtest(found.backtest, folder / "backtest.png")
        case RegressionEvaluation():
            draw_numbers(found.points, found.tenths, found.estimates[R2.name], folder / "predicted.png")
        case ClustersEvaluation():
            draw_clusters(found.plane, found.sizes, found.estimates[SILHOUETTE.name], folder / "clusters.png")
        case NeighboursEvaluation():
            draw_neighbours(found.by_k, folder / "neighbours.png")


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


def draw_class_scores(table: pd.DataFrame, path: Path) -> None:
    """Write F1 by class with its interval to `path`, best class on top.

    `table` has a row a class: class, rows, f1, f1_low and f1_high.
    """
    from matplotlib.figure import Figure

    ordered = table.sort_values("f1", ignore_index=True)
    figure = Figure(figsize=(7, max(3.0, 0.22 * len(ordered) + 1)), layout="constrained")
    axes = figure.subplots()
    places = range(len(ordered))
    below, above = ordered["f1"] - ordered["f1_low"], ordered["f1_high"] - ordered["f1"]
    # a percentile interval need not hold the value itself; a bar cannot have a negative length
    axes.errorbar(ordered["f1"], places, xerr=[below.clip(lower=0), above.clip(lower=0)], fmt="o", capsize=2, ms=4)
    axes.set(xlabel="F1 with its 95 % interval", title="Frozen test set: F1 by class", xlim=(0, 1.02))
    axes.set_yticks([])
    if len(ordered) <= NAMED_CLASSES:
        names = [f"{name} ({rows:,.0f})" for name, rows in zip(ordered["class"], ordered["rows"], strict=True)]
        axes.set_yticks(places, names, fontsize=8)
        axes.set_ylabel("class (test rows)")
    axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def draw_calibration(curve: pd.DataFrame, error: Estimate, path: Path) -> None:
    """Write the calibration curve to `path`; `curve` has rows, confidence, right, low and high by bin."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 6.5), layout="constrained")
    axes, rows = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="as often right as sure")
    bars = [(curve["right"] - curve["low"]).clip(lower=0), (curve["high"] - curve["right"]).clip(lower=0)]
    axes.errorbar(curve["confidence"], curve["right"], yerr=bars, marker="o", capsize=2, label="this model, 95 %")
    axes.set(ylabel="share of right answers", xlim=(0, 1), ylim=(0, 1.02))
    axes.set_title(f"Frozen test set: calibration error {error.value:.3f} ({error.low:.3f} to {error.high:.3f})")
    axes.legend(loc="upper left")
    rows.bar(curve["confidence"], curve["rows"], width=0.05)
    rows.set(xlabel="confidence", ylabel="rows")
    figure.savefig(path)


def draw_roc(curve: pd.DataFrame, auc: Estimate, path: Path) -> None:
    """Write the receiver operating characteristic to `path`; `curve` has false_positive_rate and true_positive_rate."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5, 5.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--", label="by chance")
    axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], label="this model")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
    axes.set_title(f"Frozen test set: AUC {auc.value:.3f} ({auc.low:.3f} to {auc.high:.3f})")
    axes.legend(loc="lower right")
    figure.savefig(path)


def draw_deciles(table: pd.DataFrame, path: Path) -> None:
    """Write the share in truth beside the mean probability, by tenths of the ranking, to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.bar(table["decile"], table["positive"], label="share in truth")
    axes.plot(table["decile"], table["probability"], "o", color="black", markersize=4, label="mean probability")
    axes.set(xlabel="tenth of the test rows, the likeliest first", ylabel="share", title="Frozen test set: by tenths")
    axes.set_xticks(table["decile"])
    axes.legend()
    figure.savefig(path)


def draw_backtest(table: pd.DataFrame, path: Path) -> None:
    """Write what one unit becomes by following and by holding, and both drawdowns, to `path`; a row a moment."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    figure = Figure(figsize=(9, 6), layout="constrained")
    worth, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    for name, title, style in (("followed", "following this model", "-"), ("held", "buying and holding", "--")):
        colour = "grey" if name == "held" else "C0"
        worth.plot(table["moment"], table[name], style, color=colour, linewidth=1.3, label=title)
        below.plot(table["moment"], table[f"{name}_drawdown"], style, color=colour, linewidth=1)
    below.fill_between(table["moment"], table["followed_drawdown"], 0, color="C0", alpha=0.2)
    worth.set(ylabel="what one unit became", title="Test set: after fees and slippage, beside buying and holding")
    worth.legend(loc="upper left")
    worth.grid(alpha=0.3)
    below.set(ylabel="below its highest")
    below.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    below.grid(alpha=0.3)
    figure.savefig(path)


def draw_groups(table: pd.DataFrame, path: Path) -> None:
    """Write who is selected, and the rates of both kinds of error, by group with 95 % intervals to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, max(2.5, 0.35 * len(table) + 1.5)), layout="constrained")
    places = range(len(table))
    names = [
        f"{row['attribute'].replace('_', ' ')}: {row['value']} ({row['rows']:,})" for row in table.to_dict("records")
    ]
    for axes, measure in zip(
        figure.subplots(1, 3, sharey=True), ("selection_rate", "true_positive_rate", "false_positive_rate"), strict=True
    ):
        value, low, high = (table[f"{measure}{bound}"] for bound in ("", "_low", "_high"))
        axes.errorbar(
            value, places, xerr=[(value - low).clip(lower=0), (high - value).clip(lower=0)], fmt="o", capsize=3
        )
        axes.set(xlim=(0, 1.02), title=measure.replace("_", " "))
        axes.set_yticks(places, names, fontsize=9)
        axes.grid(axis="x", alpha=0.3)
    figure.savefig(path)


def draw_numbers(points: pd.DataFrame, tenths: pd.DataFrame, r2: Estimate, path: Path) -> None:
    """Write predicted beside true numbers, and below them the errors by tenths of the truth, to `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 8.5), layout="constrained")
    axes, errors = figure.subplots(2, 1, height_ratios=(2, 1))
    shown = points.sample(min(len(points), SHOWN_POINTS), random_state=SEED)
    ends = [points["truth"].min(), points["truth"].max()]
    axes.plot(ends, ends, color="grey", linestyle="--", label="as it is in truth")
    axes.plot(shown["truth"], shown["predicted"], "o", markersize=3, alpha=0.4, label="test rows")
    axes.set(xlabel="truth", ylabel="predicted")
    axes.set_title(f"Frozen test set: R² {r2.value:.3f} ({r2.low:.3f} to {r2.high:.3f})")
    axes.legend(loc="upper left")
    places = range(len(tenths))
    middle = tenths["error"]
    bars = [(middle - tenths["low"]).clip(lower=0), (tenths["high"] - middle).clip(lower=0)]
    errors.axhline(0, color="grey", linestyle="--")
    errors.errorbar(places, middle, yerr=bars, fmt="o", capsize=3)
    errors.set_xticks(places, tenths["tenth"].astype(str), rotation=45, ha="right", fontsize=8)
    errors.set(xlabel="truth, a tenth of the test rows each", ylabel="predicted less truth")
    errors.set_title("Errors: their mean, and where nine of ten lie", fontsize=10)
    figure.savefig(path)


def draw_clusters(plane: pd.DataFrame, sizes: pd.DataFrame, silhouette: Estimate, path: Path) -> None:
    """Write the rows in two dimensions by cluster (`plane`: across, up, cluster), and the clusters' sizes, to
    `path`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5), layout="constrained")
    axes, bars = figure.subplots(1, 2, width_ratios=(2, 1))
    shown = plane.sample(min(len(plane), SHOWN_POINTS), random_state=SEED)
    for name in sizes["cluster"]:
        rows = shown[shown["cluster"] == name]
        axes.plot(rows["across"], rows["up"], "o", markersize=3, alpha=0.5, label=str(name))
    axes.set(xlabel="first principal component", ylabel="second principal component")
    found = f"{silhouette.value:.3f} ({silhouette.low:.3f} to {silhouette.high:.3f})"
    axes.set_title(f"Frozen test set: silhouette {found}")
    axes.legend(title="cluster", markerscale=2)
    bars.barh(sizes["cluster"], sizes["rows"], color=[f"C{place % 10}" for place in range(len(sizes))])
    bars.invert_yaxis()
    bars.set(xlabel="rows", ylabel="cluster", title="Sizes")
    figure.savefig(path)


def draw_neighbours(table: pd.DataFrame, path: Path) -> None:
    """Write precision and recall among the nearest 1, 2, … to `path`; `table` holds k, precision and recall."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(table["k"], table["precision"], "o-", label="relevant among the found")
    axes.plot(table["k"], table["recall"], "s--", label="found, of an exhaustive search's")
    axes.set(xlabel="neighbours", ylabel="share", ylim=(0, 1.02), title="Frozen test set: the nearest neighbours")
    axes.set_xticks(table["k"])
    axes.legend(loc="lower left")
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(path)
