"""What a DAG run was started for by `PrefectEventTrigger`: each end of a flow run once, to one run of the DAG.

An asset event alone does not promise that. Airflow starts one run for what it collects between two looks of its
scheduler; where events follow each other closely, or the DAG is at its `max_active_runs`, 3.3.2 gives that run the
first of them only and starts none for the others (apache/airflow #56050, mended by #70972). And the trigger may tell an
end twice when the triggerer is lost. So a run also takes the recorded events that no run was given, and leaves a claim.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import Asset, get_current_context

CLAIMS_KEPT = 500
UNCLAIMED = ""
CLOCKS_DIFFER = timedelta(minutes=10)
"""An event is recorded after the end that it tells of, but by Airflow's clock."""
SETTLE_SECONDS = 1.0
"""Longer than a task takes from reading the claims to writing them: the state store cannot compare and set."""


def new_ends(asset: Asset) -> list[dict[str, Any]]:
    """The ends of flow runs that this DAG run is to handle, the oldest first; described in `docs/how-to`.

    Call it in a task that has the asset among its `inlets`, and only there: the asset's events and state are given to
    such tasks alone. A task that is tried again is given the same ends again. Empty in a run that no event started, and
    where another run of the DAG has taken the ends. Raises KeyError when the asset is not among the inlets.

    Two runs of the DAG at once may reach for an end that neither was given. The later claim holds, as long as no task
    stands still for a second in the middle of claiming; only `max_active_runs=1` makes that certain.
    """
    context: Mapping[str, Any] = get_current_context()
    store = context["asset_state_store"][asset]
    dag_id, run_id = context["dag_run"].dag_id, context["dag_run"].run_id
    given = context["triggering_asset_events"].get(asset, ())
    if not given:
        return []
    first = min(event.timestamp for event in given)
    recorded = list(context["inlet_events"][asset].after(first.isoformat()))
    if (doubtful := _oldest_doubt(recorded)) is not None:
        recorded = list(context["inlet_events"][asset].after(min(first, doubtful - CLOCKS_DIFFER).isoformat()))
    key = f"prefect-claims-{dag_id}"
    claims: dict[str, str] = store.get(key) or {}
    taken, unclaimed = _take(dag_id, run_id, first, recorded, claims)
    lost = set(unclaimed) - _claim(store, key, run_id, unclaimed)
    return [end for end in taken if end["event_id"] not in lost]


def _claim(store: Any, key: str, run_id: str, event_ids: Sequence[str]) -> set[str]:
    """Those of the ends that are this run's, once no other run's claim can have crossed with its own."""
    while True:
        claims: dict[str, str] = store.get(key) or {}
        missing = [event_id for event_id in event_ids if event_id not in claims]
        if not missing:
            return {event_id for event_id in event_ids if claims[event_id] == run_id}
        kept = list(claims.items())[-CLAIMS_KEPT:]
        store.set(key, dict(kept) | dict.fromkeys(missing, run_id))
        time.sleep(SETTLE_SECONDS)


def _oldest_doubt(recorded: Iterable[Any]) -> datetime | None:
    """When the first of those ends was that may have been told before; None where there is no such."""
    ends = (_end_in(event) for event in recorded)
    moments = [datetime.fromisoformat(end["end_time"]) for end in ends if end is not None and end["maybe_repeated"]]
    return min(moments, default=None)


def _take(
    dag_id: str, run_id: str, first: datetime, recorded: Iterable[Any], claims: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[str]]:
    """The ends that are this run's, and the ids of those that it must claim, because no run was given them."""
    owners: dict[str, str] = dict(claims)
    ends: dict[str, dict[str, Any]] = {}
    for event in sorted(recorded, key=lambda each: each.timestamp):
        end = _end_in(event)
        if end is None:
            continue
        ends[end["event_id"]] = end
        runs = sorted(run.run_id for run in event.created_dagruns if run.dag_id == dag_id)
        if runs:  # the first run that was given an end has it, however often it is told
            owners.setdefault(end["event_id"], runs[0])
        elif event.timestamp >= first:
            owners.setdefault(end["event_id"], UNCLAIMED)
    claimed = [event_id for event_id in ends if owners.get(event_id) == UNCLAIMED]
    mine = [end for event_id, end in ends.items() if owners.get(event_id) in {run_id, UNCLAIMED}]
    return sorted(mine, key=lambda end: str(end["end_time"])), claimed


def _end_in(event: Any) -> dict[str, Any] | None:
    """What a `PrefectEventTrigger` told in this asset event; None where it came from elsewhere."""
    payload = (event.extra or {}).get("payload")
    return payload if isinstance(payload, dict) and "event_id" in payload else None
