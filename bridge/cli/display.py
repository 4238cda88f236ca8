"""What the command line shows: pleasant on a terminal, plain lines in a pipe, JSON where asked.

People's words go to stderr, so that stdout holds nothing but the answer. Whatever is shown passes `bridge.plain_text`:
what flows and people wrote into Prefect is text here, and steers no terminal.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

from rich.console import Console
from rich.status import Status
from rich.table import Table
from rich.text import Text

from bridge.cli.exit_codes import READER_GONE
from bridge.ending import Outcome
from bridge.errors import FlowRunError
from bridge.plain_text import as_json, as_line, as_lines
from bridge.prefect_api.records import FlowRun, LogLine
from bridge.readiness import Finding
from bridge.submitting import Submitted

_COLOURS = {
    "COMPLETED": "green",
    "RUNNING": "blue",
    "FAILED": "red",
    "CRASHED": "dark_orange",
    "CANCELLED": "bright_black",
    "CANCELLING": "bright_black",
}


ANY_WIDTH = 10_000
"""More columns than a table needs."""


class LiveState(Protocol):
    """Shows how the run stands while it is waited for."""

    def state(self, run: FlowRun) -> None: ...


class _Console(Console):
    """Says nothing more when whoever read the output has gone."""

    def print_verbatim(self, text: str) -> None:
        """As it is: rich makes spaces of tabs."""
        try:
            self.file.write(text)
            self.file.flush()
        except BrokenPipeError:
            self.on_broken_pipe()

    def on_broken_pipe(self) -> None:
        # What is still held back would be written, and fail again, when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(READER_GONE)


class Display:
    """Where a command's words go."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._out = _Console(highlight=False, soft_wrap=True)
        self._err = _Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """A sentence for people."""
        self._err.print(Text(as_lines(text)))

    def started(self, deployment: str, submitted: Submitted, url: str) -> None:
        """That a run was started, or found under its key."""
        verb = "Attached to" if submitted.attached else "Started"
        self.say(f"{verb} {as_line(submitted.run.name)} of {as_line(deployment)}\n{url}")

    def state(self, run: FlowRun) -> None:
        """A change of state."""
        line = Text(f"{_clock(run.state_timestamp)}  ")
        line.append(as_line(run.state_name), style=_colour(run.state_type))
        if run.state_message:
            line.append(f"  {as_lines(run.state_message)}")
        self._err.print(line)

    def log(self, line: LogLine) -> None:
        """A line of the run's log, beside the answer."""
        self._err.print(_log_text(line))

    def log_as_answer(self, line: LogLine) -> None:
        """A line of the run's log, as the answer; one JSON object a line where asked."""
        if self._as_json:
            document = {
                "timestamp": line.timestamp.isoformat(),
                "level": logging.getLevelName(line.level),
                "logger": line.logger,
                "task_run": line.task_run_name or line.task_run_id,
                "message": line.message,
            }
            self._out.print(Text(as_json(document)))
        else:
            self._out.print(_log_text(line))

    def away(self, api_url: str, patience_seconds: float) -> None:
        """That Prefect does not answer and is waited for."""
        text = f"{_now()}  Prefect does not answer at {as_line(api_url)}; trying again for {patience_seconds:.0f} s"
        self._err.print(Text(text, style="yellow"))

    def back(self, seconds: float) -> None:
        """That Prefect answers again."""
        self._err.print(Text(f"{_now()}  Prefect answers again, after {seconds:.0f} s", style="green"))

    @contextmanager
    def live(self) -> Iterator[LiveState]:
        """A spinner with state and age on a terminal; nothing in a pipe."""
        if not self._err.is_terminal:
            yield _Silent()
            return
        with self._err.status("…") as status:
            yield _Spinner(status)

    def run(self, run: FlowRun, url: str) -> None:
        """How a run stands."""
        self.document(describe(run, url))

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

    def failure(self, run: FlowRun, url: str, error: FlowRunError) -> None:
        """A run that was waited for in vain, for scripts; people are told by the error itself."""
        if self._as_json:
            self._print_json({**describe(run, url), "error": type(error).__name__, "result": None})

    def document(self, document: Mapping[str, Any]) -> None:
        """One thing, as a table of its fields or as JSON; people are spared the empty fields."""
        if self._as_json:
            self._print_json(document)
            return
        width = max(len(name) for name in document)
        for name, value in document.items():
            if value not in (None, "", [], {}):
                shown = (
                    as_lines(value).replace("\n", f"\n{'':<{width}}  ") if isinstance(value, str) else as_json(value)
                )
                self._out.print(Text(f"{name:<{width}}  {shown}"))

    def rows(
        self,
        title: str,
        documents: Sequence[Mapping[str, Any]],
        shown: Sequence[Mapping[str, Any]] | None = None,
        narrow: Sequence[str] = (),
    ) -> None:
        """Many things, as a table, as tab-separated lines in a pipe, or as JSON.

        `shown` is what people see of each document, where that is not the whole; `narrow` the same where the table
        would be wider than the terminal.
        """
        if self._as_json:
            self._print_json(list(documents))
            return
        if not documents:
            self.say(f"{title}: none")
            return
        rows = shown or documents
        names = list(rows[0])
        cells = [[as_line(_cell(row[name])) for name in names] for row in rows]
        if not self._out.is_terminal:
            self._out.print_verbatim("".join("\t".join(line) + "\n" for line in [map(as_line, names), *cells]))
            return
        self.say(title)
        styles = [_row_style(each) for each in documents]
        table = _table(names, cells, styles)
        boundless = self._out.options.update(width=ANY_WIDTH)
        if narrow and self._out.measure(table, options=boundless).maximum > self._out.width:
            for text, style in zip(narrow, styles, strict=True):
                self._out.print(Text(as_lines(text), style))
        else:
            self._out.print(table, soft_wrap=False)

    def findings(self, title: str, findings: Sequence[Finding]) -> None:
        """What a look at Prefect found; on a terminal with the remedies below, so that they fit into any width."""
        if self._as_json or not self._out.is_terminal:
            rows = [
                {"what": each.subject, "in order": each.in_order, "detail": each.detail, "remedy": each.remedy}
                for each in findings
            ]
            self.rows(title, rows)
            return
        self.say(title)
        table = Table.grid(padding=(0, 2, 0, 0))
        for each in findings:
            told = Text(f"{as_line(each.subject)}: ", style="bold").append(as_line(each.detail), style="not bold")
            if each.remedy:
                told.append(f"\nremedy: {as_line(each.remedy)}", style="not bold")
            style = "" if each.in_order and not each.remedy else "yellow" if each.in_order else "red"
            table.add_row(_cell(each.in_order), told, style=style)
        self._out.print(table, soft_wrap=False)

    def _print_json(self, document: Any) -> None:
        self._out.print(Text(as_json(document, indent=2)))


class _Silent:
    def state(self, run: FlowRun) -> None:
        """A pipe is told of changes only."""


class _Spinner:
    def __init__(self, status: Status) -> None:
        self._status = status

    def state(self, run: FlowRun) -> None:
        self._status.update(Text(f"{as_line(run.name)}: {as_line(run.state_name)}, {_age(run)}"))


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


def _table(names: Sequence[str], cells: Sequence[Sequence[str]], styles: Sequence[str]) -> Table:
    """Aligned columns without lines. The first is never cut: it is what people copy."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for position, name in enumerate(names):
        table.add_column(Text(as_line(name)), no_wrap=position == 0, overflow="ellipsis" if position == 0 else "fold")
    for row, style in zip(cells, styles, strict=True):
        table.add_row(*map(Text, row), style=style)
    return table


def _log_text(line: LogLine) -> Text:
    style = "red" if line.level >= logging.ERROR else "yellow" if line.level >= logging.WARNING else "dim"
    head = f"{_clock(line.timestamp)}  {logging.getLevelName(line.named_level):<7}  "
    return Text(head + as_lines(line.text).replace("\n", "\n" + " " * len(head)), style=style)


def _colour(state_type: str) -> str:
    return _COLOURS.get(state_type, "yellow")


def _row_style(row: Mapping[str, Any]) -> str:
    return _colour(row["state"]) if "state" in row else ""


def _now() -> str:
    return _clock(datetime.now(UTC))


def _clock(when: datetime | None) -> str:
    return when.astimezone().strftime("%H:%M:%S") if when else " " * 8


def _age(run: FlowRun) -> str:
    since = run.start_time or run.created
    return f"{(datetime.now(UTC) - since).total_seconds():.0f} s" if since else ""


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return "" if value is None else str(value)
