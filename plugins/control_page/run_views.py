"""Flow runs as the page shows them. Pure: records in, view models out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import quote

from bridge.contracts import AIRFLOW_TAG
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.verdict import Completed, Ended, Live, judge

USER_LABEL = "control_page.user"
"""Label of a run that was started from the page: who did."""
RETRIED_BY_LABEL = "control_page.retried_by"
CANCELLED_BY_LABEL = "control_page.cancelled_by"
"""Labels of a run that was retried or cancelled from the page: who did so last."""
DAG_TAG = "dag:"
DAG_LABEL = "airflow.dag_id"
"""What the bridge writes on the runs that Airflow starts (`bridge.in_airflow.run_metadata`)."""
LATE = "Late"
MESSAGE_CHARACTERS = 4_000
DOCUMENT_CHARACTERS = 50_000
"""As much as a person reads, and as a browser shows without a stutter; whatever is longer is in Prefect."""

Tone = Literal["good", "bad", "warn", "busy", "waiting", "muted"]
"""`bad` and `warn` are for what a person should look at; the others are news."""
_LINKS = {"mlflow_url": "MLflow"}
_LEVELS = ((50, "critical"), (40, "error"), (30, "warning"), (20, "info"), (0, "debug"))


@dataclass(frozen=True, slots=True)
class Starter:
    """Who started a run; `airflow_path` is the task's page, below Airflow's root."""

    kind: Literal["Airflow", "schedule", "person", "run", "Prefect"]
    words: str
    airflow_path: str | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run in a list; `seconds` is how long it has run, up to now where it still does."""

    id: str
    name: str
    deployment: str
    state: str
    tone: Tone
    starter: Starter
    began: datetime | None
    due: datetime | None
    ended: datetime | None
    seconds: float | None
    is_live: bool
    message: str
    acted: tuple[str, ...] = ()
    """Sentences on who cancelled or retried it from the page."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LogView:
    """One line of a log."""

    id: str
    moment: datetime
    level: str
    message: str
    task: str = ""


def tone_of(run: FlowRun) -> Tone:
    """The colour of its state; what it means is judged where everybody's states are."""
    if run.state_name == LATE:
        return "bad"
    match judge(run):
        case Live(started=True):
            return "busy"
        case Live():
            return "warn" if run.state_type == "PAUSED" else "waiting"  # a pause ends when somebody ends it
        case Completed(skipped_because=None):
            return "good"
        case Ended() if run.state_type != "CANCELLED":
            return "bad"
        case _:
            return "muted"


def run_view(run: FlowRun, deployment: str, now: datetime) -> RunView:
    """The run as it stands at `now`."""
    live = isinstance(judge(run), Live)
    until = now if live else run.end_time
    seconds = (until - run.start_time).total_seconds() if run.start_time and until else None
    return RunView(
        id=run.id,
        name=run.name,
        deployment=deployment,
        state=run.state_name,
        tone=tone_of(run),
        starter=starter_of(run),
        began=run.start_time,
        due=run.expected_start_time,
        ended=run.end_time,
        seconds=max(0.0, seconds) if seconds is not None else None,
        is_live=live,
        message=shortened(run.state_message, MESSAGE_CHARACTERS),
        acted=acted_on(run),
        tags=run.tags,
    )


def acted_on(run: FlowRun) -> tuple[str, ...]:
    """Who cancelled or retried the run from the page, in sentences; a retry ends what a cancellation says."""
    cancelled, retried = run.labels.get(CANCELLED_BY_LABEL), run.labels.get(RETRIED_BY_LABEL)
    is_cancelled = cancelled and run.state_type in {"CANCELLED", "CANCELLING"}
    said = (f"Retried in place by {retried}." if retried else "", f"Cancelled by {cancelled}." if is_cancelled else "")
    return tuple(filter(None, said))


def dags_claimed(run: FlowRun) -> frozenset[str]:
    """The DAGs that started the run by its tags, which anybody who edits it in Prefect can give it."""
    named = {tag.removeprefix(DAG_TAG) for tag in run.tags if tag.startswith(DAG_TAG)}
    return frozenset(named) if AIRFLOW_TAG in run.tags else frozenset()


def dag_of(run: FlowRun) -> str | None:
    """The DAG whose task started the run, None where the bridge's own label does not say the same as a tag."""
    labelled = run.labels.get(DAG_LABEL)
    return str(labelled) if labelled in dags_claimed(run) else None


def is_cancellable(run: FlowRun) -> bool:
    """Whether there is something to cancel, and nobody has asked for it yet."""
    return isinstance(judge(run), Live) and run.state_type != "CANCELLING"


def starter_of(run: FlowRun) -> Starter:
    """Who started the run, from its tags, its labels and what Prefect says of it."""
    user = run.labels.get(USER_LABEL)
    if user and dag_of(run) is None:
        return Starter("person", str(user))
    if AIRFLOW_TAG in run.tags:
        named = dict(tag.split(":", 1) for tag in run.tags if ":" in tag)
        if {"dag", "run", "task"} <= named.keys():
            dag, run_id, task = (quote(named[part], safe="") for part in ("dag", "run", "task"))
            mapped = f"/mapped/{quote(named['map_index'], safe='')}" if "map_index" in named else ""
            path = f"/dags/{dag}/runs/{run_id}/tasks/{task}{mapped}"
            return Starter("Airflow", f"{named['dag']} · {named['task']}", path)
    if run.auto_scheduled:
        return Starter("schedule", "its schedule")
    if run.parent_task_run_id:
        return Starter("run", "another flow run")
    return Starter("Prefect", "by hand in Prefect")


def log_view(line: LogLine, task_names: Mapping[str, str] = MappingProxyType({})) -> LogView:
    """The line with its level in a word and the name of its task run."""
    level = next(word for least, word in _LEVELS if line.named_level >= least)
    task = "" if line.task_run_id is None else task_names.get(line.task_run_id) or f"task run {line.task_run_id[:8]}"
    return LogView(line.id, line.timestamp, level, replace(line, task_run_id=None).text, task)


def pretty(document: Mapping[str, Any]) -> str:
    """JSON as people read it."""
    return shortened(json.dumps(document, indent=2, ensure_ascii=False, default=str), DOCUMENT_CHARACTERS)


def shortened(text: str, characters: int) -> str:
    """The text, or its begin and how much more there is in Prefect."""
    left = len(text) - characters
    return text if left <= 0 else f"{text[:characters]} … ({left:,} characters more in Prefect)"


def links_in(result: Mapping[str, Any]) -> dict[str, str]:
    """The web addresses among a result's fields, by what they are; other schemes are no links."""
    return {
        _LINKS.get(name, name.removesuffix("_url").replace("_", " ").capitalize()): value
        for name, value in result.items()
        if name.endswith("_url") and isinstance(value, str) and value.startswith(("http://", "https://"))
    }


def in_words(seconds: float | None) -> str:
    """A duration: `0.4 s`, `12 s`, `1 min 12 s`, `2 h 05 min`, `3 d 4 h`."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def ago(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, or how soon, in one unit."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    size = abs(seconds)
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    length, unit = next(((length, unit) for length, unit in units if size >= length), (1, "s"))
    return f"{int(size // length)} {unit} ago" if seconds >= 0 else f"in {int(size // length)} {unit}"
