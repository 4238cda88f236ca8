"""The overview: each model in a row, and on top what needs attention. Pure: facts in, view models out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from urllib.parse import quote, urlencode

from bridge.prefect_api.records import Worker
from factory.records.decisions import Decision
from factory.records.drift_checks import DriftCheck
from factory.records.ledger import Entry
from factory.use_cases import clock_of
from factory.use_cases.metrics import declared
from factory.use_cases.use_case import Declared
from plugins.control_page.airflow_reader import LastDagRun
from plugins.control_page.factory_reader import ModelFacts
from plugins.control_page.run_views import RunView, Tone, ago
from plugins.control_page.stuck import StuckRuns

SPARK_WIDTH, SPARK_HEIGHT = 120, 28
PARTIAL_SUCCESS = "partial success"
_AIRFLOW_TONES: dict[str, Tone] = {
    "success": "good",
    PARTIAL_SUCCESS: "warn",
    "failed": "bad",
    "running": "busy",
    "queued": "waiting",
}


@dataclass(frozen=True, slots=True)
class ModelView:
    """A version with the metric that decides, on the frozen test set and, where it was measured, the 95 % interval."""

    version: str
    metric: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class DriftView:
    """The last check's level, and the drift scores of the weeks as points of a line 120 wide and 28 high."""

    level: str
    tone: Tone
    score: float
    looked_at: datetime
    points: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One model; what is not known is None."""

    name: str
    use_case: str
    title: str
    simulated: str
    week: Entry | None
    airflow: LastDagRun | None
    airflow_state: str
    airflow_tone: Tone
    prefect: RunView | None
    champion: ModelView | None
    challenger: ModelView | None
    drift: DriftView | None
    next_due: datetime | None


@dataclass(frozen=True, slots=True)
class Attention:
    """Something that a person should look at; `path` is a page of ours, `airflow_path` one of Airflow's.

    `words` stay as they are while it lasts, and are announced once; `why` may change with every check.
    """

    tone: Tone
    words: str
    path: str | None = None
    airflow_path: str | None = None
    why: str = ""
    since: datetime | None = None


def model_row(
    declared: Declared,
    facts: ModelFacts,
    dag_runs: Sequence[LastDagRun],
    runs: Sequence[RunView],
    planned: Sequence[datetime],
) -> ModelRow:
    """The row; `runs` are newest first, `planned` are Prefect's next starts."""
    newest = max(dag_runs, key=lambda each: (each.began is not None, each.began), default=None)
    due = [*planned, *(each.next_due for each in dag_runs if each.next_due)]
    return ModelRow(
        name=declared.name,
        use_case=declared.use_case.name,
        title=declared.title,
        simulated=facts.simulated,
        week=next((each for each in reversed(facts.weeks) if each.total_rows is not None), None),
        airflow=newest if newest and newest.run_id else None,
        airflow_state=_state_of(newest),
        airflow_tone=_AIRFLOW_TONES.get(_state_of(newest), "muted"),
        prefect=runs[0] if runs else None,
        champion=champion_of(facts.decisions),
        challenger=challenger_of(facts.decisions),
        drift=drift_view(facts.checks),
        next_due=min(due, default=None),
    )


def _state_of(run: LastDagRun | None) -> str:
    """How the run stands; one that some of its models failed in is a success for the others alone."""
    if run is None or run.state is None:
        return ""
    return PARTIAL_SUCCESS if run.failed_models and run.state == "success" else run.state


def champion_of(decisions: Sequence[Decision]) -> ModelView | None:
    """The version that stands since the last decision, with the numbers that it was judged by."""
    version = decisions[0].result.champion_version if decisions else None
    if version is None:
        return None
    for each in decisions:
        if each.result.challenger_version == version and each.result.challenger_metrics:
            return _model(each)
    for each in decisions:
        if each.result.previous_champion_version == version and each.result.previous_champion_metrics:
            return _measured(version, each.result.previous_champion_metrics)
    return ModelView(version)


def challenger_of(decisions: Sequence[Decision]) -> ModelView | None:
    """The version that was judged last, where it did not become champion."""
    if not decisions or decisions[0].outcome != "kept":
        return None
    return _model(decisions[0])


def drift_view(checks: Sequence[DriftCheck]) -> DriftView | None:
    """The level of the last check, and the line of the weeks."""
    if not checks:
        return None
    last, scores = checks[-1], tuple(check.drift_score for check in checks)
    drawn = scores if len(scores) > 1 else scores * 2  # one check is a line as well
    step = SPARK_WIDTH / (len(drawn) - 1)
    points = " ".join(f"{index * step:.1f},{SPARK_HEIGHT * (1 - score):.1f}" for index, score in enumerate(drawn))
    tones: dict[str, Tone] = {"stable": "good", "warning": "warn"}
    return DriftView(last.level, tones.get(last.level, "bad"), last.drift_score, last.looked_at, points, scores)


def attention(
    rows: Iterable[ModelRow],
    facts: Mapping[str, ModelFacts],
    troubled: Sequence[RunView],
    stuck: Sequence[StuckRuns],
    workers: Mapping[str, Sequence[Worker]],
) -> list[Attention]:
    """What needs a person, the gravest first; `troubled` are runs that failed or crashed lately."""
    found = [
        Attention("bad", f"No worker is online on pool {pool}{_last_heard(each)}.", "deployments")
        for pool, each in sorted(workers.items())
        if not any(worker.status == "ONLINE" for worker in each)
    ]
    found += [*_of_stuck(stuck), *_of_failures(troubled)]
    for row in rows:
        if row.airflow:
            found += _of_airflow(row.name, row.airflow)
        last = facts[row.name].weeks[-1] if facts[row.name].weeks else None
        if last and last.status == "rejected":
            said = f": {last.findings[0]}" if last.findings else ""
            label = clock_of(row.use_case).label(last.week)
            found.append(Attention("bad", f"{label} of {row.use_case} was rejected{said}"))
        if facts[row.name].checks and facts[row.name].checks[-1].alarm and row.drift:
            words = f"{row.name} drifts: {row.drift.level}, score {row.drift.score:.2f}."
            found.append(Attention("bad", words, f"runs?use_case={row.use_case}"))
        if facts[row.name].trouble:
            found.append(Attention("bad", str(facts[row.name].trouble)))
    return list(dict.fromkeys(found))


def _of_airflow(model: str, run: LastDagRun) -> list[Attention]:
    """That the run failed, or that the model did in a run that was a success for others."""
    path = f"/dags/{quote(run.dag_id, safe='')}/runs/{quote(run.run_id or '', safe='')}"
    if run.state == "failed":
        return [Attention("bad", f"The last run of {run.dag_id} failed in Airflow.", None, path)]
    if why := run.failed_models.get(model):
        words = f"{model} failed in the last run of {run.dag_id}; its other models got through."
        return [Attention("warn", words, None, path, why)]
    return []


def _last_heard(workers: Sequence[Worker]) -> str:
    """In one unit: it is announced when it changes, which it should not do every second."""
    heard = max((each.last_heartbeat for each in workers if each.last_heartbeat), default=None)
    return f"; the last one was heard {ago(heard)}" if heard else "; there has never been one"


def _of_stuck(stuck: Sequence[StuckRuns]) -> list[Attention]:
    """One line a deployment and way of being stuck, what waits longest first."""
    lines = []
    for group in sorted(stuck, key=lambda each: (each.since is None, each.since)):
        verb = "is" if len(group.runs) == 1 else "are"
        words = f"{_named(group.runs, group.deployment)} {verb} {group.phrase}."
        lines.append(Attention("bad", words, _path(group.runs, group.state, "ever"), None, group.why, group.since))
    return lines


def _of_failures(troubled: Sequence[RunView]) -> list[Attention]:
    """One line a deployment and state, however many runs there are."""
    by_kind: dict[tuple[str, str], list[RunView]] = {}
    for run in troubled:
        by_kind.setdefault((run.deployment, run.state), []).append(run)
    return [
        Attention(
            "bad", f"{_named(runs, deployment)}: {state.lower()} in the last 24 hours.", _path(runs, state, "day")
        )
        for (deployment, state), runs in by_kind.items()
    ]


def _named(runs: Sequence[RunView], deployment: str) -> str:
    what = runs[0].name if len(runs) == 1 else f"{len(runs)} runs"
    return f"{what} of {deployment}" if deployment else what


def _path(runs: Sequence[RunView], state: str, span: str) -> str:
    """The run's own page, or the list of them all."""
    if len(runs) == 1:
        return f"runs/{runs[0].id}"
    return f"runs?{urlencode({'state': state, 'deployment': runs[0].deployment, 'span': span})}"


def _model(decision: Decision) -> ModelView:
    result = decision.result
    return _measured(result.challenger_version, result.challenger_metrics, result.intervals)


def _measured(
    version: str, metrics: Mapping[str, float], intervals: Mapping[str, tuple[float, float]] = MappingProxyType({})
) -> ModelView:
    metric = next(iter(declared(metrics)), None)
    if metric is None:
        return ModelView(version)
    return ModelView(version, metric.words, metrics[metric.name], *intervals.get(metric.name, (None, None)))
