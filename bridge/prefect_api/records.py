"""What Prefect tells of its things, as far as the bridge reads it: frozen records parsed from JSON."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class FlowRun:
    """A flow run as it stood when it was read. `run_seconds` is how long it has run up to then, retries together."""

    id: str
    name: str
    state_type: str
    state_name: str
    state_message: str
    deployment_id: str | None
    parameters: Mapping[str, Any]
    tags: tuple[str, ...]
    idempotency_key: str | None
    work_pool_name: str | None
    work_queue_name: str | None
    created: datetime | None
    expected_start_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None
    state_timestamp: datetime | None
    run_seconds: float
    run_count: int
    """How often it has begun to run; more than 1 after a retry in place."""
    flow_id: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)
    auto_scheduled: bool = False
    """Whether a deployment's schedule made it."""
    parent_task_run_id: str | None = None
    """Where another flow run has begun it."""
    read_at: datetime | None = field(default=None, compare=False)
    """When Prefect gave the answer that held this, by Prefect's own clock; None where the answer does not say."""

    @property
    def seconds_begun(self) -> float:
        """Seconds from its first start to its newest state; 0 where it has not begun."""
        if self.start_time is None or self.state_timestamp is None:
            return 0.0
        return (self.state_timestamp - self.start_time).total_seconds()

    @classmethod
    def parse(cls, document: Mapping[str, Any], read_at: datetime | None = None) -> FlowRun:
        """Raises KeyError where the document is no flow run."""
        state = document.get("state") or {}
        return cls(
            id=document["id"],
            name=document["name"],
            state_type=document.get("state_type") or state.get("type") or "SCHEDULED",
            state_name=document.get("state_name") or state.get("name") or "Scheduled",
            state_message=state.get("message") or "",
            deployment_id=document.get("deployment_id"),
            parameters=document.get("parameters") or {},
            tags=tuple(document.get("tags") or ()),
            idempotency_key=document.get("idempotency_key"),
            work_pool_name=document.get("work_pool_name"),
            work_queue_name=document.get("work_queue_name"),
            created=moment(document.get("created")),
            expected_start_time=moment(document.get("expected_start_time")),
            start_time=moment(document.get("start_time")),
            end_time=moment(document.get("end_time")),
            state_timestamp=moment(state.get("timestamp")),
            run_seconds=float(document.get("estimated_run_time") or 0.0),
            run_count=int(document.get("run_count") or 0),
            flow_id=document.get("flow_id") or "",
            labels=document.get("labels") or {},
            auto_scheduled=bool(document.get("auto_scheduled")),
            parent_task_run_id=document.get("parent_task_run_id"),
            read_at=read_at,
        )


@dataclass(frozen=True, slots=True)
class TaskRun:
    """A task run, or the place of a sub-run, within a flow run."""

    id: str
    name: str
    state_type: str
    state_name: str
    expected_start_time: datetime | None
    start_time: datetime | None
    end_time: datetime | None

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> TaskRun:
        """Raises KeyError where the document is no task run."""
        return cls(
            id=document["id"],
            name=document["name"],
            state_type=document.get("state_type") or "PENDING",
            state_name=document.get("state_name") or "Pending",
            expected_start_time=moment(document.get("expected_start_time")),
            start_time=moment(document.get("start_time")),
            end_time=moment(document.get("end_time")),
        )


@dataclass(frozen=True, slots=True)
class Limit:
    """How many runs may go on at once in a place, and how many slots are taken; None where Prefect does not count."""

    slots: int | None = None
    taken: int | None = None

    @property
    def used_up(self) -> bool:
        """Whether a run has to wait until another has ended."""
        return self.slots is not None and self.taken is not None and self.taken >= self.slots


@dataclass(frozen=True, slots=True)
class DeploymentRecord:
    """A deployment on the server; `name` is the part behind the slash, `flow_id` names the flow before it."""

    id: str
    name: str
    flow_id: str
    parameters: Mapping[str, Any]
    parameter_schema: Mapping[str, Any]
    enforces_schema: bool
    work_pool_name: str | None
    work_queue_name: str | None
    paused: bool
    status: str
    tags: tuple[str, ...]
    schedules: tuple[Mapping[str, Any], ...]
    description: str = ""
    work_queue_id: str | None = None
    limit: Limit = Limit()
    limit_name: str = ""
    """Of the global concurrency limit behind `limit`."""
    limit_enabled: bool = True
    collision_strategy: str = "ENQUEUE"
    """What becomes of a run beyond the limit: ENQUEUE or CANCEL_NEW."""

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> DeploymentRecord:
        """Raises KeyError where the document is no deployment."""
        limit = document.get("global_concurrency_limit") or {}
        options = document.get("concurrency_options") or {}
        return cls(
            id=document["id"],
            name=document["name"],
            flow_id=document["flow_id"],
            parameters=document.get("parameters") or {},
            parameter_schema=document.get("parameter_openapi_schema") or {},
            enforces_schema=document.get("enforce_parameter_schema") is not False,
            work_pool_name=document.get("work_pool_name"),
            work_queue_name=document.get("work_queue_name"),
            paused=bool(document.get("paused")),
            status=document.get("status") or "UNKNOWN",
            tags=tuple(document.get("tags") or ()),
            schedules=tuple(document.get("schedules") or ()),
            description=document.get("description") or "",
            work_queue_id=document.get("work_queue_id"),
            limit=Limit(limit.get("limit"), limit.get("active_slots")),
            limit_name=limit.get("name") or "",
            limit_enabled=limit.get("active") is not False,
            collision_strategy=options.get("collision_strategy") or "ENQUEUE",
        )


@dataclass(frozen=True, slots=True)
class WorkPool:
    """A work pool; `kind` is what starts its runs: `process`, `docker`, …, or a push or managed one of the cloud's."""

    name: str
    kind: str
    paused: bool
    limit: Limit

    @property
    def needs_workers(self) -> bool:
        """Whether somebody has to poll it: the runs of a push or managed pool are started by Prefect Cloud itself."""
        return not self.kind.endswith((":push", ":managed"))

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> WorkPool:
        """Raises KeyError where the document is no work pool."""
        return cls(
            name=document["name"],
            kind=document.get("type") or "",
            paused=bool(document.get("is_paused")),
            limit=Limit(document.get("concurrency_limit"), document.get("active_slots")),
        )


@dataclass(frozen=True, slots=True)
class WorkQueue:
    """A queue of a work pool; `polled` tells whether somebody asks it for runs, as the server sees it."""

    name: str
    paused: bool
    polled: bool
    limit: Limit

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> WorkQueue:
        """Raises KeyError where the document is no work queue."""
        return cls(
            name=document["name"],
            paused=bool(document.get("is_paused")),
            polled=document.get("status") == "READY",
            limit=Limit(document.get("concurrency_limit"), document.get("active_slots")),
        )


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of a pool; `status` is ONLINE or OFFLINE as the server sees it."""

    name: str
    status: str
    last_heartbeat: datetime | None

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> Worker:
        return cls(
            name=document["name"],
            status=document.get("status") or "OFFLINE",
            last_heartbeat=moment(document.get("last_heartbeat_time")),
        )


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a flow run's log; `level` is that of Python's logging, and may lie between the named ones.

    `timestamp` is by the clock of the process that wrote the line. `task_run_name` is "" until somebody has asked.
    """

    id: str
    timestamp: datetime
    level: int
    logger: str
    message: str
    task_run_id: str | None = None
    task_run_name: str = ""

    @property
    def arrived(self) -> datetime:
        """When Prefect took the line in, by Prefect's clock: its ids bear that (UUIDv7, RFC 9562); else `timestamp`."""
        try:
            known_by = UUID(self.id)
        except ValueError:
            return self.timestamp
        return datetime.fromtimestamp((known_by.int >> 80) / 1000, UTC) if known_by.version == 7 else self.timestamp

    @property
    def named_level(self) -> int:
        """The level of logging's own at this one or next below it, DEBUG at least."""
        return max(logging.DEBUG, min(self.level // 10 * 10, logging.CRITICAL))

    @property
    def text(self) -> str:
        """The message with the task run that wrote it, and its level where that has no name."""
        odd = "" if self.level == self.named_level else f"(level {self.level}) "
        if self.task_run_id is None:
            return odd + self.message
        return f"{odd}{self.task_run_name or 'task run ' + self.task_run_id[:8]}: {self.message}"

    @classmethod
    def parse(cls, document: Mapping[str, Any]) -> LogLine:
        """Raises KeyError, ValueError or TypeError where the document is no log line."""
        timestamp = moment(document["timestamp"])
        if timestamp is None:
            raise KeyError("timestamp")
        return cls(
            str(document["id"]),
            timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC),
            _level_of(document.get("level")),
            str(document.get("name") or ""),
            str(document.get("message") or ""),
            str(document["task_run_id"]) if document.get("task_run_id") else None,
        )


def _level_of(said: Any) -> int:
    """A level; what is no number is INFO."""
    try:
        return int(said)
    except (TypeError, ValueError, OverflowError):
        return logging.INFO


def moment(text: str | None) -> datetime | None:
    """An ISO 8601 time of Prefect's as an aware datetime."""
    return datetime.fromisoformat(text) if text else None
