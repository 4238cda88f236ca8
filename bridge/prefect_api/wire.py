"""The protocol, written once and without I/O: what to ask Prefect and how to read its answers.

Each operation is a generator that yields a `Request`, is sent the `Answer`, and returns what it learned. Clients drive
it (`bridge.prefect_api.client`); retries are `bridge.prefect_api.retrying`'s business. Endpoints as in Prefect 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from bridge.errors import (
    DeploymentNotFound,
    FlowRunLost,
    FlowRunNotFound,
    ParametersRejected,
    PrefectApiError,
    PrefectUnreachable,
    RetryRefused,
)
from bridge.prefect_api.exchange import (
    PAGE,
    Answer,
    Operation,
    Request,
    body_of,
    detail_of,
    pages,
    parsed,
    parsed_rows,
    rows,
)
from bridge.prefect_api.records import DeploymentRecord, FlowRun, LogLine, Worker
from bridge.prefect_api.results import published_result as published_result
from bridge.prefect_api.results import read_result as read_result
from bridge.prefect_api.results import unfit_result as unfit_result

ENDED_TYPES = frozenset({"COMPLETED", "FAILED", "CRASHED", "CANCELLED"})
"""State types in which a run has ended, as far as Prefect's protocol goes; `bridge.verdict` says what they mean."""

CONFIRM_INTERVAL_SECONDS = 0.5
RETRIES_THAT_MAY_FAIL = 10
"""So often a retry in place is asked for that Prefect could not carry out, its database being locked."""
RETRIED_MESSAGE = "Retried by bridge"
"""Of the state by which a run is scheduled again in place."""
CANCELLED_MESSAGE = "Cancelled by bridge"
"""Of the state by which a cancellation is asked for."""
TAKEN_BACK_MESSAGE = "Taken back by bridge before it was started"
"""Of the state of a run that spends a key."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What starts a flow run. Without `idempotency_key` a lost answer cannot be asked for again."""

    parameters: Mapping[str, Any]
    idempotency_key: str | None = None
    name: str | None = None
    tags: Sequence[str] = ()
    labels: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    job_variables: Mapping[str, Any] = field(default_factory=dict)
    """For the work pool's job template; a deployment without a work pool takes none."""


@dataclass(frozen=True, slots=True)
class Created:
    """The run that bears the key; `new` is False when it was there before."""

    run: FlowRun
    new: bool


def find_deployment(name: str) -> Operation[DeploymentRecord]:
    """The deployment `<flow>/<deployment>`; raises DeploymentNotFound."""
    flow, _, deployment = name.partition("/")
    answer = yield Request("GET", f"/deployments/name/{quote(flow, safe='')}/{quote(deployment, safe='')}")
    if answer.status == 404:
        raise DeploymentNotFound(
            f"Prefect has no deployment {name!r}. Deploy it (prefect deploy --all), "
            "or see what there is with: bridge deployments"
        )
    return parsed(answer, DeploymentRecord.parse)


def list_deployments() -> Operation[list[tuple[str, DeploymentRecord]]]:
    """Every deployment with its full name `<flow>/<deployment>`, by name."""
    records = yield from pages("/deployments/filter", {}, DeploymentRecord.parse)
    flow_names = yield from _flow_names({record.flow_id for record in records})
    return sorted((f"{flow_names.get(record.flow_id, '?')}/{record.name}", record) for record in records)


def check_deployments_are_known() -> Operation[None]:
    """Whether what answers knows of deployments, as every Prefect does; raises PrefectApiError where it does not."""
    rows((yield Request("POST", "/deployments/filter", {"limit": 1})))


def _flow_names(flow_ids: Iterable[str]) -> Operation[dict[str, str]]:
    ids = sorted(flow_ids)
    names: dict[str, str] = {}
    for start in range(0, len(ids), PAGE):
        asked = {"flows": {"id": {"any_": ids[start : start + PAGE]}}, "limit": PAGE}
        answer = yield Request("POST", "/flows/filter", asked)
        names |= dict(parsed_rows(answer, lambda document: (document["id"], document["name"])))
    return names


def create_flow_run(
    deployment: DeploymentRecord, submission: Submission, label: str, *, cancelled: bool = False
) -> Operation[Created]:
    """Start a run, or be handed the one that bears the key already. `label` names the deployment in errors.

    `cancelled` makes one that never runs, whatever its parameters: it spends the key. Raises ParametersRejected with
    the server's words (409 from its schema check, 400 from hydration).
    """
    document: dict[str, Any] = {
        "parameters": dict(submission.parameters),
        "tags": list(submission.tags),
        "labels": dict(submission.labels),
        "state": {"type": "SCHEDULED", "message": "Started by bridge"},
    }
    if cancelled:
        document["state"] = {"type": "CANCELLED", "name": "Cancelled", "message": TAKEN_BACK_MESSAGE}
        document["enforce_parameter_schema"] = False
    if submission.name:
        document["name"] = submission.name
    if submission.idempotency_key:
        document["idempotency_key"] = submission.idempotency_key
    if submission.job_variables:
        document["job_variables"] = dict(submission.job_variables)
    answer = yield Request(
        "POST",
        f"/deployments/{deployment.id}/create_flow_run",
        document,
        repeatable=submission.idempotency_key is not None,
    )
    if answer.status == 404:
        raise DeploymentNotFound(f"Deployment {label!r} was deleted while a run of it was to start; deploy it again")
    if answer.status in {400, 409, 422}:
        raise ParametersRejected(f"Prefect refused the parameters for {label!r}: {detail_of(answer)}")
    return Created(parsed(answer, flow_run_in(answer)), new=answer.status == 201)


def read_flow_run(flow_run_id: str, *, after_seconds: float = 0.0) -> Operation[FlowRun]:
    """One run, read after a pause; raises FlowRunNotFound."""
    answer = yield Request("GET", f"/flow_runs/{flow_run_id}", after_seconds=after_seconds)
    if answer.status in {404, 422}:
        raise FlowRunNotFound(f"Prefect has no flow run {flow_run_id}; it may have been deleted")
    return parsed(answer, flow_run_in(answer))


def flow_run_in(answer: Answer) -> Callable[[Mapping[str, Any]], FlowRun]:
    """How a flow run of this answer is parsed: it was read when the answer says that it was given."""
    date = {name.lower(): text for name, text in answer.headers.items()}.get("date", "")
    try:
        read_at = parsedate_to_datetime(date)
    except ValueError:
        return FlowRun.parse
    return partial(FlowRun.parse, read_at=read_at if read_at.tzinfo else read_at.replace(tzinfo=UTC))


def reread_flow_run(flow_run_id: str, url: str) -> Operation[FlowRun]:
    """A run that was there before; raises FlowRunLost when it is gone. `url` is where people looked at it."""
    try:
        return (yield from read_flow_run(flow_run_id))
    except FlowRunNotFound as error:
        raise lost(flow_run_id, url) from error


def lost(flow_run_id: str, url: str) -> FlowRunLost:
    """The error for a run that was waited for and is there no more."""
    return FlowRunLost(
        f"Flow run {flow_run_id} is gone: it was deleted in Prefect while it was waited for. {url}",
        flow_run_id=flow_run_id,
        url=url,
    )


def read_flow_runs(flow_run_ids: Iterable[str]) -> Operation[dict[str, FlowRun]]:
    """Many runs in as few requests as Prefect allows, by id; runs that are gone are absent."""
    ids = list(flow_run_ids)
    runs: dict[str, FlowRun] = {}
    for start in range(0, len(ids), PAGE):
        wanted = {"flow_runs": {"id": {"any_": ids[start : start + PAGE]}}, "limit": PAGE}
        answer = yield Request("POST", "/flow_runs/filter", wanted)
        runs |= {run.id: run for run in parsed_rows(answer, flow_run_in(answer))}
    return runs


def label_flow_run(flow_run_id: str, labels: Mapping[str, str | int | float | bool]) -> Operation[None]:
    """Write labels on a run, over those of the same names; raises FlowRunNotFound."""
    answer = yield Request("PATCH", f"/flow_runs/{flow_run_id}/labels", dict(labels))
    if answer.status in {404, 422}:
        raise FlowRunNotFound(f"Prefect has no flow run {flow_run_id}; it may have been deleted")
    body_of(answer)


def cancel_flow_run(
    flow_run_id: str, *, confirm_seconds: float = 0.0, message: str = CANCELLED_MESSAGE
) -> Operation[FlowRun]:
    """Ask for cancellation and say how the run stands afterwards, looking for up to `confirm_seconds` for its end.

    `message` is that of the state by which it is asked for; the end bears one of Prefect's own. A scheduled run's
    request is answered REJECT although the run becomes CANCELLED, and a run that has ended answers ABORT: only reading
    it again tells.
    """
    state = {"type": "CANCELLING", "name": "Cancelling", "message": message}
    answer = yield Request("POST", f"/flow_runs/{flow_run_id}/set_state", {"state": state, "force": False})
    if answer.status in {404, 422}:
        raise FlowRunNotFound(f"Prefect has no flow run {flow_run_id}; there is nothing to cancel")
    body_of(answer)
    run = yield from read_flow_run(flow_run_id)
    for _ in range(int(confirm_seconds / CONFIRM_INTERVAL_SECONDS)):
        if run.state_type in ENDED_TYPES:
            break
        run = yield from read_flow_run(flow_run_id, after_seconds=CONFIRM_INTERVAL_SECONDS)
    return run


def retry_flow_run(flow_run_id: str) -> Operation[FlowRun]:
    """Prefect's own retry of a run that has ended: the same run again, in which finished tasks keep their results.

    Prefect compares and sets: it schedules the run only where that rests in the very end that was read here. So a run
    that lives, or that somebody else retried meanwhile, is left alone, and asking twice has the effect of asking once.
    Gives the run as it stands afterwards. Raises FlowRunNotFound, RetryRefused where Prefect declines.
    """
    run = yield from read_flow_run(flow_run_id)
    if run.state_type not in ENDED_TYPES:
        return run
    seen: dict[str, Any] = {"id": {"any_": [run.id]}, "state": {"type": {"any_": [run.state_type]}}}
    if run.end_time is not None:
        seen["end_time"] = {"after_": run.end_time.isoformat(), "before_": run.end_time.isoformat()}
    state = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": RETRIED_MESSAGE}
    asked = {"flow_runs": seen, "state": state, "force": True}
    pause_seconds, refusal = 0.0, None
    for _ in range(RETRIES_THAT_MAY_FAIL):
        answer = yield Request("POST", "/flow_runs/bulk_set_state", asked, after_seconds=pause_seconds)
        refusal, by_rule = parsed(answer, _bulk_refusal)
        if by_rule:
            raise RetryRefused(f"Prefect refused to retry flow run {run.name!r}: {refusal}")
        run = yield from read_flow_run(flow_run_id)
        if refusal is None:
            return run
        pause_seconds = CONFIRM_INTERVAL_SECONDS
    raise PrefectUnreachable(f"Prefect could not retry flow run {run.name!r}: {refusal}. Try again later")


def read_logs(flow_run_id: str, *, after: datetime | None = None, offset: int = 0) -> Operation[list[LogLine]]:
    """One page (at most PAGE lines) of a run's log, oldest first, from `after` on (inclusive)."""
    wanted: dict[str, Any] = {"flow_run_id": {"any_": [flow_run_id]}}
    if after is not None:
        wanted["timestamp"] = {"after_": after.isoformat()}
    body = {"logs": wanted, "sort": "TIMESTAMP_ASC", "limit": PAGE, "offset": offset}
    answer = yield Request("POST", "/logs/filter", body)
    return parsed_rows(answer, LogLine.parse)


def list_workers(work_pool_name: str) -> Operation[list[Worker]]:
    """The workers that a pool has seen; an unknown pool has none."""
    answer = yield Request("POST", f"/work_pools/{quote(work_pool_name, safe='')}/workers/filter", {"limit": PAGE})
    return [] if answer.status == 404 else parsed_rows(answer, Worker.parse)


def read_server_version() -> Operation[str]:
    """The server's version."""
    answer = yield Request("GET", "/admin/version")
    if answer.status == 404:
        raise PrefectApiError("There is no Prefect API at this address (HTTP 404); does it lack /api at its end?")
    return str(body_of(answer))


def _refusal(orchestration: Mapping[str, Any]) -> str | None:
    """Why Prefect did not take a state; None when it did."""
    if orchestration["status"] == "ACCEPT":
        return None
    return str((orchestration.get("details") or {}).get("reason") or orchestration["status"])


def _bulk_refusal(results: Mapping[str, Any]) -> tuple[str | None, bool]:
    """Why Prefect did not take the state on the one run that it may have found, and whether a rule of its says so.

    Without a state there was none: Prefect met an error of its own, such as a locked database, and names that.
    """
    for result in results["results"]:
        refusal = _refusal(result)
        return refusal, refusal is not None and result["state"] is not None
    return None, False
