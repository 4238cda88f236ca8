"""A flow run's published result: which artifact holds it, and whether it can cross to Airflow.

Without I/O, as `bridge.prefect_api.wire`. What can cross is `bridge.border`'s business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bridge.border import trouble_with
from bridge.contracts import RESULT_ARTIFACT_KEY
from bridge.errors import ResultInvalid
from bridge.prefect_api.exchange import AnswerUndecodable, Operation, Request, rows


def read_result(flow_run_id: str) -> Operation[Mapping[str, Any] | None]:
    """The result that the run published last as an artifact, or None; raises ResultInvalid where it cannot cross."""
    wanted = {
        "artifacts": {"flow_run_id": {"any_": [flow_run_id]}, "key": {"any_": [RESULT_ARTIFACT_KEY]}},
        "sort": "UPDATED_DESC",
        "limit": 1,
    }
    try:
        published = rows((yield Request("POST", "/artifacts/filter", wanted)))
    except AnswerUndecodable as error:
        raise unfit_result(flow_run_id, str(error)) from error
    return published_result(flow_run_id, published[0]) if published else None


def published_result(flow_run_id: str, artifact: Any) -> Mapping[str, Any]:
    """The result in a row of `/artifacts/filter`; raises ResultInvalid where Airflow cannot hold it."""
    data = artifact.get("data") if isinstance(artifact, dict) else None
    if isinstance(data, str):  # Prefect's own Artifact class stores an object as its JSON text
        with suppress(ValueError, RecursionError):  # no JSON; an integer of thousands of digits; thousands deep
            data = json.loads(data)
    if not isinstance(data, dict):
        raise unfit_result(flow_run_id, f"it is no JSON object, but: {str(data)[:100]!r}")
    if trouble := trouble_with(data, "result"):
        raise unfit_result(flow_run_id, trouble)
    return data


def unfit_result(flow_run_id: str, trouble: str) -> ResultInvalid:
    """The error for a run whose result cannot cross."""
    return ResultInvalid(
        f"What flow run {flow_run_id} published as {RESULT_ARTIFACT_KEY!r} cannot be handed on: {trouble}. Mend what "
        "the flow publishes",
        flow_run_id=flow_run_id,
    )
