"""A run, the task runs and the sub-runs within it, on one line of time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.prefect_api.records import FlowRun, TaskRun
from plugins.control_page.run_views import Tone, tone_of

_TONES: dict[str, Tone] = {
    "COMPLETED": "good",
    "FAILED": "bad",
    "CRASHED": "bad",
    "RUNNING": "busy",
    "CANCELLING": "busy",
    "PENDING": "waiting",
    "SCHEDULED": "waiting",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of the chart; `left` and `width` are in percent of the whole run, both rounded to whole numbers."""

    name: str
    kind: str
    state: str
    tone: Tone
    left: int
    width: int
    seconds: float | None
    began: datetime | None
    flow_run_id: str | None = None


def timeline(run: FlowRun, tasks: Sequence[TaskRun], below: Sequence[FlowRun], now: datetime) -> list[Bar]:
    """The run first, then what runs within it by its begin; what has not begun comes last, without a length."""
    began = run.start_time or run.expected_start_time or now
    until = run.end_time or now
    whole = max((until - began).total_seconds(), 1e-6)
    places = {each.parent_task_run_id: each for each in below}

    def bar(
        name: str, kind: str, state: str, tone: Tone, start: datetime | None, end: datetime | None, child: str | None
    ) -> Bar:
        if start is None:
            return Bar(name, kind, state, tone, 0, 0, None, None, child)
        last = end or (until if tone in {"busy", "waiting"} else start)
        left = min(100.0, max(0.0, 100 * (start - began).total_seconds() / whole))
        width = min(100 - left, max(1.0, 100 * (last - start).total_seconds() / whole))
        return Bar(
            name, kind, state, tone, round(left), max(1, round(width)), (last - start).total_seconds(), start, child
        )

    bars = []
    for task in tasks:
        child = places.get(task.id)
        kind, tone = ("sub-run", tone_of(child)) if child else ("task", _TONES.get(task.state_type, "muted"))
        state = child.state_name if child else task.state_name
        child_id = child.id if child else None
        bars.append(bar(task.name, kind, state, tone, task.start_time, task.end_time, child_id))
    last = datetime.max.replace(tzinfo=now.tzinfo)
    bars.sort(key=lambda each: each.began or last)
    return [bar(run.name, "run", run.state_name, tone_of(run), run.start_time, run.end_time, None), *bars]
