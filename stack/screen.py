"""What a person sees while periods run: a live table on a terminal, a line for each change in a pipe.

Owns the look. Told what is; asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeAlias

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from bridge.plain_text import as_line
from stack.airflow_api import TaskInstance
from stack.flow_runs import SeenFlowRun
from stack.weeks import TASKS

STYLES = {"success": "green", "skipped": "dim", "running": "cyan", "deferred": "cyan", "up_for_retry": "yellow"}
WORDS = {"deferred": "waiting for Prefect", "up_for_retry": "will be tried again", "upstream_failed": "not reached"}
FAILED = {"failed", "upstream_failed"}
NAME_WIDTH, MEMBER_WIDTH = 14, 28
FlowRuns: TypeAlias = Mapping[tuple[str, int], SeenFlowRun]
"""By a task's id and map index."""


class Screen(Protocol):
    """Shows periods (by their title) side by side, each time as a whole."""

    def show(self, period: str, tasks: Sequence[TaskInstance], flow_runs: FlowRuns) -> None: ...

    def leave(self, period: str) -> None:
        """It is over: what was shown of it last stays as it is."""


@contextmanager
def demo_screen(console: Console) -> Iterator[Screen]:
    """The screen that suits where the output goes."""
    if not console.is_terminal:
        yield Lines(console)
        return
    with Live(console=console, refresh_per_second=4) as live:
        yield LiveTables(live)


class Lines:
    """One line whenever a task or the flow run behind it changes its state."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._said: dict[tuple[str, str, int], str] = {}
        self._widest = 0

    def show(self, period: str, tasks: Sequence[TaskInstance], flow_runs: FlowRuns) -> None:
        self._widest = max(self._widest, len(period))
        for task in in_order(tasks):
            behind = flow_runs.get((task.task_id, task.map_index))
            width = MEMBER_WIDTH if task.member else NAME_WIDTH
            line = f"  {period:<{self._widest}}  {task.name:<{width}}{words(task):<22}{_flow_words(behind)}".rstrip()
            key = (period, task.task_id, task.map_index)
            if self._said.get(key) != line and task.state != "waiting":
                self._said[key] = line
                self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def leave(self, period: str) -> None:
        """Its lines stand."""


class LiveTables:
    """A table of tasks for each period that runs, drawn anew in place; of one that is over it moves above."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tables: dict[str, Table] = {}

    def show(self, period: str, tasks: Sequence[TaskInstance], flow_runs: FlowRuns) -> None:
        title = f"{period[:1].upper()}{period[1:]}"
        table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
        for heading in ("Airflow task", "state", "seconds", "Prefect flow run", "state"):
            table.add_column(heading, min_width=10)
        for task in in_order(tasks):
            behind = flow_runs.get((task.task_id, task.map_index))
            style = "red" if task.state in FAILED else STYLES.get(task.state, "")
            table.add_row(
                task.name,
                Text(words(task), style),
                f"{task.seconds:.1f}" if task.seconds else "",
                Text(as_line(behind.name), Style(link=behind.url)) if behind else "",
                Text(as_line(behind.state)) if behind else "",
            )
        self._tables[period] = table
        self._draw()

    def leave(self, period: str) -> None:
        table = self._tables.pop(period)
        self._draw()
        self._live.console.print(table)

    def _draw(self) -> None:
        self._live.update(Group(*self._tables.values()))


def in_order(tasks: Sequence[TaskInstance]) -> list[TaskInstance]:
    """The tasks in the order in which the DAG runs them; unknown ones last."""
    places = {name: place for place, name in enumerate(TASKS)}
    return sorted(tasks, key=lambda task: (places.get(task.task_id, len(places)), task.map_index))


def words(task: TaskInstance) -> str:
    """A task's state in words, with the attempt when it is not the first."""
    attempt = f" (attempt {task.try_number})" if task.try_number > 1 else ""
    return WORDS.get(task.state, task.state) + attempt


def _flow_words(flow_run: SeenFlowRun | None) -> str:
    return as_line(f"Prefect: {flow_run.name} {flow_run.state}") if flow_run else ""
