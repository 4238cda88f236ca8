"""Everything that can go wrong between two orchestrators, as one tree.

    BridgeError
    ├── ConnectionMisconfigured      the connection or profile cannot be used as it stands
    ├── PrefectApiError              the API did not do what was asked
    │   ├── PrefectUnreachable       no answer, after every retry
    │   ├── PrefectUnauthorised      401 or 403
    │   ├── DeploymentNotFound       no deployment of that name
    │   ├── FlowRunNotFound          no flow run of that id
    │   ├── ParametersRejected       the parameters do not fit the deployment
    │   ├── RetryRefused             a run that ended cannot be retried in place
    │   └── UnexpectedAnswer         an answer that the protocol does not know
    ├── FlowRunsFailed               too few of many flow runs completed
    └── FlowRunError                 a flow run did not end as it should
        ├── FlowRunFailed
        ├── FlowRunCrashed
        ├── FlowRunCancelled
        ├── FlowRunNeverStarted      the start timeout passed
        ├── FlowRunTimedOut          the run timeout passed
        ├── FlowRunLost              the run cannot be followed any more
        ├── UnknownState             a state type that this version does not know
        └── ResultInvalid            it completed, but its result is missing or of another form

Every message says what happened, to which run, where to look, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

__all__ = [
    "BridgeError",
    "ConnectionMisconfigured",
    "DeploymentNotFound",
    "FlowRunCancelled",
    "FlowRunCrashed",
    "FlowRunError",
    "FlowRunFailed",
    "FlowRunLost",
    "FlowRunNeverStarted",
    "FlowRunNotFound",
    "FlowRunTimedOut",
    "FlowRunsFailed",
    "ParametersRejected",
    "PrefectApiError",
    "PrefectUnauthorised",
    "PrefectUnreachable",
    "ResultInvalid",
    "RetryRefused",
    "UnexpectedAnswer",
    "UnknownState",
]


class BridgeError(Exception):
    """Root of all errors that the bridge raises on purpose."""

    retryable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody mending anything."""


class ConnectionMisconfigured(BridgeError):
    """The connection, profile or environment cannot be used as it stands."""


class PrefectApiError(BridgeError):
    """Prefect's API did not do what was asked."""


class PrefectUnreachable(PrefectApiError):
    """No usable answer from the API, after every retry."""

    retryable = True


class PrefectUnauthorised(PrefectApiError):
    """The API refused the credentials."""


class DeploymentNotFound(PrefectApiError):
    """There is no deployment of that name."""


class FlowRunNotFound(PrefectApiError):
    """There is no flow run of that id."""


class ParametersRejected(PrefectApiError):
    """The parameters do not fit the deployment; nothing was started."""


class RetryRefused(PrefectApiError):
    """Prefect declined to retry a run that has ended."""


class UnexpectedAnswer(PrefectApiError):
    """The API answered in a way that the protocol does not know."""


class FlowRunError(BridgeError):
    """A flow run did not end as it should.

    `flow_run_id` and `url` name the run; `url` is where people look at it.
    """

    retryable = True

    def __init__(self, message: str, *, flow_run_id: str, url: str = "") -> None:
        super().__init__(message)
        self.flow_run_id = flow_run_id
        self.url = url


class FlowRunFailed(FlowRunError):
    """The flow raised an exception or returned a failed state."""


class FlowRunCrashed(FlowRunError):
    """The flow's process or infrastructure went away."""


class FlowRunCancelled(FlowRunError):
    """The run was cancelled."""


class FlowRunNeverStarted(FlowRunError):
    """The run was not started within the start timeout."""


class FlowRunTimedOut(FlowRunError):
    """The run did not end within the run timeout."""


class FlowRunLost(FlowRunError):
    """The run cannot be followed any more: it was deleted, or the API stayed away for too long."""


class UnknownState(FlowRunError):
    """The run is in a state that this version of the bridge does not know; it is not taken for a success."""

    retryable = False


class ResultInvalid(FlowRunError):
    """The run completed, but did not publish the result that its contract promises."""

    retryable = False


class FlowRunsFailed(BridgeError):
    """Too few of many flow runs completed; `errors` holds the error of each that ended otherwise."""

    def __init__(self, message: str, errors: Sequence[FlowRunError] = ()) -> None:
        super().__init__(message)
        self.errors = tuple(errors)
