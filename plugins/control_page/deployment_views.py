"""Deployments, their schedules and the workers of their pools as the page shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.prefect_api.records import DeploymentRecord, Worker
from bridge.readiness import describe_attendance
from plugins.control_page.form_fields import form_of
from plugins.control_page.run_views import Tone, in_words


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker of the deployment's pool."""

    name: str
    online: bool
    heartbeat: datetime | None


@dataclass(frozen=True, slots=True)
class DeploymentView:
    """One deployment, and what this viewer may do with it; where it `needs_input` its defaults are too little.

    Who `may_start` it may start it with defaults only where these change no champion, or he may promote.
    """

    id: str
    name: str
    description: str
    status: str
    tone: Tone
    pool: str | None
    queue: str | None
    attendance: str
    workers: tuple[WorkerView, ...]
    schedules: tuple[str, ...]
    paused: bool
    needs_input: bool
    may_start: bool = False
    may_default: bool = False
    may_change: bool = False


def deployment_view(
    name: str,
    record: DeploymentRecord,
    workers: Sequence[Worker] | None,
    *,
    may_start: bool,
    may_change: bool,
    may_default: bool = True,
) -> DeploymentView:
    """The deployment as it stands; `workers` is None where it has no pool or they are not known."""
    status, tone = status_of(record, workers)
    return DeploymentView(
        id=record.id,
        name=name,
        description=record.description,
        status=status,
        tone=tone,
        pool=record.work_pool_name,
        queue=record.work_queue_name,
        attendance=describe_attendance(workers) if workers is not None else "",
        workers=tuple(
            WorkerView(each.name, each.status == "ONLINE", each.last_heartbeat)
            for each in sorted(workers or (), key=lambda each: each.name)
        ),
        schedules=tuple(schedule_words(schedule) for schedule in record.schedules),
        paused=record.paused,
        needs_input=any(field.required for field in form_of(record, name)),
        may_start=may_start,
        may_default=may_start and may_default,
        may_change=may_change,
    )


def status_of(record: DeploymentRecord, workers: Sequence[Worker] | None) -> tuple[str, Tone]:
    """Whether a run that is started now would be run by somebody."""
    if record.work_pool_name and workers is not None and not any(each.status == "ONLINE" for each in workers):
        return "no worker", "bad"
    if record.status == "READY":
        return ("paused", "muted") if record.paused else ("ready", "good")
    return "nobody serves it", "bad"


def schedule_words(schedule: Mapping[str, Any]) -> str:
    """A schedule of Prefect's in words."""
    rule = schedule.get("schedule") or {}
    zone = rule.get("timezone") or "UTC"
    if "cron" in rule:
        words = f"{rule['cron']} ({zone})"
    elif "interval" in rule:
        words = f"every {in_words(float(rule['interval']))}"
    else:
        words = f"{rule.get('rrule', 'a rule of its own')} ({zone})"
    return words if schedule.get("active", True) else f"{words}, switched off"
