"""Which runs are stuck and why, asked of Prefect beside what the page reads anyway: seldom, and of few."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime

from bridge.heartbeats import MISSED, SHORTEST_SECONDS, read_heartbeats, silent_seconds
from bridge.prefect_api.records import FlowRun
from bridge.readiness import Finding, examine_run
from plugins.control_page.freshness import Seen
from plugins.control_page.prefect_reader import PATIENCE_SECONDS, PrefectReader
from plugins.control_page.routes.looking import Deployments, name_of, see_live_runs
from plugins.control_page.run_views import run_view
from plugins.control_page.stuck import (
    Stuck,
    StuckRuns,
    grouped,
    how_stuck,
    is_suspect,
    pools_at_work,
    reason_in,
)

REASON_SECONDS = 60.0
BEATS_SECONDS = 60.0
MOST_SUSPECTS = 5
"""So many runs are asked after at once, each for a request a minute; where there are more, they take turns."""
MOST_REASONS = 2
"""Ways of waiting whose reason is looked for; each costs some requests a minute."""


async def find_stuck(
    reader: PrefectReader, live: Sequence[FlowRun], deployments: Deployments, now: datetime, patience_seconds: float
) -> list[StuckRuns]:
    """The stuck ones of these runs, by deployment and by how they are stuck; `live` is oldest first."""
    suspects = [run for run in live if is_suspect(run, now, MISSED * SHORTEST_SECONDS)]
    asked = in_turn(suspects, int(now.timestamp() // BEATS_SECONDS))
    await asyncio.gather(*(_see_heartbeats(reader, run, patience_seconds) for run in asked))
    silences = {run.id: _silent_seconds(reader.known(_key_of(run)), now) for run in suspects}
    busy = pools_at_work(live, {run_id for run_id, seconds in silences.items() if seconds is not None})
    judged = ((run, how_stuck(run, now, silences.get(run.id), behind=run.work_pool_name in busy)) for run in live)
    found = {run.id: (run, stuck) for run, stuck in judged if stuck is not None}
    reasons = await _reasons(reader, list(found.values()), patience_seconds)
    views = [run_view(run, name_of(deployments, run), now) for run, _ in found.values()]
    return grouped({key: stuck for key, (_, stuck) in found.items()}, views, reasons)


async def find_out_why(reader: PrefectReader, run: FlowRun, now: datetime) -> tuple[Stuck | None, list[Finding]]:
    """Whether this run is stuck, and what stands in its way with what to do about it."""
    silent = None
    if is_suspect(run, now, MISSED * SHORTEST_SECONDS):
        silent = _silent_seconds(await _see_heartbeats(reader, run, PATIENCE_SECONDS), now)
    others = await see_live_runs(reader, None) if run.state_type == "SCHEDULED" else Seen([])
    stuck = how_stuck(run, now, silent, behind=run.work_pool_name in pools_at_work(others.value or ()))
    if stuck is None or run.state_type not in {"SCHEDULED", "PENDING"}:
        return stuck, []
    findings = await _see_findings(reader, run, PATIENCE_SECONDS)
    return stuck, [each for each in findings.value or () if each.remedy]


async def _reasons(
    reader: PrefectReader, found: Sequence[tuple[FlowRun, Stuck]], patience_seconds: float
) -> Mapping[str, str]:
    """Why runs wait, by the id of one run of each deployment."""
    firsts = {run.deployment_id: (run, stuck) for run, stuck in reversed(found) if run.state_type == "SCHEDULED"}
    asked = list(firsts.values())[:MOST_REASONS]
    seen = await asyncio.gather(*(_see_findings(reader, run, patience_seconds) for run, _ in asked))
    return {run.id: reason_in(each.value, stuck) for (run, stuck), each in zip(asked, seen, strict=True) if each.value}


async def _see_findings(reader: PrefectReader, run: FlowRun, patience_seconds: float) -> Seen[list[Finding]]:
    return await reader.see(
        ("findings", run.id),
        lambda: examine_run(run),
        fresh_seconds=REASON_SECONDS,
        patience_seconds=patience_seconds,
    )


def in_turn(suspects: Sequence[FlowRun], turn: int) -> Sequence[FlowRun]:
    """Those that are asked after now: a run that is silent is found however many others run longer."""
    turns = -(-len(suspects) // MOST_SUSPECTS) or 1
    first = turn % turns * MOST_SUSPECTS
    return suspects[first : first + MOST_SUSPECTS]


async def _see_heartbeats(reader: PrefectReader, run: FlowRun, patience_seconds: float) -> Seen[list[datetime]]:
    return await reader.see(
        _key_of(run),
        lambda: read_heartbeats(run.id),
        fresh_seconds=BEATS_SECONDS,
        patience_seconds=patience_seconds,
    )


def _key_of(run: FlowRun) -> tuple[str, str]:
    return "heartbeats", run.id


def _silent_seconds(beats: Seen[list[datetime]], now: datetime) -> float | None:
    if beats.value is None or beats.read_at is None:
        return None
    return silent_seconds(beats.value, min(now, beats.read_at))  # what was read a while ago has not fallen silent since
