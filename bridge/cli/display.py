"""What the command line shows: pleasant on a terminal, plain lines in a pipe, JSON where asked.

People's words go to stderr, so that stdout holds nothing but the answer.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from bridge.ending import Outcome
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.submitting import Submitted

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "blue",
    "FAILED": "red",
    "CRASHED": "dark_orange",
    "CANCELLED": "bright_black",
    "CANCELLING": "bright_black",
}


class LiveState(Protocol):
    """Shows how the run stands while it is waited for."""

    def state(self, run: FlowRun) -> None: ...


class Display:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = Console(highlight=False, soft_wrap=True)
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A sentence for people."""
        self._err.print(Text(text))

    def started(self, deployment: str, submitted: Submitted, url: str) -> None:
        verb = "Attached to" if submitted.attached else "Started"
        self.say(f"{verb} {submitted.run.name} of {deployment}\n{url}")

    def state(self, run: FlowRun) -> None:
        line = Text(f"{_clock(run.state_timestamp)}  ")
        line.append(run.state_name, style=_COLOURS.get(run.state_type, "yellow"))
        if run.state_message:
            line.append(f"  {run.state_message}")
        self._err.print(line)

    def log(self, line: LogLine) -> None:
        style = "red" if line.level >= logging.ERROR else "yellow" if line.level >= logging.WARNING else "dim"
        text = f"{_clock(line.timestamp)}  {logging.getLevelName(line.level):<7}  {line.message}"
        self._err.print(Text(text, style=style))

    @contextmanager
    def live(self) -> Iterator[LiveState]:
        """A spinner with state and age on a terminal; nothing in a pipe."""
        if not self._err.is_terminal:
            yield _Silent()
            return
        with self._err.status("…") as status:
            yield _Spinner(status)

    def outcome(self, run: FlowRun, url: str, outcome: Outcome) -> None:
        """The end of a run that was waited for: its result is the answer."""
        if self._as_json:
            skipped = outcome.skipped_because
            self._print_json({**describe(run, url), "skipped_because": skipped, "result": outcome.result})
            return
        if outcome.skipped_because:
            self.say(f"Skipped: {outcome.skipped_because}")
        if outcome.result is None:
            self.say("The flow published no result.")
        else:
            self._print_json(outcome.result)

    def document(self, document: Mapping[str, Any]) -> None:
        """One thing, as a table of its fields or as JSON."""
        if self._as_json:
            self._print_json(document)
            return
        width = max(len(name) for name in document)
        for name, value in document.items():
            shown = value if isinstance(value, str) else json.dumps(value, default=str)
            self._out.print(Text(f"{name:<{width}}  {shown}"))

    def rows(self, title: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Many things, as a table, as tab-separated lines in a pipe, or as JSON."""
        if self._as_json:
            self._print_json(list(rows))
        elif not rows:
            self.say(f"{title}: none")
        elif self._out.is_terminal:
            table = Table(title=title, title_justify="left", *rows[0])  # noqa: B026 — headers are Table's positionals
            for row in rows:
                table.add_row(*(_cell(value) for value in row.values()))
            self._out.print(table)
        else:
            for cells in [list(rows[0]), *(list(row.values()) for row in rows)]:
                print("\t".join(_cell(value) for value in cells))

    def _print_json(self, document: Any) -> None:
        self._out.print(Text(json.dumps(document, indent=2, default=str, ensure_ascii=False)))


class _Silent:
    def state(self, run: FlowRun) -> None:
        """A pipe is told of changes only."""


class _Spinner:
    def __init__(self, status: Status) -> None:
        self._status = status

    def state(self, run: FlowRun) -> None:
        self._status.update(f"{run.name}: {run.state_name}, {_age(run)}")


def describe(run: FlowRun, url: str) -> dict[str, Any]:
    """A flow run's fields as people and scripts want them; times in ISO 8601, durations in seconds."""
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state_type,
        "state_name": run.state_name,
        "message": run.state_message,
        "started": run.start_time.isoformat() if run.start_time else None,
        "ended": run.end_time.isoformat() if run.end_time else None,
        "run_seconds": round(run.run_seconds, 3),
        "work_pool": run.work_pool_name,
        "tags": list(run.tags),
        "parameters": dict(run.parameters),
        "url": url,
    }


def _clock(when: datetime | None) -> str:
    return when.astimezone().strftime("%H:%M:%S") if when else " " * 8


def _age(run: FlowRun) -> str:
    since = run.start_time or run.created
    return f"{(datetime.now(UTC) - since).total_seconds():.0f} s" if since else ""


def _cell(value: Any) -> str:
    return {True: "yes", False: "NO"}[value] if isinstance(value, bool) else str(value)
