"""The weeks' drift as a picture: PSI by week between the levels, what moves slowly, and live F1 beside the promised.

Owns its checks. Draws without a display; must not know MLflow or where the checks are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from factory import use_cases
from factory.contracts import ColumnDrift
from factory.records.drift_checks import DriftCheck
from flows.core.drift import LEVELS, Level

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEAST_PSI = 0.005
"""What is below is drawn there: the axis is logarithmic, for drift spans three powers of ten."""
FARTHEST = "farthest slice"
SHADES = {Level.WARNING: "#fff3cd", Level.ALERT: "#ffe0b2", Level.CRITICAL: "#ffcdd2"}


def draw_weeks(checks: Sequence[DriftCheck]) -> Figure:
    """The checks from left to right, one a week; at least one.

    Dots are filled where a permutation test agrees with the level; alarms are marked on the axis. The slice that went
    farthest is a line beside the columns, and what moves slowly by the last check has a panel of its shares.
    """
    from matplotlib.figure import Figure

    live = any(check.live for check in checks)
    moving = {name: trend.value for name, trend in checks[-1].trends.items() if trend.level != "stable"}
    below = bool(moving) + live
    figure = Figure(figsize=(10, 4.8 + 2.2 * below), layout="constrained")
    panels = figure.subplots(1 + below, 1, sharex=True, squeeze=False, height_ratios=[3] + [2] * below)
    _draw_drift(panels[0, 0], checks)
    if moving:
        _draw_shares(panels[1, 0], checks, moving)
    if live:
        _draw_live(panels[-1, 0], checks)
    last = panels[-1, 0]
    last.set_xticks(range(len(checks)), [f"{check.until:%d %b %Y}" for check in checks], rotation=45, ha="right")
    if len(checks) > 16:
        step = -(-len(checks) // 16)
        for number, tick in enumerate(last.get_xticklabels()):
            tick.set_visible(number % step == (len(checks) - 1) % step)
    declared = use_cases.get_model(checks[0].model).use_case
    last.set_xlabel(f"{declared.clock.lasting(declared.drift.current_periods)} ending on")
    return figure


def _draw_drift(axes: Axes, checks: Sequence[DriftCheck]) -> None:
    lines = [check.columns | _farthest_slice(check) for check in checks]
    names = list(dict.fromkeys(name for columns in lines for name in columns))
    highest = max([1.0, *(2 * column.psi for columns in lines for column in columns.values())])
    bounds = [*LEVELS.values(), highest]
    for (level, least), upper in zip(LEVELS.items(), bounds[1:], strict=True):
        axes.axhspan(least, upper, color=SHADES[level], zorder=0)
        axes.text(1.005, least, level.value, transform=axes.get_yaxis_transform(), fontsize=8, va="bottom")
    for name in names:
        values = [columns[name].psi if name in columns else None for columns in lines]
        heights = [float("nan") if value is None else max(value, LEAST_PSI) for value in values]
        (line,) = axes.plot(
            range(len(checks)),
            heights,
            marker="o",
            markersize=4,
            markerfacecolor="white",
            label=_labelled(name, checks),
        )
        real = [place for place, columns in enumerate(lines) if name in columns and columns[name].level != "stable"]
        axes.plot(real, [heights[place] for place in real], "o", markersize=4, color=line.get_color())
    alarms = [place for place, check in enumerate(checks) if check.alarm]
    axes.plot(alarms, [LEAST_PSI] * len(alarms), "rv", markersize=9, clip_on=False, label="alarm" if alarms else None)
    model = checks[0].model
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(LEAST_PSI, highest)
    axes.set(
        ylabel="PSI against the reference",
        title=f"{model}: drift by {use_cases.clock_of(model).noun} (filled dots: significant)",
    )
    axes.legend(loc="upper left", fontsize=8, ncols=len(names) + 1)


def _farthest_slice(check: DriftCheck) -> dict[str, ColumnDrift]:
    """The slice with the largest PSI, of those that stand at a level where there are any."""
    found = [slice_ for slice_ in check.slices.values() if slice_.level != "stable"] or list(check.slices.values())
    return {FARTHEST: max(found, key=lambda slice_: slice_.psi)} if found else {}


def _draw_shares(axes: Axes, checks: Sequence[DriftCheck], moving: Mapping[str, str]) -> None:
    for kind, value in moving.items():
        known = [
            (place, check.shares[kind].get(value, 0.0)) for place, check in enumerate(checks) if kind in check.shares
        ]
        axes.plot(*zip(*known, strict=True), "o-", markersize=3, label=f"{kind} {value or 'missing'}")
    axes.set(ylabel="share of the predictions", ylim=(0, None))
    axes.legend(loc="upper left", fontsize=8)


def _labelled(name: str, checks: Sequence[DriftCheck]) -> str:
    """The column, and how often the last check's reference stood at alert against itself by PSI alone."""
    last = checks[-1].columns.get(name)
    return name if last is None or last.false_alarm_rate is None else f"{name} ({last.false_alarm_rate:.0%} by itself)"


def _draw_live(axes: Axes, checks: Sequence[DriftCheck]) -> None:
    known = [(place, check.live) for place, check in enumerate(checks) if check.live]
    places = [place for place, _ in known]
    values = [live.value for _, live in known]
    below = [live.value - live.low for _, live in known]
    above = [live.high - live.value for _, live in known]
    axes.errorbar(
        places, values, yerr=[below, above], fmt="o-", markersize=3, capsize=3, label="live, with 95 % interval"
    )
    axes.plot(places, [live.promised for _, live in known], "--", color="grey", label="promised by the frozen test set")
    axes.set(ylabel="weighted F1")
    axes.legend(loc="lower left", fontsize=8)
