"""The demo: the stack up, a sample loaded, three weeks of a use case run by Airflow's scheduler, and a table.

Owns the order of these and what runs beside what. A stack that it started ends with it, whatever the end; one that it
found running stays.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from contextlib import suppress
from typing import TypeAlias

from rich.console import Console

from factory.use_cases.use_case import UseCase
from stack.environment import read_exports
from stack.identity import load_identity
from stack.interruption import interruptible, shielded
from stack.lifecycle import follow, running, start, stop
from stack.periods import Demo, run_periods
from stack.prefect_api import PrefectApi
from stack.progress import say_ready
from stack.screen import demo_screen
from stack.settings import Home, StackError, StackSettings
from stack.state import StackState
from stack.status import login_lines

LOOK_SECONDS = 0.5
TABLE_WIDTH = 150
OVER = object()
Course: TypeAlias = Generator[None, None, None]
AT_ONCE = 2
"""So many use cases run side by side: much of a period is waiting, and each that runs takes memory."""


def run_demo(settings: StackSettings, *, use_cases: Sequence[UseCase], once: bool, weeks: int | None) -> int:
    """Run the next weeks of each use case, two use cases at a time, and say how they went; gives the exit code.

    Raises StackError when something fails and KeyboardInterrupt when stopped half-way, with nothing left behind.
    """
    found = running(settings.home)
    with interruptible():
        try:
            state = _stack(settings, found)
            _run_all(settings.home, state, use_cases, weeks)
            print(*login_lines(settings.home, state), sep="\n", flush=True)
            if found is None and not once:
                _stay_up(settings.home)
        finally:
            if found is None:
                with shielded():
                    _stop(settings.home)
    return 0


def _stack(settings: StackSettings, found: StackState | None) -> StackState:
    if found is None:
        print("Starting the stack", flush=True)
        began = time.monotonic()
        state = start(settings, say_ready, owned=True)
        print(f"up in {time.monotonic() - began:.1f} s\n", flush=True)
        return state
    print("Using the stack that runs already; it stays up\n", flush=True)
    return follow(settings.home, None, lambda *_: None)


def _run_all(home: Home, state: StackState, use_cases: Sequence[UseCase], weeks: int | None) -> None:
    """What trains most models begins, so that it does not run alone at the end."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=TABLE_WIDTH)
    variables = read_exports(home.environment_file.read_text())
    counts = {use_case: weeks or use_case.demo_periods for use_case in use_cases}
    with demo_screen(console) as screen:
        demo = Demo(
            console=console,
            screen=screen,
            identity=load_identity(home),
            variables=variables,
            airflow_url=f"http://127.0.0.1:{state.ports['AIRFLOW_PORT']}",
            prefect=PrefectApi.named_in(variables),
            several=len(use_cases) > 1,
        )
        begins = sorted(use_cases, key=lambda each: len(each.models) * counts[each], reverse=True)
        take_turns((run_periods(demo, use_case, counts[use_case]) for use_case in begins), AT_ONCE, LOOK_SECONDS)


def take_turns(courses: Iterable[Course], at_once: int, pause_seconds: float) -> None:
    """Run all to their ends, in their order, so many at a time; each gives way between its steps, then all pause.

    Where one fails the others are closed.
    """
    to_come, active = deque(courses), list[Course]()
    try:
        while to_come or active:
            while to_come and len(active) < at_once:
                active.append(to_come.popleft())
            active = [course for course in active if next(course, OVER) is not OVER]
            time.sleep(pause_seconds)
    finally:
        for course in active:
            course.close()


def _stay_up(home: Home) -> None:
    print("\nThe stack stays up until Ctrl-C.", flush=True)
    with suppress(KeyboardInterrupt):
        while running(home):
            time.sleep(1)
        raise StackError("the stack ended by itself: see make status and make logs")
    print()


def _stop(home: Home) -> None:
    began = time.monotonic()
    failed_before = running(home) is None
    stop(home)
    if not failed_before:
        print(f"stopped in {time.monotonic() - began:.1f} s", flush=True)
