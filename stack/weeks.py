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
from factory.use_cases.metrics import headlines
from stack.airflow_api import DagRun
from stack.identity import Identity

TASKS = ("prefect_ready", "cut_week", "check_week", "score", "train", "promote", "monitor")
RESULTS = ("cut_week", "promote", "monitor")


@dataclass(frozen=True, slots=True)
class WeekReport:
    """One line of the final table; metrics by title, on the frozen test set."""

    week: int
    rows: int
    classes: int
    challenger: str
    challenger_metrics: dict[str, str]
    champion: str | None
    champion_metrics: dict[str, str]
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
        challenger_metrics=_shown(promotion.challenger_metrics),
        champion=f"v{promotion.previous_champion_version}" if before else None,
        champion_metrics=_shown(before or {}),
        promoted=promotion.promoted,
        reason=promotion.reason,
        drift=_drift(results.get("monitor")),
    )


def reports_table(title: str, reports: Iterable[WeekReport]) -> Table:
    """A line a week of the use case of that title: challenger beside the champion that it met, verdict, and drift."""
    reports = list(reports)
    measured = " / ".join(reports[0].challenger_metrics) if reports else "Metrics"
    said = f"{title}: {measured} on the same frozen test set"
    table = Table(box=box.SIMPLE_HEAD, title=said, title_justify="left")
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
            f"{each.challenger}  {' / '.join(each.challenger_metrics.values())}",
            f"{each.champion}  {' / '.join(each.champion_metrics.values())}" if each.champion else "none",
            Text(as_line(verdict)),
            Text(as_line(each.drift)),
        )
    return table


def _shown(metrics: Mapping[str, float]) -> dict[str, str]:
    return {metric.title: metric.show(metrics[metric.name]) for metric in headlines(metrics)}


def _drift(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "not measured"
    monitor = MonitorResult.model_validate(document)
    if monitor.drift_score is None:
        return f"skipped: {monitor.reason}"
    verdict = f"{'yes' if monitor.drift_detected else 'no'}, {monitor.level}"
    return f"{verdict}, {monitor.drift_score:.2f} of {monitor.samples:,} samples"
