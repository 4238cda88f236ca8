"""How a flow's result leaves Prefect: as an artifact that anybody can read over REST, and as the run's final state.

Owns the artifact's form. Must not know what the results hold.
"""

from __future__ import annotations

from typing import Any

from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.states import Completed
from pydantic import BaseModel

from bridge.border import number_lost_in, trouble_with
from bridge.contracts import RESULT_ARTIFACT_KEY, SKIPPED_STATE_NAME

ARTIFACT_TYPE = "result"


def publish(result: BaseModel) -> dict[str, Any]:
    """The result as the plain dict that the flow returns, after it was published as the run's artifact.

    Raises ValueError, naming the path of the value, where it cannot be read on the other side.
    """
    name, document = type(result).__name__, result.model_dump(mode="json")
    if trouble := number_lost_in(result.model_dump(), name) or trouble_with(document, name):
        raise ValueError(f"The result cannot be published: {trouble}")
    description = f"`{type(result).__name__}` as JSON; read it by this key and the flow run's id."
    Artifact(type=ARTIFACT_TYPE, key=RESULT_ARTIFACT_KEY, description=description, data=document).create()
    return document


def publish_skip(result: BaseModel, reason: str) -> State[dict[str, Any]]:
    """The final state of a run that found nothing to do; called as a function the flow still gives the dict."""
    return Completed(name=SKIPPED_STATE_NAME, message=reason, data=publish(result))


def flow_run_url(ui_url: str | None) -> str | None:
    """Where a person looks at the running flow run; None when no web interface is known, or outside a run."""
    context = FlowRunContext.get()
    if ui_url is None or context is None or context.flow_run is None:
        return None
    return f"{ui_url.rstrip('/')}/runs/flow-run/{context.flow_run.id}"
