"""Runs that say RUNNING and are not: their process was killed together with what watched over it, so nobody told.

Prefect's engine sends an event every so often while a flow runs; here is asked when the last one came. Without I/O, as
`wire`. What takes such a run for crashed without a person is an automation of Prefect's (`flows/silent_runs.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from bridge.prefect_api.exchange import Operation, Request, parsed
from bridge.prefect_api.records import FlowRun, moment
from bridge.prefect_api.run_queries import filter_flow_runs
from bridge.readiness import Finding

EVENT = "prefect.flow-run.heartbeat"
USUAL_SECONDS = 180.0
"""Between two heartbeats, where Prefect's PREFECT_FLOWS_HEARTBEAT_FREQUENCY says nothing else."""
SHORTEST_SECONDS = 30.0
"""The least that Prefect allows; a retry in place begins anew, at any time."""
MISSED = 3
"""So many heartbeats in a row are not late, they are missing."""
MOST_RUNS = 50


def examine_running(deployments: Sequence[str] = ()) -> Operation[list[Finding]]:
    """A finding for each run that has fallen silent, of these deployments (`<flow>/<deployment>`) or of all.

    Of many runs the oldest MOST_RUNS are asked.
    """
    findings = []
    for of_deployment in [_runs_of(name) for name in deployments] or [{}]:
        wanted = {"flow_runs": {"state": {"type": {"any_": ["RUNNING"]}}}, **of_deployment}
        for run in (yield from filter_flow_runs(wanted, sort="START_TIME_ASC", limit=MOST_RUNS)):
            beats = yield from read_heartbeats(run.id)
            silent = silent_seconds(beats, run.read_at or datetime.now(UTC))
            if silent is not None:
                findings.append(_finding(run, silent))
    return findings


def read_heartbeats(flow_run_id: str) -> Operation[list[datetime]]:
    """When the run's latest two heartbeats were sent, the latest first; none where it sends none."""
    of_run = {"event": {"name": [EVENT]}, "resource": {"id": [f"prefect.flow-run.{flow_run_id}"]}, "order": "DESC"}
    answer = yield Request("POST", "/events/filter", {"filter": of_run, "limit": 2})
    if answer.status == 404:
        return []
    return parsed(answer, lambda page: [at for each in page["events"] if (at := moment(each["occurred"]))])


def silent_seconds(beats: Sequence[datetime], now: datetime) -> float | None:
    """For how long nothing was heard of a run, the latest heartbeat first; None while that is no wonder.

    Of a run that never sent one it cannot be told: it may have been told to send none.
    """
    if not beats:
        return None
    pace = (beats[0] - beats[1]).total_seconds() if len(beats) > 1 else USUAL_SECONDS
    silent = (now - beats[0]).total_seconds()
    return silent if silent > MISSED * max(pace, SHORTEST_SECONDS) else None


def _runs_of(deployment: str) -> dict[str, object]:
    flow, _, name = deployment.partition("/")
    return {"flows": {"name": {"any_": [flow]}}, "deployments": {"name": {"any_": [name]}}}


def _finding(run: FlowRun, silent: float) -> Finding:
    return Finding(
        f"flow run {run.name}",
        in_order=False,
        detail=f"RUNNING, but without a heartbeat for {silent:.0f} s: its process was probably killed ({run.id})",
        remedy=f"if no process of it is left: bridge cancel {run.id}, or set its state to Crashed in Prefect",
    )
