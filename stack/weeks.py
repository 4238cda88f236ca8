"""Which periods (mostly weeks) a demo runs, and what it says of each.

Pure: records in, decisions and lines out. The numbers come from the results that the weekly DAG's tasks handed back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from bridge.plain_text import as_line
from factory.contracts import DatasetRef, ModelsResult, MonitorResult, PromotionResult
from factory.use_cases.metrics import headlines
from factory.use_cases.use_case import UseCase
from stack.airflow_api import DagRun
from stack.identity import Identity

OF_A_MODEL = ("promote", "monitor")
"""The tasks whose results a model's line is made of, beside the cut."""
TASKS = (
    "prefect_ready",
    "collect",
    "cut_week",
    "cut",
    "check_week",
    "check",
    "score",
    "train",
    "promote",
    "monitor",
    "outcome",
)
RUN_AT = timedelta(hours=7, minutes=5)


@dataclass(frozen=True, slots=True)
class WeekReport:
    """One line of the final table; metrics by title, on the frozen test set.

    `model` is named where the use case has several.
    """

    period: str
    rows: int
    classes: int
    challenger: str
    challenger_metrics: dict[str, str]
    champion: str | None
    champion_metrics: dict[str, str]
    promoted: bool
    reason: str
    drift: str
    model: str = ""


def run_moment(identity: Identity, use_case: UseCase, number: int) -> datetime:
    """The logical date of the period's run, 07:05 UTC of the day when it is due: of a week its Monday."""
    return use_case.clock.since(datetime.fromisoformat(identity.week_epoch)).as_of(number) + RUN_AT


def weeks_to_run(identity: Identity, use_case: UseCase, runs: Iterable[DagRun], count: int, now: datetime) -> list[int]:
    """The first `count` periods from the first without a successful run on, as far as they are due."""
    succeeded = {run.logical_date for run in runs if run.state == "success"}
    first = use_case.clock.parse(use_case.demo_begins or 1)
    while run_moment(identity, use_case, first) in succeeded:
        first += 1
    wanted = range(first, first + count)
    return [number for number in wanted if run_moment(identity, use_case, number) <= now]


def report_period(use_case: UseCase, result: Callable[..., Mapping[str, Any] | None]) -> list[WeekReport]:
    """The lines of a period, one a model; `result` gives what a task, or that member of a mapped one, handed back.

    Raises pydantic.ValidationError when a result is not what was agreed.
    """
    dataset = result(use_case.tasks.cut)
    if len(use_case.models) == 1:
        return [report_week(use_case, {use_case.tasks.cut: dataset, **{task: result(task) for task in OF_A_MODEL}})]
    failed = ModelsResult.model_validate(result("outcome")).failed
    return [
        _not_judged(use_case, dataset, model.name, failed[model.name])
        if model.name in failed
        else replace(
            report_week(use_case, {use_case.tasks.cut: dataset, **{task: result(task, index) for task in OF_A_MODEL}}),
            model=model.name,
        )
        for index, model in enumerate(use_case.models)
    ]


def _not_judged(use_case: UseCase, document: Any, model: str, why: str) -> WeekReport:
    dataset = DatasetRef.model_validate(document)
    return WeekReport(
        period=use_case.clock.written(dataset.week),
        rows=dataset.rows,
        classes=dataset.classes,
        challenger="none",
        challenger_metrics={},
        champion=None,
        champion_metrics={},
        promoted=False,
        reason=f"failed in {why}",
        drift="not measured",
        model=model,
    )


def report_week(use_case: UseCase, results: Mapping[str, Mapping[str, Any] | None]) -> WeekReport:
    """The line of a period and a model from its tasks' results; raises as report_period does."""
    dataset = DatasetRef.model_validate(results[use_case.tasks.cut])
    promotion = PromotionResult.model_validate(results["promote"])
    before = promotion.previous_champion_metrics
    return WeekReport(
        period=use_case.clock.written(dataset.week),
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


def reports_table(use_case: UseCase, reports: Iterable[WeekReport]) -> Table:
    """A line a period and model: challenger beside the champion that it met, verdict, and drift.

    Several models are measured by different metrics: each line names the one that decides.
    """
    reports, several = list(reports), len(use_case.models) > 1
    measured = "each model" if several else " / ".join(reports[0].challenger_metrics) if reports else "metrics"
    table = Table(box=box.SIMPLE_HEAD, title=f"{use_case.title}: {measured} on the same test set", title_justify="left")
    table.add_column(use_case.clock.noun, justify="right", no_wrap=True)
    table.add_column("rows", justify="right", no_wrap=True)
    if several:
        table.add_column("model", no_wrap=True)
        table.add_column("decides", overflow="fold", min_width=10)
    else:
        table.add_column("classes", justify="right", no_wrap=True)
    for heading in ("challenger", "champion until then"):
        table.add_column(heading, no_wrap=True)
    table.add_column("promoted", overflow="fold", min_width=20)
    table.add_column("drift", overflow="fold", min_width=12)
    for each in reports:
        told = _of_a_model(each) if several else _of_the_model(each)
        verdict = ("yes: " if each.promoted else "no: ") + each.reason
        table.add_row(each.period, f"{each.rows:,}", *told, Text(as_line(verdict)), Text(as_line(each.drift)))
    return table


def _of_the_model(report: WeekReport) -> tuple[str, ...]:
    champion = f"{report.champion}  {_numbers(report.champion_metrics)}" if report.champion else "none"
    return str(report.classes), f"{report.challenger}  {_numbers(report.challenger_metrics)}", champion


def _of_a_model(report: WeekReport) -> tuple[str, ...]:
    """The model, the metric that decides, and both versions with it alone."""
    decides = next(iter(report.challenger_metrics), "")
    mine, theirs = (metrics.get(decides, "") for metrics in (report.challenger_metrics, report.champion_metrics))
    champion = f"{report.champion}  {theirs}" if report.champion else "none"
    return report.model, decides, f"{report.challenger}  {mine}".rstrip(), champion


def _numbers(metrics: Mapping[str, str]) -> str:
    """The values in one cell."""
    return " / ".join(metrics.values())


def _shown(metrics: Mapping[str, float]) -> dict[str, str]:
    return {metric.title: metric.show(metrics[metric.name]) for metric in headlines(metrics)}


def _drift(document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "not measured"
    monitor = MonitorResult.model_validate(document)
    if monitor.drift_score is None:
        return f"skipped: {monitor.reason}"
    verdict = f"{'yes' if monitor.drift_detected else 'no'}, {monitor.level}"
    urgency = f", {monitor.alert}" if monitor.alert else ""
    return f"{verdict}{urgency}, {monitor.drift_score:.2f} of {monitor.samples:,} samples"
