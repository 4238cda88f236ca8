"""Looking through flow runs by what they are: Prefect's filters, and the reading of what they find. Without I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import blake2b
from typing import Any

from bridge.contracts import SKIPPED_STATE_NAME
from bridge.errors import UnexpectedAnswer
from bridge.prefect_api.exchange import PAGE, Answer, Operation, Request, body_of, parsed, parsed_rows, rows
from bridge.prefect_api.records import FlowRun, LogLine, TaskRun
from bridge.prefect_api.wire import ENDED_TYPES

LONGEST_REASON = 500

STATE_TYPES = ENDED_TYPES | {"SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"}

STATE_NAMES = frozenset(
    {
        "AwaitingConcurrencySlot",
        "AwaitingRetry",
        "Cached",
        "InfrastructurePending",
        "Late",
        "Resuming",
        "Retrying",
        "RolledBack",
        SKIPPED_STATE_NAME,
        "Submitting",
        "Suspended",
        "TimedOut",
    }
)
"""Names that Prefect 3.8, and what publishes a skip for the bridge, give to states; a flow may make up others."""


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which flow runs: of one deployment, in one of `states` (types, or names like Late), since, with all `tags`.

    `deployment_ids` are several deployments of which any will do; an empty tuple finds nothing, None does not ask.
    `name_part` is a part of the run's name, whatever its case.
    """

    deployment_id: str | None = None
    states: tuple[str, ...] = ()
    since: datetime | None = None
    tags: tuple[str, ...] = ()
    limit: int = 20
    deployment_ids: tuple[str, ...] | None = None
    name_part: str | None = None

    def filter(self, now: datetime) -> dict[str, Any]:
        """Prefect's filter. Runs that are planned for later than `now` are left out unless SCHEDULED is asked for."""
        types = [state.upper() for state in self.states if state.upper() in STATE_TYPES]
        names = [state for state in self.states if state.upper() not in STATE_TYPES]
        runs: dict[str, Any] = {}
        if self.deployment_id is not None:
            runs["deployment_id"] = {"any_": [self.deployment_id]}
        elif self.deployment_ids is not None:
            runs["deployment_id"] = {"any_": list(self.deployment_ids)}
        if self.states:
            runs["state"] = {"operator": "or_"}
            runs["state"] |= {"type": {"any_": types}} if types else {}
            runs["state"] |= {"name": {"any_": names}} if names else {}
        if self.tags:
            runs["tags"] = {"all_": list(self.tags)}
        if self.name_part is not None:
            runs["name"] = {"like_": self.name_part}
        expected = {} if "SCHEDULED" in types else {"before_": now.isoformat()}
        if self.since is not None:
            expected["after_"] = self.since.isoformat()
        if expected:
            runs["expected_start_time"] = expected
        return {"flow_runs": runs}


def list_flow_runs(query: RunQuery) -> Operation[list[FlowRun]]:
    """The latest runs of the query, the newest first."""
    return filter_flow_runs(query.filter(datetime.now(UTC)), sort="EXPECTED_START_TIME_DESC", limit=query.limit)


@dataclass(frozen=True, slots=True)
class RunPage:
    """One page of runs, the newest first, and how many there are in all."""

    runs: tuple[FlowRun, ...]
    count: int


def read_run_page(query: RunQuery, page: int = 1) -> Operation[RunPage]:
    """The query's runs by pages of `query.limit`, counted from 1, with their number: one request whatever their count.

    Raises UnexpectedAnswer where Prefect answers otherwise.
    """
    body = {**query.filter(datetime.now(UTC)), "sort": "EXPECTED_START_TIME_DESC", "limit": query.limit, "page": page}
    answer = yield Request("POST", "/flow_runs/paginate", body)
    document = parsed(answer, lambda found: (found["results"], int(found["count"])))
    return RunPage(tuple(parsed_rows(Answer(answer.status, document[0]), FlowRun.parse)), document[1])


def read_task_runs(flow_run_id: str) -> Operation[list[TaskRun]]:
    """The first page of a run's task runs, the earliest first; each sub-run has a place among them."""
    asked = {"task_runs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "EXPECTED_START_TIME_ASC", "limit": PAGE}
    return parsed_rows((yield Request("POST", "/task_runs/filter", asked)), TaskRun.parse)


def read_sub_runs(flow_run_id: str) -> Operation[list[FlowRun]]:
    """The first page of the flow runs that this one has begun, the earliest first."""
    wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [flow_run_id]}}}
    return filter_flow_runs(wanted, sort="EXPECTED_START_TIME_ASC", limit=PAGE)


def read_last_logs(flow_run_id: str) -> Operation[list[LogLine]]:
    """The last page of a run's log, the oldest line first."""
    body = {"logs": {"flow_run_id": {"any_": [flow_run_id]}}, "sort": "TIMESTAMP_DESC", "limit": PAGE}
    return parsed_rows((yield Request("POST", "/logs/filter", body)), LogLine.parse)[::-1]


def pause_deployment(deployment_id: str) -> Operation[None]:
    """Its schedules make no more runs, and those that they have made for later are gone; by hand it can be started."""
    body_of((yield Request("POST", f"/deployments/{deployment_id}/pause_deployment")))


def resume_deployment(deployment_id: str) -> Operation[None]:
    """Its schedules make runs again."""
    body_of((yield Request("POST", f"/deployments/{deployment_id}/resume_deployment")))


@dataclass(frozen=True, slots=True)
class UnreadableRun(FlowRun):
    """Stands for an ended run whose row says no more than its id, if that; `state_message` is why."""


@dataclass(frozen=True, slots=True)
class EndedFlowRuns:
    """Ended runs, the newest end first, and the server's clock as it answered, where it told that."""

    runs: list[FlowRun]
    present: datetime | None = None


def find_ended_flow_runs(
    states: Sequence[str],
    *,
    since: datetime | None = None,
    ids: Sequence[str] | None = None,
    flow: str | None = None,
    deployment: str | None = None,
    tags: Sequence[str] = (),
    limit: int | None = None,
) -> Operation[EndedFlowRuns]:
    """The runs that rest in one of these states, of those that ended at `since` or later; the `limit` newest ends.

    `flow` and `deployment` are names, so that a deployment that was made anew is found again; a run bears all `tags`.
    `ids` are at most PAGE. A row that cannot be read is an `UnreadableRun`, so that it hides no other.
    """
    runs: dict[str, Any] = {"state": {"type": {"any_": list(states)}}, "end_time": {"is_null_": False}}
    if since is not None:
        runs["end_time"]["after_"] = since.isoformat()
    if ids is not None:
        runs["id"] = {"any_": list(ids)}
    if tags:
        runs["tags"] = {"all_": list(tags)}
    wanted: dict[str, Any] = {"flow_runs": runs, "sort": "END_TIME_DESC"}
    if flow is not None:
        wanted["flows"] = {"name": {"any_": [flow]}}
    if deployment is not None:
        wanted["deployments"] = {"name": {"any_": [deployment]}}
    found: dict[str, FlowRun] = {}  # a run that ends between two pages moves the rest on
    offset, present = 0, None
    while limit is None or offset < limit:
        size = PAGE if limit is None else min(PAGE, limit - offset)
        answer = yield Request("POST", "/flow_runs/filter", {**wanted, "limit": size, "offset": offset})
        page = [_ended_run(answer, row) for row in rows(answer)]
        present = present or _clock_of(answer)
        found |= {run.id: run for run in page}
        offset += len(page)
        if len(page) < size:
            break
    return EndedFlowRuns(list(found.values()), present)


def _ended_run(answer: Answer, row: Any) -> FlowRun:
    try:
        return parsed(Answer(answer.status, row), _parse_end)
    except UnexpectedAnswer as error:
        fields = row if isinstance(row, dict) else {}
        named = {key: fields[key] for key in ("id", "state_type") if isinstance(fields.get(key), str)}
        if "id" not in named:
            named["id"] = f"unknown-{blake2b(repr(row).encode(errors='replace'), digest_size=8).hexdigest()}"
        stand_in = FlowRun.parse({"name": "", "state_type": "UNKNOWN", **named})
        fields_of = {each.name: getattr(stand_in, each.name) for each in dataclass_fields(FlowRun)}
        return UnreadableRun(**{**fields_of, "state_message": str(error)[:LONGEST_REASON]})


def _parse_end(row: Mapping[str, Any]) -> FlowRun:
    """Raises ValueError where it is a flow run, but none that has ended as Prefect says it."""
    run = FlowRun.parse(row)
    texts = (run.id, run.name, run.state_type, run.state_name, *run.tags)
    moments = [run.end_time, run.state_timestamp, run.start_time]
    if not all(isinstance(text, str) for text in texts) or not isinstance(run.deployment_id, str | None):
        raise ValueError("a name that is no text")
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        raise ValueError("a time without its zone")
    if run.end_time is None:
        raise ValueError("no end_time")
    return run


def _clock_of(answer: Answer) -> datetime | None:
    """The server's clock, from the Date header (RFC 9110, 6.6.1); None where there is none that can be read."""
    text = {name.lower(): value for name, value in answer.headers.items()}.get("date", "")
    try:
        clock = parsedate_to_datetime(text)
    except ValueError:
        return None
    return clock if clock.tzinfo is not None else None


def filter_flow_runs(wanted: Mapping[str, Any], *, sort: str, limit: int) -> Operation[list[FlowRun]]:
    """The first `limit` runs that a filter of Prefect's own finds (`{"flow_runs": …}`), in the order of `sort`."""
    found: list[FlowRun] = []
    while len(found) < limit:
        size = min(PAGE, limit - len(found))
        body = {**wanted, "sort": sort, "limit": size, "offset": len(found)}
        answer = yield Request("POST", "/flow_runs/filter", body)
        page = parsed_rows(answer, FlowRun.parse)
        found += page
        if len(page) < size:
            break
    return found
