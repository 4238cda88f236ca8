"""Runs that have not ended and do not get on, and why. Pure: records and findings in, sentences out.

What stands in the way of a run that waits is found by `bridge.readiness`, a silent one by its heartbeats.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding
from plugins.control_page.run_views import LATE, RunView

OVERDUE_SECONDS = 60.0
"""Prefect marks a run late after some 15 s; where that service of it does not run, nobody else would say so."""
TURN_SECONDS = 120.0
"""Whoever starts runs takes so many at once: behind others that run, one waits for its turn."""
BEGINNING_SECONDS = 120.0
"""A process begins within some seconds, a container within a minute or two."""
CANCELLING_SECONDS = 120.0
"""A worker ends a run within seconds of being asked to."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """How a run is stuck, in a phrase that follows its name, since when, and what is known of the reason."""

    phrase: str
    since: datetime | None
    why: str = ""


def how_stuck(
    run: FlowRun, now: datetime, silent_seconds: float | None = None, *, behind: bool = False
) -> Stuck | None:
    """None for a run that has ended, or gets on as runs do; `silent_seconds` without a heartbeat, where that is odd.

    `behind` others of its work pool that run, one that waits to be taken is given time.
    """
    since = run.state_timestamp or run.created

    def lasts(seconds: float, moment: datetime | None = since) -> bool:
        return moment is not None and (now - moment).total_seconds() > seconds

    due = run.expected_start_time
    if run.state_type == "SCHEDULED" and behind:
        return Stuck("late", due, "Others run, and it has not had its turn.") if lasts(TURN_SECONDS, due) else None
    if run.state_type == "SCHEDULED" and (run.state_name == LATE or lasts(OVERDUE_SECONDS, due)):
        return Stuck("late", due, "Nobody has taken it.")
    if run.state_type == "PENDING" and lasts(BEGINNING_SECONDS):
        return Stuck(f"stuck in {run.state_name}", since, "A worker has taken it, and its process has not begun.")
    if run.state_type == "CANCELLING" and lasts(CANCELLING_SECONDS):
        return Stuck(f"stuck in {run.state_name}", since, "The worker that should end it may be gone.")
    if run.state_type == "PAUSED":
        return Stuck(f"{run.state_name.lower()}", since, "It goes on when a person resumes it in Prefect.")
    if run.state_type == "RUNNING" and silent_seconds is not None:
        return Stuck("running without a heartbeat", run.start_time, "Its process was probably killed.")
    return None


def pools_at_work(live: Sequence[FlowRun], silent: Collection[str] = ()) -> frozenset[str | None]:
    """The work pools of which a run runs, None for runs that are served; `silent` are ids of runs that may be gone."""
    return frozenset(run.work_pool_name for run in live if run.state_type == "RUNNING" and run.id not in silent)


def is_suspect(run: FlowRun, now: datetime, after_seconds: float) -> bool:
    """Whether a run has been running for long enough that its heartbeats are worth a look."""
    began = run.state_timestamp or run.start_time
    return run.state_type == "RUNNING" and began is not None and (now - began).total_seconds() > after_seconds


def reason_in(findings: Sequence[Finding], stuck: Stuck) -> str:
    """What stands in the way, in the words of whoever looked; without a finding, what the state itself tells."""
    wrong = [finding for finding in findings if not finding.in_order] or [each for each in findings if each.remedy]
    return "; ".join(f"{finding.subject}: {finding.detail}" for finding in wrong) + "." if wrong else stuck.why


@dataclass(frozen=True, slots=True)
class StuckRuns:
    """Runs of one deployment that are stuck alike; `why` and `since` are of the one that waits longest."""

    deployment: str
    state: str
    phrase: str
    runs: tuple[RunView, ...]
    since: datetime | None
    why: str


def grouped(found: Mapping[str, Stuck], views: Sequence[RunView], reasons: Mapping[str, str]) -> list[StuckRuns]:
    """One group a deployment and way of being stuck; `found` and `reasons` are by the run's id."""
    by_kind: dict[tuple[str, str], list[RunView]] = {}
    for view in views:
        if view.id in found:
            by_kind.setdefault((view.deployment, found[view.id].phrase), []).append(view)
    groups = []
    for (deployment, phrase), runs in by_kind.items():
        first = min(runs, key=lambda each: (found[each.id].since is None, found[each.id].since))
        why = next((reasons[each.id] for each in runs if each.id in reasons), found[first.id].why)
        groups.append(StuckRuns(deployment, first.state, phrase, tuple(runs), found[first.id].since, why))
    return groups
