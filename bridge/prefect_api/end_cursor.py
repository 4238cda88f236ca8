"""Which ends of flow runs are news: what to look for, and how far one has told of what was found.

Pure, but for the one operation that it composes of `wire`'s. Knows nothing of who is told, nor of where the cursor is
kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from bridge.prefect_api import run_queries
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.wire import ENDED_TYPES

if TYPE_CHECKING:
    from bridge.prefect_api.events import StateChange

LATE = timedelta(minutes=5)
"""An end may become readable this long after the moment that it bears (a slow commit, a database that was locked)."""

REMEMBERED = 1000
"""Ends that a cursor remembers one by one; Airflow stores values of 64 KB without complaint."""

TAG_RESOURCE = "prefect.tag."

LONGEST_RESULT_BYTES = 32_768
"""A larger result stays in Prefect; an event names the run that bears it."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Which ends are looked for: of a deployment `<flow>/<deployment>`, or of a flow, with all `tags`, in `states`.

    Raises ValueError where that cannot be looked for.
    """

    deployment: str | None = None
    flow: str | None = None
    tags: tuple[str, ...] = ()
    states: tuple[str, ...] = ("COMPLETED",)

    def __post_init__(self) -> None:
        if not self.states or not set(self.states) <= ENDED_TYPES:
            raise ValueError(f"states {list(self.states)}: a flow run ends in {', '.join(sorted(ENDED_TYPES))}")
        if self.deployment is not None and self.flow is not None:
            raise ValueError("name a deployment or a flow: the deployment's name holds its flow's")
        if self.deployment is not None and len(self.deployment.split("/")) != 2:
            raise ValueError(f"{self.deployment!r} does not name a deployment: write '<flow name>/<deployment name>'")

    @property
    def digest(self) -> str:
        """A short name of what is looked for; another watch has another."""
        meant = [self.deployment, self.flow, sorted(self.tags), sorted(self.states)]
        return blake2b(json.dumps(meant).encode(), digest_size=8).hexdigest()

    def may_be(self, change: StateChange) -> bool:
        """Whether an event may tell of an end that is looked for; only where it says otherwise it does not."""
        if change.state_type not in self.states:
            return False
        if not change.related:
            return True
        named = {each.get("prefect.resource.role"): each.get("prefect.resource.name") for each in change.related}
        flow, _, deployment = (self.deployment or self.flow or "").partition("/")
        is_of_flow = not flow or named.get("flow") == flow
        is_of_deployment = not deployment or named.get("deployment") == deployment
        return is_of_flow and is_of_deployment and set(self.tags) <= _tags(change)

    def find(self, since: datetime | None, *, newest_only: bool = False) -> Operation[list[FlowRun]]:
        """The runs that ended so at `since` or later, the newest first."""
        flow, _, deployment = (self.deployment or self.flow or "").partition("/")
        return run_queries.find_ended_flow_runs(
            self.states,
            since=since,
            flow=flow or None,
            deployment=deployment or None,
            tags=self.tags,
            newest_only=newest_only,
        )


def event_id(run: FlowRun) -> str:
    """Names this end of this run: a run that is retried in place ends more than once."""
    return f"{run.id}@{run.state_timestamp.isoformat() if run.state_timestamp else ''}"


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far ends have been told: every end at `since` or later is in `told`, or has not been told.

    `told` holds the moment of the end by a digest of its event's id. `pending` are those whose telling had begun when
    the cursor was last saved: whether they were heard is not known.
    """

    since: datetime | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()

    def news(self, runs: Iterable[FlowRun]) -> list[FlowRun]:
        """Those of the runs whose end has not been told, the oldest end first."""
        fresh = [run for run in runs if _digest(run) not in self.told]
        return sorted(fresh, key=_ended)

    def is_pending(self, run: FlowRun) -> bool:
        """Whether the end may have been told before."""
        return _digest(run) in self.pending

    def beginning(self, runs: Iterable[FlowRun]) -> Cursor:
        """The cursor to save before these ends are told."""
        return replace(self, pending=self.pending | {_digest(run) for run in runs})

    def told_of(self, runs: Iterable[FlowRun]) -> Cursor:
        """The cursor once these ends have been told; ends that cannot come up again are forgotten."""
        now = {_digest(run): _ended(run) for run in runs}
        told = {**self.told, **now}
        if not told:
            return self
        moments = sorted(told.values(), reverse=True)
        bounds = [moments[0] - LATE, *moments[REMEMBERED - 1 : REMEMBERED]]
        since = max(bounds if self.since is None else [*bounds, self.since])
        kept = {key: moment for key, moment in told.items() if moment >= since}
        return Cursor(since, kept, self.pending - now.keys())

    def encode(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "since": self.since.isoformat() if self.since else None,
            "told": {key: moment.isoformat() for key, moment in self.told.items()},
            "pending": sorted(self.pending),
        }

    @classmethod
    def decode(cls, document: Mapping[str, Any]) -> Cursor:
        """Raises KeyError, TypeError, AttributeError or ValueError where the document is no cursor."""
        since = document["since"]
        return cls(
            datetime.fromisoformat(since) if since else None,
            {key: datetime.fromisoformat(moment) for key, moment in document["told"].items()},
            frozenset(document["pending"]),
        )


def start_from_now(watch: Watch) -> Operation[Cursor]:
    """The cursor of one who has not looked before: what has ended already is no news.

    By the ends' own moments, so that clocks need not agree.
    """
    newest = yield from watch.find(None, newest_only=True)
    if not newest:
        return Cursor()
    return Cursor().told_of((yield from watch.find(_ended(newest[0]) - LATE)))


def describe(
    run: FlowRun, url: str, *, deployment: str | None, result: Mapping[str, Any] | None, maybe_repeated: bool
) -> dict[str, Any]:
    """What is told of an end, as a JSON object; `result` is left out, and named under `omitted`, where it is large."""
    large = result is not None and len(json.dumps(result)) > LONGEST_RESULT_BYTES
    return {
        "event_id": event_id(run),
        "flow_run_id": run.id,
        "name": run.name,
        "url": url,
        "deployment": deployment,
        "state": run.state_type,
        "state_name": run.state_name,
        "tags": list(run.tags),
        "start_time": run.start_time.isoformat() if run.start_time else None,
        "end_time": _ended(run).isoformat(),
        "result": None if large or result is None else dict(result),
        "omitted": ["result"] if large else [],
        "maybe_repeated": maybe_repeated,
    }


def _tags(change: StateChange) -> set[str]:
    """The run's tags and those of its flow and deployment, among which an event does not tell the run's own."""
    ids = [str(each.get("prefect.resource.id", "")) for each in change.related]
    return {each.removeprefix(TAG_RESOURCE) for each in ids if each.startswith(TAG_RESOURCE)}


def _digest(run: FlowRun) -> str:
    return blake2b(event_id(run).encode(), digest_size=8).hexdigest()


def _ended(run: FlowRun) -> datetime:
    moment = run.end_time or run.state_timestamp
    if moment is None:
        raise ValueError(f"flow run {run.id} has not ended")
    return moment
