"""What the command line says to scripts: one number a kind of ending."""

from __future__ import annotations

from bridge.errors import BridgeError, FlowRunError, FlowRunTimedOut, ParametersRejected

DONE = 0
RUN_ENDED_BADLY = 1
USAGE = 2
PREFECT = 3
TIMED_OUT = 4
INTERRUPTED = 130
READER_GONE = 141
"""128 + SIGPIPE, as a program says that a closed pipe has ended."""

TABLE = (
    (DONE, "done; a run that was waited for succeeded, or skipped itself"),
    (RUN_ENDED_BADLY, "the flow run failed, crashed, was cancelled or was deleted"),
    (USAGE, "wrong usage, or parameters that the deployment refuses; nothing was started"),
    (
        PREFECT,
        "Prefect cannot be reached, refuses the credentials or lacks what was named; doctor found a fault",
    ),
    (TIMED_OUT, "--timeout has passed; the run goes on"),
    (INTERRUPTED, "interrupted with Ctrl-C; a run that was waited for goes on"),
    (READER_GONE, "whoever read the output has closed the pipe"),
)


def code_for(error: BridgeError) -> int:
    """The exit code that tells of `error`."""
    if isinstance(error, FlowRunTimedOut):
        return TIMED_OUT
    if isinstance(error, FlowRunError):
        return RUN_ENDED_BADLY
    if isinstance(error, ParametersRejected):
        return USAGE
    return PREFECT
