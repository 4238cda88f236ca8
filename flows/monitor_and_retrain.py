"""`monitor-and-retrain`: do the predictions still look like those on the test set, and if not, is there newer data?

Owns the order: windows, verdict, history, report, retraining. What counts as drift is `flows.core.drift_check`, which
predictions are compared `flows.adapters.windows`, what an alarm sets off `flows.retraining`.

    python -m flows.monitor_and_retrain --force-retrain
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from factory import use_cases
from factory.catalogue.database import open_catalogue
from factory.catalogue.schema import drift_looks
from factory.contracts import LiveQuality, MonitorResult, MonthName, Period
from factory.lineage.data import of_address, of_table, of_version
from factory.lineage.tables import predictions_of
from factory.records.predictions import MOST_ROWS
from factory.settings import Settings, read_settings
from factory.use_cases.clock import aware
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared
from flows.adapters.announcement import announce_failure, announce_result, announcement_of
from flows.adapters.drift_entries import describe, explain, tell_trends, with_trends
from flows.adapters.lineage import reads, tell_lineage, writes
from flows.adapters.publication import flow_run_url, publish, publish_skip
from flows.adapters.retries import NETWORK
from flows.adapters.windows import Nothing, Windows
from flows.retraining import Outcome, retrain

if TYPE_CHECKING:
    from factory.records.drift_checks import DriftCheck
    from flows.adapters.drift_report import Report
    from flows.core.drift_check import Finding


@dataclass(frozen=True, slots=True)
class Links:
    """Where a person looks at the report and at the weeks' chart; None when no web interface is known."""

    report: str | None
    chart: str | None


@flow(
    name="monitor-and-retrain",
    on_running=[tell_lineage],
    on_completion=[tell_lineage, announce_result(MonitorResult)],
    on_failure=[tell_lineage, announce_failure],
    on_crashed=[tell_lineage, announce_failure],
    on_cancellation=[tell_lineage],
)
def monitor_and_retrain(
    inference_log_path: str | None = None,
    force_retrain: bool = False,
    use_case: str = "products",
    as_of: datetime | None = None,
    model: str | None = None,
    current_month: MonthName | None = None,
    reference_period: Period | None = None,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Compare the last predictions with the model's on the test set, and with those of the window before.

    How far the windows reach is the use case's `drift`, in periods of its clock: products' are of 7 and 23 days.

    An alarm (more than DRIFT_THRESHOLD of the columns drifted, or one critically) retrains where there is a newer
    snapshot than those trained on, once a drift episode. Skips with a reason below MIN_SAMPLES_FOR_DRIFT and without a
    champion. Gives `MonitorResult` as a dict; raises RetrainingFailed, and AddressRefused before anything is read.

    Args:
        inference_log_path: A file of predictions below DATA_ROOTS, to read in the place of the catalogue's log.
        force_retrain: Train whether there is drift or not.
        use_case: Whose predictions and models.
        as_of: Where the windows end; at the newest logged prediction when it is not given.
        model: Which of the use case's models; may be left out where it has one.
        current_month: The month at whose end the windows end, of a use case that counts months: 2017-06.
        reference_period: The period whose rows are compared with, in place of the test set: 2017-06.
    """
    settings = read_settings()
    declared = use_cases.choose_model(use_case, model)
    if current_month is not None:
        as_of = end_of_month(use_case, current_month, as_of)
    log_path = inference_log_path or settings.inference_log_path
    windows = read_windows(settings, declared, log_path, as_of)
    if isinstance(windows, Nothing):
        return _without_a_look(settings, declared, windows, force=force_retrain)
    if reference_period is not None:
        windows = compare_with(settings, declared, windows, reference_period)
    log = of_address(log_path) if log_path else of_table(settings.database_url, predictions_of(use_case))
    reads(log, *of_version(settings.mlflow_tracking_uri, windows.version.model, windows.version.number))
    least = declared.use_case.drift.min_samples or settings.min_samples_for_drift
    finding = compare(declared, windows, least)
    finding = look_back(settings, declared, windows, finding)
    live = measure_live(declared, windows, least)
    report = draw_report(use_case, windows, finding)
    check = describe(declared.name, windows, finding, report, live, settings.drift_threshold)
    reason = explain(check, finding, settings.drift_threshold)
    checks = record(settings, check)
    writes(of_table(settings.database_url, drift_looks, rows=1))
    links = log_drift_check(settings, windows, checks, report, flow_run_url(settings.prefect_ui_url))
    get_run_logger().info(reason)
    outcome = None
    if check.alarm or force_retrain:
        until = windows.until if check.alarm else None
        outcome = retrain(settings, declared, until=until, cause=reason, force=force_retrain)
        get_run_logger().info(outcome.said)
    result = _result(settings, declared, windows, checks, reason, outcome, links)
    return publish(result.model_copy(update={"alert": finding.alert.value, "reference_period": reference_period}))


def end_of_month(use_case: str, month: str, as_of: datetime | None) -> datetime:
    """Where the windows of that month end; raises ValueError where another moment is named besides, or no month."""
    clock = use_cases.clock_of(use_case)
    end = clock.end(clock.parse(month))
    if as_of is not None and aware(as_of) != end:
        raise ValueError(f"current_month={month} and as_of={as_of:%Y-%m-%d %H:%M} differ: give one of them")
    return end


@task(**NETWORK)
def read_windows(
    settings: Settings, declared: Declared, log_path: str | None, as_of: datetime | None
) -> Windows | Nothing:
    """The predictions to look at, and what they are compared with."""
    from flows.adapters import registry, windows

    client = registry.connect(settings.mlflow_tracking_uri)
    engine = open_catalogue(settings.database_url)
    return windows.read_windows(settings, declared, client, engine, log_path, as_of)


@task(**NETWORK)
def compare_with(settings: Settings, declared: Declared, windows: Windows, reference_period: str) -> Windows:
    """The windows beside rows of that period, which the watched version answers anew."""
    from flows.adapters import reference, registry

    client, number = registry.connect(settings.mlflow_tracking_uri), declared.use_case.clock.parse(reference_period)
    drawn = reference.draw_reference(settings, declared, client, windows.version, number, MOST_ROWS)
    return replace(windows, reference=drawn.rows)


@task(cache_policy=NO_CACHE)
def compare(declared: Declared, windows: Windows, min_samples: int) -> Finding:
    """How the last predictions differ from the reference and from those before."""
    from flows.core import drift, drift_check

    before, mine = windows.before.rows, windows.before_of_version()
    source, sides = declared.source, (windows.reference, windows.current.rows)
    if not isinstance(source, Entities):
        return drift_check.check_drift(*sides, before, mine, min_samples=min_samples)
    watched = tuple(name for name in source.drift_columns if any(side[name].notna().any() for side in sides))
    answers = drift.MODEL_COLUMNS if declared.model.task.few_answers else (drift.SCORE,)
    return drift_check.check_drift(
        *sides, before, mine, min_samples=min_samples, data_columns=watched, model_columns=answers
    )


@task(**NETWORK)
def look_back(settings: Settings, declared: Declared, windows: Windows, finding: Finding) -> Finding:
    """The finding with what moved slowly over the periods' checks."""
    from factory.records.drift_checks import read_periods_before
    from flows.core.trend import MOST_WEEKS

    engine = open_catalogue(settings.database_url)
    return with_trends(finding, windows, read_periods_before(engine, declared.name, windows.until, MOST_WEEKS - 1))


@task(cache_policy=NO_CACHE)
def measure_live(declared: Declared, windows: Windows, min_samples: int) -> LiveQuality | None:
    """The metric that decides where truths have arrived, beside the promised one; None below `min_samples` of them."""
    from flows.core.logic import logic_of

    rows, promised, metric = windows.labelled.rows, windows.promised, declared.model.metric.name
    if len(rows) < min_samples or metric not in promised:
        return None
    found = logic_of(declared).estimate(rows).get(metric)
    if found is None:
        return None
    return LiveQuality(
        metric=metric,
        value=found.value,
        low=found.low,
        high=found.high,
        labelled=windows.labelled.total,
        promised=promised[metric],
        promised_low=promised.get(f"{metric}_low"),
        promised_high=promised.get(f"{metric}_high"),
    )


@task(cache_policy=NO_CACHE)
def draw_report(use_case: str, windows: Windows, finding: Finding) -> Report:
    """Evidently's page and tests."""
    from flows.adapters import drift_report

    drifted = ", ".join(finding.drifted()) or "no column"
    columns = finding.against_reference.columns
    rates = ", ".join(f"{name} {column.false_alarm_rate:.0%}" for name, column in columns.items())
    missing = [
        f"{name} {column.missing:.1%} (reference {column.reference_missing:.1%})"
        for name, column in columns.items()
        if column.missing or column.reference_missing
    ]
    findings = [
        f"Drift: {finding.level}; drifted: {drifted}; slices: {', '.join(finding.slices.drifted()) or 'none'}.",
        *([f"Slowly: {'; '.join(trends)}."] if (trends := tell_trends(use_case, finding)) else []),
        f"The reference against itself at alert by PSI alone: {rates}.",
        *([f"Missing: {', '.join(missing)}."] if missing else []),
    ]
    current = windows.current
    return drift_report.draw_report(
        windows.reference, current.rows, total=current.total, findings=" ".join(findings), columns=list(columns)
    )


@task(**NETWORK)
def record(settings: Settings, check: DriftCheck) -> list[DriftCheck]:
    """Write the check into the history; gives the history up to it, the oldest first."""
    from factory.records import drift_checks

    engine = open_catalogue(settings.database_url)
    drift_checks.record_drift_check(engine, check)
    return drift_checks.read_drift_checks(engine, check.model, until=check.until)


@task(**NETWORK)
def log_drift_check(
    settings: Settings, windows: Windows, checks: list[DriftCheck], report: Report, run_page: str | None
) -> Links:
    """The check as an MLflow run with Evidently's report and the weeks' chart."""
    from factory.records.drift_checks import by_period
    from flows.adapters import drift_chart, registry, runs

    check, client = checks[-1], registry.connect(settings.mlflow_tracking_uri)
    numbers = {f"psi_{name}": column.psi for name, column in check.columns.items()}
    numbers |= {f"trend_psi_{name}": trend.psi for name, trend in check.trends.items()}
    if check.slices:
        numbers["psi_of_the_farthest_slice"] = max(slice_.psi for slice_ in check.slices.values())
    numbers |= {"drift_score": check.drift_score, "samples": float(check.samples)}
    if check.live:
        live = check.live
        numbers |= {f"live_{live.metric}": live.value, f"promised_{live.metric}": live.promised}
    tags = {
        "use_case": use_cases.get_model(check.model).use_case.name,
        "window_until": check.until.isoformat(),
        "drift_level": check.level,
    }
    run_id = runs.log_monitoring(
        client,
        check.model,
        watched=windows.version,
        metrics=numbers,
        tags={**tags, "prefect.flow_run_url": run_page or ""},
        report=report.page,
        chart=drift_chart.draw_weeks(by_period(checks)),
    )
    page = settings.mlflow_ui_url
    return Links(*(runs.run_url(client, page, run_id, name) for name in (runs.REPORT_FILE, runs.CHART_FILE)))


def _result(
    settings: Settings,
    declared: Declared,
    windows: Windows,
    checks: list[DriftCheck],
    reason: str,
    outcome: Outcome | None,
    links: Links,
) -> MonitorResult:
    from factory.records.drift_checks import episode_start
    from flows.core.drift_check import sampling_error

    check, current = checks[-1], windows.current
    return MonitorResult(
        status="drift" if check.alarm else "ok",
        reason=f"{reason}; {outcome.said}" if outcome else reason,
        drift_detected=check.alarm,
        drift_score=check.drift_score,
        threshold=settings.drift_threshold,
        retrained=outcome is not None and outcome.trained is not None,
        drift_metrics=check.columns,
        retrain_result=_retrain_result(outcome),
        notification=_notification(),
        use_case=declared.use_case.name,
        model=declared.name,
        samples=current.total,
        level=check.level,
        model_version=check.model_version,
        sampled=len(current.rows),
        sampling_error=round(sampling_error(len(current.rows), current.total), 5),
        recent_samples=windows.before.total,
        live=check.live,
        slices=check.slices,
        trends=check.trends,
        retraining=outcome.said if outcome else None,
        episode_since=episode_start(checks),
        report_url=links.report,
        chart_url=links.chart,
    )


def _without_a_look(
    settings: Settings, declared: Declared, nothing: Nothing, *, force: bool
) -> dict[str, Any] | State[dict[str, Any]]:
    """A run without enough to compare: skipped, unless training was asked for in any case."""
    outcome = retrain(settings, declared, until=None, cause=nothing.reason, force=True) if force else None
    reason = f"{nothing.reason}; {outcome.said}" if outcome else nothing.reason
    get_run_logger().info(reason)
    result = MonitorResult(
        status="skipped",
        reason=reason,
        drift_detected=False,
        drift_score=None,
        threshold=settings.drift_threshold,
        retrained=outcome is not None,
        drift_metrics={},
        retrain_result=_retrain_result(outcome),
        notification=_notification(),
        use_case=declared.use_case.name,
        model=declared.name,
        samples=nothing.samples,
        retraining=outcome.said if outcome else None,
    )
    return publish(result) if outcome else publish_skip(result, reason)


def _retrain_result(outcome: Outcome | None) -> dict[str, Any] | None:
    if outcome is None or outcome.trained is None or outcome.decision is None:
        return None
    decided = outcome.decision.model_dump(mode="json")
    verdict = {"promoted": outcome.decision.promoted, "reason": outcome.decision.reason, "promotion": decided}
    return {**outcome.trained.model_dump(mode="json"), **verdict}


def _notification() -> str:
    context = FlowRunContext.get()
    return announcement_of(context.flow_run if context else None)


if __name__ == "__main__":
    from flows.command_line import run

    run(monitor_and_retrain)
