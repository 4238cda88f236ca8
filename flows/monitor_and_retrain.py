"""`monitor-and-retrain`: do the predictions still look like those on the test set, and if not, is there newer data?

Owns the order: windows, verdict, report, retraining. What counts as drift is `flows.core.drift`, what counts as newer
data `flows.core.policy`; training and promotion are their own flows, run here as parts of this one.

    python -m flows.monitor_and_retrain --force-retrain
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext

from factory import use_cases
from factory.contracts import DatasetRef, MonitorResult
from factory.settings import Settings, read_settings
from flows.adapters.announcement import announce_failure, announce_result, announcement_of
from flows.adapters.publication import flow_run_url, publish, publish_skip
from flows.adapters.registry import Version
from flows.adapters.retries import NETWORK

if TYPE_CHECKING:
    import pandas as pd

    from flows.core.drift import Drift

WINDOW_DAYS = 7
LONG_WINDOW_DAYS = 30


@dataclass(frozen=True, slots=True)
class Windows:
    """One version's logged predictions of both windows, which end at `until`, and what they are compared with."""

    version: Version
    until: datetime
    days: pd.DataFrame
    long_days: pd.DataFrame
    reference: pd.DataFrame


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why there is nothing to compare, and how many predictions there were."""

    reason: str
    samples: int = 0


@dataclass(frozen=True, slots=True)
class Finding:
    """The drift of both windows."""

    drift: Drift
    long_drift: Drift
    samples: int
    long_samples: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What a retraining would take: the newest snapshot and the champion's own parameters."""

    dataset: DatasetRef | None
    newer: bool
    params: dict[str, Any]


@flow(
    name="monitor-and-retrain",
    on_completion=[announce_result(MonitorResult)],
    on_failure=[announce_failure],
    on_crashed=[announce_failure],
)
def monitor_and_retrain(
    inference_log_path: str | None = None,
    force_retrain: bool = False,
    use_case: str = "products",
    as_of: datetime | None = None,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Compare the last 7 days of predictions with the model's predictions on the frozen test set.

    The windows of 7 and 30 days end at `as_of`, else at the newest logged prediction. Above DRIFT_THRESHOLD a
    retraining runs where there is a newer snapshot than those trained on; `force_retrain` trains in any case. Skips
    with a reason below MIN_SAMPLES_FOR_DRIFT and without a champion. Gives `MonitorResult` as a dict.
    """
    settings = read_settings()
    threshold = settings.drift_threshold
    windows = read_windows(settings, use_case, inference_log_path or settings.inference_log_path, as_of)
    finding, report_url, alarm = None, None, False
    if isinstance(windows, Windows):
        finding = compare(windows)
        alarm = finding.drift.exceeds(threshold)
        report_url = log_report(settings, use_case, windows, finding, flow_run_url(settings.prefect_ui_url))
        reason = _explain(windows, finding, threshold)
    else:
        reason = windows.reason
    retrained = None
    if alarm or force_retrain:
        retrained, said = retrain(settings, use_case, force=force_retrain)
        reason = f"{reason}; {said}"
    get_run_logger().info(reason)
    context = FlowRunContext.get()
    result = MonitorResult(
        status="skipped" if finding is None else "drift" if alarm else "ok",
        reason=reason,
        drift_detected=alarm,
        drift_score=finding.drift.score if finding else None,
        threshold=threshold,
        retrained=retrained is not None,
        drift_metrics=_metrics(finding) if finding else {},
        retrain_result=retrained,
        notification=announcement_of(context.flow_run if context else None),
        use_case=use_case,
        samples=finding.samples if finding else windows.samples if isinstance(windows, Nothing) else 0,
        report_url=report_url,
    )
    return publish_skip(result, reason) if finding is None and retrained is None else publish(result)


@task(**NETWORK)
def read_windows(settings: Settings, use_case: str, log_path: str | None, as_of: datetime | None) -> Windows | Nothing:
    """The predictions to look at: of the version that made most of the last 7 days', else of the champion."""
    from factory.catalogue import open_catalogue
    from factory.inference_log import newest_timestamp, read_window
    from flows.adapters import registry, runs

    client = registry.connect(settings.mlflow_tracking_uri)
    model = use_cases.get(use_case).model_name
    champion = registry.find_version(client, model, registry.CHAMPION)
    if champion is None:
        return Nothing("there is no champion yet")
    engine = None if log_path else open_catalogue(settings.database_url)
    until = as_of or newest_timestamp(engine, use_case, log_path)
    if until is None:
        return Nothing("no prediction is logged yet")
    days, long_days = (
        read_window(engine, use_case, until, span, log_path).rows for span in (WINDOW_DAYS, LONG_WINDOW_DAYS)
    )
    number = _busiest_version(days) or champion.number
    days, long_days = _of_version(days, number), _of_version(long_days, number)
    if len(days) < settings.min_samples_for_drift:
        least = settings.min_samples_for_drift
        return Nothing(f"{len(days)} predictions in {WINDOW_DAYS} days, at least {least} are needed", len(days))
    version = champion if number == champion.number else registry.get_version(client, model, number)
    return Windows(version, until, days, long_days, runs.read_reference(client, version))


@task(cache_policy=NO_CACHE)
def compare(windows: Windows) -> Finding:
    """How both windows differ from the reference."""
    from flows.core import drift

    short = drift.compare(windows.reference, windows.days)
    same = len(windows.long_days) == len(windows.days)
    longer = short if same else drift.compare(windows.reference, windows.long_days)
    return Finding(short, longer, len(windows.days), len(windows.long_days))


@task(**NETWORK)
def log_report(
    settings: Settings, use_case: str, windows: Windows, finding: Finding, run_page: str | None
) -> str | None:
    """The look as an MLflow run with Evidently's report; gives the report's address."""
    from flows.adapters import drift_report, registry, runs

    client = registry.connect(settings.mlflow_tracking_uri)
    numbers = {f"psi_{name}": column.psi for name, column in finding.drift.columns.items()}
    numbers |= {"drift_score": finding.drift.score, "samples": float(finding.samples)}
    run_id = runs.log_monitoring(
        client,
        use_cases.get(use_case).experiment,
        watched=windows.version,
        metrics=numbers,
        tags={"use_case": use_case, "window_until": windows.until.isoformat(), "prefect.flow_run_url": run_page or ""},
        report=drift_report.draw_report(windows.reference, windows.days),
    )
    return runs.run_url(client, settings.mlflow_ui_url, run_id, runs.REPORT_FILE)


def retrain(settings: Settings, use_case: str, *, force: bool) -> tuple[dict[str, Any] | None, str]:
    """Train on the newest snapshot and decide its promotion, as parts of this run, where there is reason to.

    Gives the training's result with the `promotion` in it, None when nothing was trained, and a sentence on it.
    """
    from flows.pipeline_flow import training_pipeline
    from flows.promotion import promotion

    plan = plan_retraining(settings, use_case)
    if not (plan.newer or force):
        return None, "no newer snapshot"
    trained = training_pipeline(use_case=use_case, dataset=plan.dataset, auto_promote_threshold=None, **plan.params)
    version = trained["model_version"]
    decision = promotion(use_case=use_case, model_version=version)
    outcome = {"promoted": decision["promoted"], "reason": decision["reason"], "promotion": decision}
    verdict = "promoted" if decision["promoted"] else "not promoted"
    said = f"retrained on week {trained['week_number']}: version {version} {verdict}, {decision['reason']}"
    return {**trained, **outcome}, said


@task(**NETWORK)
def plan_retraining(settings: Settings, use_case: str) -> Plan:
    """The newest snapshot, whether no version was trained on it or on a newer one, and the champion's parameters."""
    from factory.cutting import newest_week
    from flows.adapters import registry, runs
    from flows.core.policy import Snapshot, is_newer

    client = registry.connect(settings.mlflow_tracking_uri)
    model = use_cases.get(use_case).model_name
    newest = newest_week(settings, use_case)
    known = registry.trained_snapshots(client, model)
    newer = newest is not None and is_newer(Snapshot(newest.week, newest.revision), known)
    champion = registry.find_version(client, model, registry.CHAMPION)
    params = runs.read_params(client, champion.run_id) if champion else {}
    kept = {name: kind(params[name]) for name, kind in (("max_features", int), ("C", float)) if name in params}
    return Plan(newest, newer, kept)


def _busiest_version(predictions: pd.DataFrame) -> str | None:
    if "model_version" not in predictions.columns:
        return None
    versions = predictions["model_version"].dropna().astype(str)
    versions = versions[versions != ""]
    return str(versions.mode().iloc[-1]) if len(versions) else None


def _of_version(predictions: pd.DataFrame, number: str) -> pd.DataFrame:
    if "model_version" not in predictions.columns:
        return predictions
    versions = predictions["model_version"].astype(str)
    return predictions[(versions == number) | predictions["model_version"].isna() | (versions == "")]


def _explain(windows: Windows, finding: Finding, threshold: float) -> str:
    drifted = finding.drift.drifted()
    columns = f" ({', '.join(drifted)})" if drifted else ""
    relation = "above" if finding.drift.exceeds(threshold) else "not above"
    return (
        f"drift score {finding.drift.score:.2f}{columns} is {relation} {threshold:.2f} "
        f"over {finding.samples} predictions of version {windows.version.number}"
    )


def _metrics(finding: Finding) -> dict[str, Any]:
    columns = {
        name: {"psi": round(column.psi, 4), "p_value": round(column.p_value, 4), "drifted": column.drifted}
        for name, column in finding.drift.columns.items()
    }
    longer = {"drift_score": finding.long_drift.score, "samples": finding.long_samples}
    return {**columns, f"last_{LONG_WINDOW_DAYS}_days": longer}


if __name__ == "__main__":
    from flows.command_line import run

    run(monitor_and_retrain)
