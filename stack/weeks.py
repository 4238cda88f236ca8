"""Which weeks a demo runs, and what it says of each.

Pure: records in, decisions and lines out. The numbers come from the results that the weekly DAG's tasks handed back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bridge.plain_text import as_line
from factory.contracts import DatasetRef, MonitorResult, PromotionResult
from stack.airflow_api import DagRun
from stack.identity import Identity

DAG_ID = "weekly_ml_pipeline"
TASKS = ("prefect_ready", "cut_week", "check_week", "score", "train", "promote", "monitor")
RESULTS = ("cut_week", "promote", "monitor")


@dataclass(frozen=True, slots=True)
class WeekReport:
    """One line of the final table; F1 as (weighted, macro) on the frozen test set."""

    week: int
    rows: int
    classes: int
    challenger: str
    challenger_f1: tuple[float, float]
    champion: str | None
    champion_f1: tuple[float, float] | None
    promoted: bool
    reason: str
    drift: str


def weeks_to_run(identity: Identity, runs: Iterable[DagRun], count: int, now: datetime) -> list[int]:
    """The first `count` weeks from the first without a successful run on, as far as their Mondays have passed."""
    succeeded = {run.logical_date for run in runs if run.state == "success"}
    first = 1
    while identity.week_moment(first) in succeeded:
        first += 1
    wanted = range(first, first + count)
    return [week for week in wanted if identity.week_moment(week) <= now]


def report_week(results: Mapping[str, Mapping[str, Any] | None]) -> WeekReport:
    """The line of a week from its tasks' results; raises pydantic.ValidationError when one is not what was agreed."""
    dataset = DatasetRef.model_validate(results["cut_week"])
    promotion = PromotionResult.model_validate(results["promote"])
    before = promotion.previous_champion_metrics
    return WeekReport(
        week=dataset.week,
        rows=dataset.rows,
        classes=dataset.classes,
        challenger=f"v{promotion.challenger_version}",
        challenger_f1=_f1(promotion.challenger_metrics),
        champion=f"v{promotion.previous_champion_version}" if before else None,
        champion_f1=_f1(before) if before else None,
        promoted=promotion.promoted,
        reason=promotion.reason,
        drift=_drift(results.get("monitor")),
    )


def reports_table(reports: Iterable[WeekReport]) -> Table:
    """A table a week: challenger beside the champion that it met, the verdict, and drift."""
    table = Table(box=box.SIMPLE_HEAD, title="Weighted and macro F1 on the same frozen test set", title_justify="left")
    for heading in ("week", "rows", "classes"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("challenger", "champion until then"):
        table.add_column(heading, no_wrap=True)
    table.add_column("promoted", overflow="fold", min_width=20)
    table.add_column("drift", overflow="fold", min_width=12)
    for each in reports:
        verdict = ("yes: " if each.promoted else "no: ") + each.reason
        table.add_row(
            str(each.week),
            f"{each.rows:,}",
            str(each.classes),
            f"{each.challenger}  {_pair(each.challenger_f1)}",
            f"{each.champion}  {_pair(each.champion_f1)}" if each.champion_f1 else "none",
            Text(as_line(verdict)),
            Text(as_line(each.drift)),
        )
    return table


def _f1(metrics: Mapping[str, float]) -> tuple[float, float]:
    return metrics["f1_weighted"], metrics["f1_macro"]


def _pair(f1: tuple[float, float]) -> str:
    return f"{f1[0]:.4f} / {f1[1]:.4f}"


def _drift(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "not measured"
    monitor = MonitorResult.model_validate(document)
    if monitor.drift_score is None:
        return f"skipped: {monitor.reason}"
    verdict = f"{'yes' if monitor.drift_detected else 'no'}, {monitor.level}"
    return f"{verdict}, {monitor.drift_score:.2f} of {monitor.samples:,} samples"
