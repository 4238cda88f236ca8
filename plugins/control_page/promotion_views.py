"""A use case's registry history as the page shows it: decisions, their numbers and what may be done. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from factory.contracts import GateCheck, PromotionResult, looked_at
from factory.records.decisions import Decision
from factory.sizes import megabytes
from factory.use_cases.metrics import declared
from plugins.control_page.run_views import Tone

_TONES: dict[str, Tone] = {"promoted": "good", "rolled back": "warn", "kept": "muted"}
_COSTS: dict[str, tuple[str, Callable[[float], str]]] = {
    "size_bytes": ("Size", megabytes),
    "memory_bytes": ("Memory", megabytes),
    "p95_ms": ("Answer (p95)", "{:,.1f} ms".format),
}


@dataclass(frozen=True, slots=True)
class MetricView:
    """One metric of both models on the same frozen test set; `low` and `high` are the challenger's 95 % interval."""

    words: str
    challenger: float
    low: float | None
    high: float | None
    champion: float | None
    digits: int


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One decision with its numbers; `run_path` is the page of the flow run that made it."""

    id: str
    outcome: str
    tone: Tone
    decided_at: datetime
    decided_by: str
    challenger: str
    champion: str | None
    previous: str | None
    reason: str
    metrics: tuple[MetricView, ...]
    checks: tuple[GateCheck, ...]
    costs: tuple[tuple[str, str], ...]
    test: str
    period: str
    links: dict[str, str]


def decision_view(decision: Decision) -> DecisionView:
    """The decision in words and numbers."""
    result = decision.result
    people = [each for each in (result.decided_by, result.approved_by, result.rejected_by) if each]
    return DecisionView(
        id=decision.decision_id,
        outcome=decision.outcome,
        tone=_TONES[decision.outcome],
        decided_at=decision.decided_at,
        decided_by=people[0] if people else "the gate",
        challenger=result.challenger_version,
        champion=result.champion_version,
        previous=result.previous_champion_version,
        reason=result.reason,
        metrics=_metrics(result),
        checks=result.checks,
        costs=tuple(
            (words, in_words(result.costs[name])) for name, (words, in_words) in _COSTS.items() if name in result.costs
        ),
        test=f"{result.test_rows:,} rows of {looked_at(result.test_version, result.test_looks)}",
        period=decision.dataset.period,
        links=links_of(result),
    )


def standing(decisions: Sequence[Decision]) -> tuple[str | None, str | None]:
    """The champion's version, and the one to which a rollback would give the title back, as the decisions tell.

    What a rollback does is the flow's to decide; this is the last champion before the standing one.
    """
    if not decisions:
        return None, None
    champion = decisions[0].result.champion_version
    for each in decisions:
        if each.outcome == "promoted" and each.result.champion_version == champion:
            return champion, each.result.previous_champion_version
    return champion, None


def _metrics(result: PromotionResult) -> tuple[MetricView, ...]:
    theirs = result.previous_champion_metrics or {}
    views = []
    for metric in declared(result.challenger_metrics):
        low, high = result.intervals.get(metric.name, (None, None))
        mine = result.challenger_metrics[metric.name]
        views.append(MetricView(metric.title, mine, low, high, theirs.get(metric.name), metric.digits))
    return tuple(views)


def links_of(result: PromotionResult) -> dict[str, str]:
    """Where a person reads more of the version that was judged: web addresses alone."""
    known = {"MLflow": result.mlflow_url, "All trainings in MLflow": result.experiment_url}
    links = {**result.links(), **known}
    return {name: url for name, url in links.items() if url and url.startswith(("http://", "https://"))}
