"""How long a flow run may take, and what is done about one that has taken longer or is out of sight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bridge.ending import describe_cancellation, never_started, out_of_sight, timed_out
from bridge.errors import FlowRunError, FlowRunLost, PrefectApiError
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.records import FlowRun
from bridge.verdict import Live, judge

OnLost = Literal["leave", "cancel"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Durations in seconds, from the moment at which the run was asked for; None: no limit."""

    start_seconds: float | None
    run_seconds: float | None
    cancel_confirm_seconds: float
    """How long the end of an overdue run is looked for once it was asked to cancel."""
    on_lost: OnLost

    def look_again(self, client: PrefectClient, event: Mapping[str, Any]) -> FlowRun:
        """The run as it stands, on whatever grounds the wait has ended; on a passed deadline it is cancelled.

        Raises FlowRunNeverStarted, FlowRunTimedOut or FlowRunLost.
        """
        flow_run_id: str = event["flow_run_id"]
        try:
            run = client.run(wire.reread_flow_run(flow_run_id, client.connection.flow_run_url(flow_run_id)))
        except PrefectApiError as reason:
            raise self.lost(client, flow_run_id, reason) from reason
        verdict = judge(run, begun_before=event.get("begun_before", 0))
        if not isinstance(verdict, Live):
            return run
        overdue = event["because"] == "run_timeout" or (event["because"] == "start_timeout" and not verdict.started)
        return self._end_overdue(client, run, event["because"]) if overdue else run

    def lost(self, client: PrefectClient, flow_run_id: str, reason: PrefectApiError) -> FlowRunLost:
        """The error for a run that can be followed no more; as chosen, the run is cancelled where that is possible."""
        error = out_of_sight(flow_run_id, client.connection.flow_run_url(flow_run_id), reason)
        if self.on_lost == "leave":
            return error
        try:
            after = describe_cancellation(client.run(wire.cancel_flow_run(flow_run_id)))
        except PrefectApiError as refusal:
            after = f"it could not be cancelled either: {refusal}"
        return FlowRunLost(f"{error} As configured: {after}.", flow_run_id=flow_run_id, url=error.url)

    def _end_overdue(self, client: PrefectClient, run: FlowRun, because: str) -> FlowRun:
        """Cancel the run and raise the deadline's typed error, unless the run completed in the meantime."""
        url = client.connection.flow_run_url(run.id)
        after = client.run(wire.cancel_flow_run(run.id, confirm_seconds=self.cancel_confirm_seconds))
        if after.state_type == "COMPLETED":
            return after
        error: FlowRunError
        if because == "start_timeout":
            error = client.run(never_started(run, url, self.start_seconds or 0.0))
        else:
            error = timed_out(run, url, self.run_seconds or 0.0)
        raise type(error)(f"{error} Now {describe_cancellation(after)}.", flow_run_id=run.id, url=url)
