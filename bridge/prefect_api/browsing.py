"""Looking through flow runs: what people ask for, as a filter of Prefect's API. Pure, but for the reading itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.prefect_api import wire
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.wire import ENDED_TYPES, Operation

STATE_TYPES = ENDED_TYPES | {"SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"}


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which flow runs: of one deployment, in one of `states` (types, or names like Late), since, with all `tags`."""

    deployment_id: str | None = None
    states: tuple[str, ...] = ()
    since: datetime | None = None
    tags: tuple[str, ...] = ()
    limit: int = 20

    def filter(self, now: datetime) -> dict[str, Any]:
        """Prefect's filter. Runs that are planned for later than `now` are left out unless SCHEDULED is asked for."""
        types = [state.upper() for state in self.states if state.upper() in STATE_TYPES]
        names = [state for state in self.states if state.upper() not in STATE_TYPES]
        runs: dict[str, Any] = {}
        if self.deployment_id is not None:
            runs["deployment_id"] = {"any_": [self.deployment_id]}
        if self.states:
            runs["state"] = {"operator": "or_"}
            runs["state"] |= {"type": {"any_": types}} if types else {}
            runs["state"] |= {"name": {"any_": names}} if names else {}
        if self.tags:
            runs["tags"] = {"all_": list(self.tags)}
        expected = {} if "SCHEDULED" in types else {"before_": now.isoformat()}
        if self.since is not None:
            expected["after_"] = self.since.isoformat()
        if expected:
            runs["expected_start_time"] = expected
        return {"flow_runs": runs}


def list_flow_runs(query: RunQuery) -> Operation[list[FlowRun]]:
    """The latest runs of the query, the newest first."""
    return wire.filter_flow_runs(query.filter(datetime.now(UTC)), sort="EXPECTED_START_TIME_DESC", limit=query.limit)
