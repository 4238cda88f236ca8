"""How many flow runs stand, read at once: which have completed, which have ended otherwise, which are under way.

Without I/O, as `wire`. Knows nothing of Airflow, and cancels nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.ending import out_of_sight, timed_out
from bridge.errors import FlowRunError, FlowRunsFailed, ResultInvalid, UnexpectedAnswer
from bridge.prefect_api import wire
from bridge.prefect_api.batches import RESULTS_PAGE, read_page, read_results
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import PAGE, Operation
from bridge.prefect_api.records import FlowRun
from bridge.quorum import Quorum
from bridge.verdict import Completed, Live, is_final, judge

ERRORS_TOLD = 10
"""More errors than these are counted, not quoted."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Runs by how they stand, in the order in which they were given; `errors` holds one for each failed or gone run."""

    completed: Sequence[FlowRun]
    failed: Sequence[FlowRun]
    live: Sequence[FlowRun]
    errors: Sequence[FlowRunError]
    read_at: datetime
    """When they were read, by Prefect's clock; by this machine's where none of them could be."""

    def failure(self, quorum: Quorum, connection: PrefectConnection, waited_seconds: float | None) -> FlowRunsFailed:
        """Why waiting is over although too few have completed; `waited_seconds` where the deadline has passed."""
        errors = list(self.errors)
        if waited_seconds is not None:
            errors += [timed_out(run, connection.flow_run_url(run.id), waited_seconds) for run in self.live]
        told = [f"- {error}" for error in errors[:ERRORS_TOLD]]
        if len(errors) > ERRORS_TOLD:
            told.append(f"- and {len(errors) - ERRORS_TOLD} more")
        head = (
            f"{len(self.completed)} of {quorum.total} flow runs completed, {quorum.needed} must: "
            f"{len(self.errors)} ended otherwise, {len(self.live)} are under way and were left alone."
        )
        return FlowRunsFailed("\n".join([head, *told]), errors)


def summarise_runs(
    connection: PrefectConnection, flow_run_ids: Sequence[str], crash_grace_seconds: float
) -> Operation[RunSummary]:
    """How the runs stand now; a crashed run within its grace is under way.

    One that is gone, or whose record cannot be read, counts as an error, and as nobody else's.
    """
    runs: dict[str, FlowRun] = {}
    spoilt: dict[str, UnexpectedAnswer] = {}
    for start in range(0, len(flow_run_ids), PAGE):
        readings = yield from read_page(flow_run_ids[start : start + PAGE])
        runs |= readings.runs
        spoilt |= readings.spoilt
    completed: list[FlowRun] = []
    failed: list[FlowRun] = []
    live: list[FlowRun] = []
    errors: list[FlowRunError] = []
    for flow_run_id in flow_run_ids:
        url = connection.flow_run_url(flow_run_id)
        run = runs.get(flow_run_id)
        if run is None:
            unreadable = spoilt.get(flow_run_id) or spoilt.get("")
            errors.append(out_of_sight(flow_run_id, url, unreadable) if unreadable else wire.lost(flow_run_id, url))
            continue
        verdict = judge(run, url)
        if isinstance(verdict, Completed):
            completed.append(run)
        elif isinstance(verdict, Live) or not is_final(run, crash_grace_seconds, datetime.now(UTC)):
            live.append(run)
        else:
            failed.append(run)
            errors.append(verdict.error)
    read_at = max((run.read_at for run in runs.values() if run.read_at is not None), default=datetime.now(UTC))
    return RunSummary(completed, failed, live, errors, read_at)


def describe_ended(
    connection: PrefectConnection, flow_run_ids: Iterable[str], stock: RunSummary
) -> Operation[list[dict[str, Any]]]:
    """The runs that have ended, in the order of `flow_run_ids`, as JSON objects with the results that they published.

    Where a result cannot cross it is null, and `result_error` says why.
    """
    results: dict[str, Any] = {}
    ids = [run.id for run in stock.completed]
    for start in range(0, len(ids), RESULTS_PAGE):
        results |= yield from read_results(ids[start : start + RESULTS_PAGE])
    ended = {run.id: run for run in [*stock.completed, *stock.failed]}
    return [
        {
            "flow_run_id": run.id,
            "name": run.name,
            "state": run.state_type,
            "url": connection.flow_run_url(run.id),
            **_told(results.get(run.id)),
        }
        for run in (ended[each] for each in flow_run_ids if each in ended)
    ]


def _told(result: Mapping[str, Any] | ResultInvalid | None) -> dict[str, Any]:
    if isinstance(result, ResultInvalid):
        return {"result": None, "result_error": str(result)}
    return {"result": result}
