"""Which ends of flow runs are news: what is watched, and what of it has been told.

Pure, but for the operation that it composes. Knows nothing of who is told, nor of where the cursor is kept.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from bridge.prefect_api import run_queries
from bridge.prefect_api.end_event import event_id
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import EndedFlowRuns
from bridge.prefect_api.wire import ENDED_TYPES

if TYPE_CHECKING:
    from bridge.prefect_api.events import StateChange

LATE = timedelta(minutes=5)
"""An end may become readable this long after the moment that it bears (a slow commit, a database that was locked)."""

REMEMBERED = 1000
"""Ends that a cursor remembers one by one; Airflow stores values of 64 KB without complaint."""

CLOCK_RESOLUTION = timedelta(seconds=2)
"""A server tells its clock in whole seconds, and looks at it once a second."""

TAG_RESOURCE = "prefect.tag."


@dataclass(frozen=True, slots=True)
class Watch:
    """Which ends are watched: of a deployment `<flow>/<deployment>`, or of a flow, with all `tags`, in `states`.

    Raises ValueError where that cannot be watched.
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
        """A short name of what is watched; another watch has another."""
        meant = [self.deployment, self.flow, sorted(self.tags), sorted(self.states)]
        return blake2b(json.dumps(meant).encode(), digest_size=8).hexdigest()

    def may_be(self, change: StateChange) -> bool:
        """Whether an event may tell of an end that is watched; only where it says otherwise it does not."""
        if change.state_type not in self.states:
            return False
        if not change.related:
            return True
        named = {each.get("prefect.resource.role"): each.get("prefect.resource.name") for each in change.related}
        flow, _, deployment = (self.deployment or self.flow or "").partition("/")
        is_of_flow = not flow or named.get("flow") == flow
        is_of_deployment = not deployment or named.get("deployment") == deployment
        return is_of_flow and is_of_deployment and set(self.tags) <= _tags(change)

    def find(
        self, since: datetime | None = None, *, ids: Sequence[str] | None = None, limit: int | None = None
    ) -> Operation[EndedFlowRuns]:
        """The runs that ended so at `since` or later, the newest first; of these ids, and so many alone."""
        flow, _, deployment = (self.deployment or self.flow or "").partition("/")
        return run_queries.find_ended_flow_runs(
            self.states,
            since=since,
            ids=ids,
            flow=flow or None,
            deployment=deployment or None,
            tags=self.tags,
            limit=limit,
        )


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which ends have been told. An end is known by its event's id, never by its moment alone: clocks are set back.

    `told` holds the moment of the end by a digest of its event's id, the last told last. Of ends at `floor` or before
    some have been told and are forgotten; every later end is in `told`, or is news. `pending` are those whose telling
    had begun when the cursor was last saved: whether they were told is not known.
    """

    floor: datetime | None = None
    told: Mapping[str, datetime] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()

    @property
    def since(self) -> datetime | None:
        """Where a search begins that finds what has ended since the last one, as long as no clock is set back."""
        if self._last is None or self.floor is None:
            return self._last - LATE if self._last else self.floor
        return max(self._last - LATE, self.floor)

    def is_ahead_of(self, present: datetime | None) -> bool:
        """Whether the end told last is later than the server's present: its clock was set back."""
        return present is not None and self._last is not None and self._last > present + CLOCK_RESOLUTION

    @property
    def _last(self) -> datetime | None:
        """The moment of the end told last."""
        return next(reversed([*self.told.values()]), None)

    def news(self, runs: Iterable[FlowRun]) -> list[FlowRun]:
        """Those of the runs whose end has not been told, the oldest end first."""
        return [
            run for run in self.unknown(runs) if self.floor is None or not run.end_time or run.end_time > self.floor
        ]

    def unknown(self, runs: Iterable[FlowRun]) -> list[FlowRun]:
        """The same, with those that may have been told so long ago that it is forgotten."""
        return sorted((run for run in runs if _digest(run) not in self.told), key=_ended)

    def may_have_told(self, run: FlowRun) -> bool:
        """Whether the end may have been told before."""
        is_forgotten = self.floor is not None and run.end_time is not None and run.end_time <= self.floor
        return is_forgotten or _digest(run) in self.pending

    def beginning(self, runs: Iterable[FlowRun]) -> Cursor:
        """The cursor to save before these ends are told."""
        return replace(self, pending=self.pending | {_digest(run) for run in runs})

    def told_of(self, runs: Iterable[FlowRun]) -> Cursor:
        """The cursor once these ends have been told; those told longest ago are forgotten."""
        now = {_digest(run): _ended(run) for run in runs}
        told = [*((key, moment) for key, moment in self.told.items() if key not in now), *now.items()]
        forgotten = [moment for _, moment in told[:-REMEMBERED]]
        floor = max([*forgotten, *([self.floor] if self.floor else [])], default=None)
        return Cursor(floor, dict(told[-REMEMBERED:]), self.pending - now.keys())

    def encode(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "since": self.floor.isoformat() if self.floor else None,
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
    """The cursor of a watch that begins: what has ended already is no news."""
    newest = (yield from watch.find(limit=REMEMBERED)).runs
    cursor = Cursor().told_of(reversed(newest))
    if len(newest) < REMEMBERED:
        return cursor
    return replace(cursor, floor=min(map(_ended, newest)))


def _tags(change: StateChange) -> set[str]:
    """The run's tags and those of its flow and deployment, among which an event does not tell the run's own."""
    ids = [str(each.get("prefect.resource.id", "")) for each in change.related]
    return {each.removeprefix(TAG_RESOURCE) for each in ids if each.startswith(TAG_RESOURCE)}


def _digest(run: FlowRun) -> str:
    return blake2b(event_id(run).encode(errors="replace"), digest_size=8).hexdigest()


def _ended(run: FlowRun) -> datetime:
    return run.end_time or run.state_timestamp or datetime.fromtimestamp(0, UTC)
