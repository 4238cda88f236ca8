"""What many waits ask of Prefect in one request each. Without I/O, as `wire`.

One malformed row spoils its own run's answer and no other's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bridge.contracts import RESULT_ARTIFACT_KEY
from bridge.errors import ResultInvalid, UnexpectedAnswer
from bridge.prefect_api.exchange import PAGE, Answer, AnswerUndecodable, Operation, Request, parsed, rows
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.prefect_api.results import published_result, unfit_result
from bridge.prefect_api.wire import flow_run_in

RESULTS_PAGE = 20
"""Runs whose results are read in one request: a result may be megabytes long."""

LOGS_PAGE = 1000
"""Runs whose log lines are read in one request."""


@dataclass(frozen=True, slots=True)
class Readings:
    """The runs of one answer, by id. `spoilt` holds the errors of malformed rows; the key "" is a row without an id."""

    runs: Mapping[str, FlowRun]
    spoilt: Mapping[str, UnexpectedAnswer]

    def missing(self, flow_run_id: str) -> UnexpectedAnswer | None:
        """Why an asked run may be absent although it was not deleted; None when the answer was sound."""
        return self.spoilt.get(flow_run_id) or self.spoilt.get("")


def read_page(flow_run_ids: Sequence[str], unless_state_type: str | None = None) -> Operation[Readings]:
    """Up to PAGE runs in one request; with `unless_state_type` those alone that are in another state type.

    Where nothing has changed, the latter costs Prefect a tenth of the former: it need not load the runs.
    """
    asked: dict[str, Any] = {"id": {"any_": list(flow_run_ids)}}
    if unless_state_type is not None:
        asked["state"] = {"type": {"not_any_": [unless_state_type]}}
    answer = yield Request("POST", "/flow_runs/filter", {"flow_runs": asked, "limit": PAGE})
    try:
        found = rows(answer)
    except AnswerUndecodable as error:
        if len(flow_run_ids) == 1:
            return Readings({}, {flow_run_ids[0]: error})
        first, second = _halves(flow_run_ids)
        one = yield from read_page(first, unless_state_type)
        other = yield from read_page(second, unless_state_type)
        return Readings({**one.runs, **other.runs}, {**one.spoilt, **other.spoilt})
    runs: dict[str, FlowRun] = {}
    spoilt: dict[str, UnexpectedAnswer] = {}
    for row in found:
        try:
            run = parsed(Answer(answer.status, row), flow_run_in(answer))
            runs[run.id] = run
        except UnexpectedAnswer as error:
            spoilt[_id_of(row)] = error
    return Readings(runs, spoilt)


def read_results(flow_run_ids: Sequence[str]) -> Operation[dict[str, Mapping[str, Any] | ResultInvalid]]:
    """The results that the runs published last, by run; a run that published none is absent.

    What cannot cross is an error in that run's place.
    """
    wanted = {
        "artifacts": {"flow_run_id": {"any_": list(flow_run_ids)}, "key": {"any_": [RESULT_ARTIFACT_KEY]}},
        "sort": "UPDATED_DESC",
        "limit": PAGE,
    }
    found: dict[str, Mapping[str, Any] | ResultInvalid] = {}
    offset = 0
    while True:
        try:
            page = rows((yield Request("POST", "/artifacts/filter", {**wanted, "offset": offset})))
        except AnswerUndecodable as error:
            if len(flow_run_ids) == 1:
                return {flow_run_ids[0]: unfit_result(flow_run_ids[0], str(error))}
            first, second = _halves(flow_run_ids)
            return {**(yield from read_results(first)), **(yield from read_results(second))}
        for row in page:
            flow_run_id = str(row.get("flow_run_id")) if isinstance(row, dict) else ""
            if flow_run_id not in found:  # the first is the newest
                found[flow_run_id] = _result(flow_run_id, row)
        offset += len(page)
        if len(page) < PAGE:
            return found


def read_log_page(
    flow_run_ids: Sequence[str], *, after: datetime | None = None, offset: int = 0
) -> Operation[list[tuple[str, LogLine] | None]]:
    """One page of the runs' logs, oldest line first, from `after` on (inclusive), each line with its run's id.

    A row that is no log line is None: it counts for paging. Fewer than PAGE rows are the last.
    """
    wanted: dict[str, Any] = {"flow_run_id": {"any_": list(flow_run_ids)}}
    if after is not None:
        wanted["timestamp"] = {"after_": after.isoformat()}
    body = {"logs": wanted, "sort": "TIMESTAMP_ASC", "limit": PAGE, "offset": offset}
    answer = yield Request("POST", "/logs/filter", body)
    return [_log_line(row) for row in rows(answer)]


def _log_line(row: Any) -> tuple[str, LogLine] | None:
    with suppress(KeyError, TypeError, ValueError, AttributeError):
        return str(row["flow_run_id"]), LogLine.parse(row)
    return None


def _result(flow_run_id: str, row: Any) -> Mapping[str, Any] | ResultInvalid:
    try:
        return published_result(flow_run_id, row)
    except ResultInvalid as error:
        return error


def _halves(flow_run_ids: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """What cannot be read together is read apart, until the one that spoils the others stands alone."""
    middle = len(flow_run_ids) // 2
    return flow_run_ids[:middle], flow_run_ids[middle:]


def _id_of(row: Any) -> str:
    return str(row.get("id") or "") if isinstance(row, dict) else ""
