"""The names of the task runs that wrote a log's lines: asked of Prefect in batches, and remembered. Without I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from bridge.prefect_api.exchange import PAGE, Operation, Request, parsed_rows
from bridge.prefect_api.records import LogLine

KEPT = 10_000
"""Names are forgotten, all at once, where there are more."""


class TaskNames:
    """Use: carry `learn(lines)` out, which may fail, then show `name(lines)`."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, lines: Iterable[LogLine]) -> Operation[None]:
        """Ask for the names that are not known yet; Prefect may not have recorded a task run that has just begun."""
        if len(self._names) > KEPT:
            self._names.clear()
        unknown = list({line.task_run_id: None for line in lines if line.task_run_id}.keys() - self._names.keys())
        for start in range(0, len(unknown), PAGE):
            wanted = {"task_runs": {"id": {"any_": unknown[start : start + PAGE]}}, "limit": PAGE}
            answer = yield Request("POST", "/task_runs/filter", wanted)
            self._names |= dict(parsed_rows(answer, _name_by_id))

    def name(self, lines: Iterable[LogLine]) -> list[LogLine]:
        """The lines with the names of their task runs, as far as they are known."""
        return [
            replace(line, task_run_name=self._names.get(line.task_run_id, "")) if line.task_run_id else line
            for line in lines
        ]


def _name_by_id(document: Mapping[str, Any]) -> tuple[str, str]:
    return str(document["id"]), str(document["name"])
