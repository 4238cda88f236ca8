"""How a flow run stands, judged once for everybody: operator, trigger, sensor, command line and page.

Pure. Only COMPLETED is a success; a state type that is not known here is an error, never a success.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bridge.contracts import SKIPPED_STATE_NAME
from bridge.errors import (
    FlowRunCancelled,
    FlowRunCrashed,
    FlowRunError,
    FlowRunFailed,
    UnknownState,
)
from bridge.prefect_api.records import FlowRun

WAITING_TYPES = frozenset({"SCHEDULED", "PENDING"})
"""State types of a run that waits for its first start, or for its next attempt."""

LIVE_TYPES = WAITING_TYPES | {"RUNNING", "PAUSED", "CANCELLING"}
"""State types of a run that has not ended."""

_ENDINGS: dict[str, tuple[type[FlowRunError], str, str]] = {
    "FAILED": (FlowRunFailed, "failed", "Look at its log, mend the flow or its input, and run it again."),
    "CRASHED": (FlowRunCrashed, "crashed", "Its process or machine went away; look at the worker's log."),
    "CANCELLED": (FlowRunCancelled, "was cancelled", "Start it again if that was not meant."),
}


@dataclass(frozen=True, slots=True)
class Live:
    """The run has not ended; `started` tells whether it has begun."""

    started: bool


@dataclass(frozen=True, slots=True)
class Completed:
    """The run succeeded; `skipped_because` is the flow's reason when it had nothing to do."""

    skipped_because: str | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The run ended otherwise; `error` says how and is ready to be raised."""

    error: FlowRunError


Verdict = Live | Completed | Ended


def judge(run: FlowRun, url: str = "", begun_before: int = 0) -> Verdict:
    """How `run` stands; `url` is where people look at it and goes into the message.

    `begun_before` is how often it had begun before it was asked for: more than 0 after a retry in place.
    """
    if run.state_type in LIVE_TYPES:
        # A flow with retries is SCHEDULED again (AwaitingRetry) between two attempts: it has begun all the same.
        begun = run.start_time is not None and (not begun_before or run.run_count > begun_before)
        return Live(started=run.state_type not in WAITING_TYPES or begun)
    if run.state_type == "COMPLETED":
        if run.state_name == SKIPPED_STATE_NAME:
            return Completed(skipped_because=run.state_message or "the flow gave no reason")
        return Completed()
    kind, verb, advice = _ENDINGS.get(
        run.state_type, (UnknownState, f"is in the unknown state {run.state_type!r}", "Update the bridge.")
    )
    said = f" Prefect says: {run.state_message.rstrip('.')}." if run.state_message else ""
    where = f" {url}" if url else ""
    return Ended(kind(f"Flow run {run.name!r} {verb}.{said} {advice}{where}", flow_run_id=run.id, url=url))


def seconds_to_final(run: FlowRun, crash_grace_seconds: float, now: datetime) -> float:
    """Seconds from its reading until a run that has ended is to be taken as ended.

    CRASHED is not always Prefect's last word: a run whose process was thought dead may report again
    (PrefectHQ/prefect#16429). Prefect's clock says how old the state is; `now` counts where the reading bears no time.
    """
    if run.state_type != "CRASHED" or run.state_timestamp is None:
        return 0.0
    age_seconds = ((run.read_at or now) - run.state_timestamp).total_seconds()
    return max(0.0, crash_grace_seconds - max(0.0, age_seconds))


def is_final(run: FlowRun, crash_grace_seconds: float, now: datetime) -> bool:
    """Whether the run had ended when it was read, and is to be taken as ended."""
    return not isinstance(judge(run), Live) and seconds_to_final(run, crash_grace_seconds, now) <= 0
