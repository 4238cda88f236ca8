"""From a run that has ended to its result, or to the typed error that says why there is none.

Without I/O, as `wire`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from bridge.errors import FlowRunLost, FlowRunNeverStarted, FlowRunTimedOut, PrefectApiError, ResultInvalid
from bridge.prefect_api import wire
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding, examine_run
from bridge.verdict import Completed, Ended, Live, judge


@dataclass(frozen=True, slots=True)
class Outcome:
    """A success: the published result as JSON (None where the flow publishes none), and the reason of a skip."""

    result: Mapping[str, Any] | None
    skipped_because: str | None = None


def conclude(run: FlowRun, url: str, model: type[BaseModel] | None = None) -> Operation[Outcome]:
    """The outcome of a run that has ended.

    Raises the run's `FlowRunError` when it did not complete, ResultInvalid when `model` is given and the published
    result is missing or does not fit it.
    """
    completed = completion(run, url)
    result = yield from wire.read_result(run.id)
    return outcome(run, url, completed, result, model)


def completion(run: FlowRun, url: str) -> Completed:
    """The verdict on a run that has ended; raises its `FlowRunError` when it did not complete."""
    verdict = judge(run, url)
    if isinstance(verdict, Ended):
        raise verdict.error
    if not isinstance(verdict, Completed):
        raise RuntimeError(f"flow run {run.id} is {run.state_type}; only a run that has ended can be concluded")
    return verdict


def outcome(
    run: FlowRun,
    url: str,
    completed: Completed,
    result: Mapping[str, Any] | None,
    model: type[BaseModel] | None = None,
) -> Outcome:
    """The outcome of a run that completed and published `result`; raises ResultInvalid where it does not fit."""
    if model is not None:
        _check_result(run, url, result, model)
    return Outcome(result, completed.skipped_because)


def _check_result(run: FlowRun, url: str, result: Mapping[str, Any] | None, model: type[BaseModel]) -> None:
    if result is None:
        raise ResultInvalid(
            f"Flow run {run.name!r} completed, but published no result; a {model.__name__} was promised. {url}",
            flow_run_id=run.id,
            url=url,
        )
    try:
        model.model_validate(result)
    except ValidationError as error:
        raise ResultInvalid(
            f"Flow run {run.name!r} completed, but its result is no {model.__name__}: {error}. "
            f"Do flow and DAG use the same version of the contract? {url}",
            flow_run_id=run.id,
            url=url,
        ) from error


def never_started(run: FlowRun, url: str, waited_seconds: float) -> Operation[FlowRunNeverStarted]:
    """The error for a run whose start timeout has passed, naming what stands in its way and the remedy."""
    try:
        why = _standing(run, (yield from examine_run(run)))
    except PrefectApiError as error:
        why = f"{_place(run)}what stands in its way cannot be read ({error})"
    if run.state_type == "PENDING":
        why = f"a worker has taken it, but its process has not begun: look at the worker's log; {why}"
    return FlowRunNeverStarted(
        f"Flow run {run.name!r} did not start within {waited_seconds:.0f} s ({run.state_name}); {why}. {url}",
        flow_run_id=run.id,
        url=url,
    )


def _standing(run: FlowRun, findings: Sequence[Finding]) -> str:
    """How things stand where the run waits, and whatever has a remedy; where nothing has, what Prefect cannot tell."""
    pool = f"work pool {run.work_pool_name}"
    told = []
    for each in findings:
        if each.remedy or each.subject == pool:
            where = _place(run) if each.subject == pool else f"{each.subject}: "
            told.append(f"{where}{each.detail}" + (f"; remedy: {each.remedy}" if each.remedy else ""))
    if not any(each.remedy for each in findings):
        told.append("nothing that Prefect tells of stands in its way; whoever starts runs may be at a limit of its own")
    return "; ".join(told)


def _place(run: FlowRun) -> str:
    return f"work pool {run.work_pool_name!r}, queue {run.work_queue_name!r}: " if run.work_pool_name else ""


def timed_out(run: FlowRun, url: str, waited_seconds: float) -> FlowRunTimedOut:
    """The error for a run whose run timeout has passed."""
    return FlowRunTimedOut(
        f"Flow run {run.name!r} did not end within {waited_seconds:.0f} s; it was {run.state_name} when last read. "
        f"A run that says RUNNING for ever has often lost its process. {url}",
        flow_run_id=run.id,
        url=url,
    )


def out_of_sight(flow_run_id: str, url: str, reason: PrefectApiError) -> FlowRunLost:
    """The error for a run that can be followed no more because the API stayed away."""
    return FlowRunLost(
        f"Flow run {flow_run_id} is out of sight and may still run: {reason} Look at it when Prefect is back: {url}",
        flow_run_id=flow_run_id,
        url=url,
    )


def lost_with_its_deployment(flow_run_id: str, api_url: str, reason: PrefectApiError) -> FlowRunLost:
    """The error for a run that the API does not know, nor the deployment that it is of."""
    return FlowRunLost(
        f"Flow run {flow_run_id}, which this task started, is not known at {api_url}, and: {reason} Is this the "
        "Prefect that it was started in, and has its database been restored?",
        flow_run_id=flow_run_id,
    )


def describe_cancellation(run: FlowRun) -> str:
    """What became of a request to cancel, by the run as it was read afterwards."""
    if run.state_type == "CANCELLED":
        return f"flow run {run.name!r} is cancelled"
    if run.state_type == "CANCELLING":
        return (
            f"flow run {run.name!r} is still CANCELLING: its worker has not confirmed the end yet "
            "(Prefect's server itself ends it after 300 s)"
        )
    verdict = judge(run)
    if isinstance(verdict, Live):
        return f"flow run {run.name!r} is {run.state_name} although it was to be cancelled: look at its worker"
    return f"flow run {run.name!r} had ended before it could be cancelled: it is {run.state_name}"
