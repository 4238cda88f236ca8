"""What a DAG run was started for by `PrefectEventTrigger`: each end of a flow run once, to one run of the DAG.

An asset event alone does not promise that. Airflow starts one run for what it collects between two looks of its
scheduler; where events follow each other closely, or the DAG is at its `max_active_runs`, 3.3.2 gives that run the
first of them only and starts none for the others (apache/airflow #56050, mended by #70972). And the trigger may tell an
end twice when the triggerer is lost. So a run also takes the recorded events that no run was given, and claims them
(`bridge.in_airflow.claim_book`). What comes before what is told by Airflow's records alone, never by Prefect's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from airflow.sdk import Asset, get_current_context

from bridge.in_airflow.claim_book import ClaimBook

LOOK_BACK = 1000
"""Records before a run's first among which the first telling of an end is looked for that may have been told before."""


def new_ends(asset: Asset) -> list[dict[str, Any]]:
    """The ends of flow runs that this DAG run is to handle, the oldest first; described in `docs/how-to`.

    Call it in a task that has the asset among its `inlets`, and only there: the asset's events and state are given to
    such tasks alone. A task that is tried again is given the same ends again, however late. Empty in a run that no
    event started, and where another run of the DAG has taken the ends. Raises KeyError when the asset is not among the
    inlets.

    Two runs of the DAG at once may reach for an end that neither was given. The later claim holds, as long as no task
    stands still for a second in the middle of claiming; only `max_active_runs=1` makes that certain.
    """
    context: Mapping[str, Any] = get_current_context()
    dag_id, run_id = context["dag_run"].dag_id, context["dag_run"].run_id
    given = context["triggering_asset_events"].get(asset, ())
    if not given:
        return []
    recorded = _recorded(context["inlet_events"], asset, min(event.timestamp for event in given).isoformat())
    first = min((event.id for event in recorded if run_id in _runs(event, dag_id)), default=None)
    if first is None:
        return []
    book = ClaimBook(context["asset_state_store"][asset], dag_id)
    claims = book.claims(min(event.id for event in recorded))
    ends, unclaimed = _take(dag_id, run_id, first, recorded, claims)
    mine = book.claim(run_id, unclaimed)
    lost = {event_id for record, event_id in unclaimed.items() if record not in mine}
    return [end for end in ends if end["event_id"] not in lost]


def _recorded(inlet_events: Any, asset: Asset, first: str) -> list[Any]:
    """The asset's events from the run's first on; where one may have been told before, also those before it."""
    recorded = {event.id: event for event in inlet_events[asset].after(first)}
    if any((_end_in(event) or {}).get("maybe_repeated") for event in recorded.values()):
        before = inlet_events[asset].before(first).ascending(ascending=False).limit(LOOK_BACK)
        recorded |= {event.id: event for event in before}
    return [recorded[number] for number in sorted(recorded)]


def _take(
    dag_id: str, run_id: str, first: int, recorded: Iterable[Any], claims: Mapping[int, str]
) -> tuple[list[dict[str, Any]], dict[int, str]]:
    """The ends that are this run's, and the records that it must claim, because no run was given them.

    `first` is the number of the first record that the run was given. One that has claimed before claims no more.
    """
    has_claimed = run_id in claims.values()
    owners: dict[str, str] = {}
    ends: dict[str, dict[str, Any]] = {}
    unclaimed: dict[int, str] = {}
    for event in recorded:
        end = _end_in(event)
        if end is None:
            continue
        ends[end["event_id"]] = end
        # The first run that was given an end has it, however often it is told.
        runs = [claims[event.id]] if event.id in claims else _runs(event, dag_id)
        if runs:
            owners.setdefault(end["event_id"], runs[0])
        elif event.id >= first and not has_claimed and end["event_id"] not in owners:
            owners[end["event_id"]] = run_id
            unclaimed[event.id] = end["event_id"]
    return [end for event_id, end in ends.items() if owners.get(event_id) == run_id], unclaimed


def _runs(event: Any, dag_id: str) -> list[str]:
    return sorted(run.run_id for run in event.created_dagruns if run.dag_id == dag_id)


def _end_in(event: Any) -> dict[str, Any] | None:
    """What a `PrefectEventTrigger` told in this asset event; None where it came from elsewhere."""
    payload = (event.extra or {}).get("payload")
    return payload if isinstance(payload, dict) and "event_id" in payload else None
