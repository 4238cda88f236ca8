"""Starting and stopping a stack from outside: what the command line, the demo and the end-to-end tests call.

Owns the way from a command to a supervisor and back. Prints nothing; progress goes to the caller's function.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil

from stack.ports import require_free
from stack.postgresql import postgresql_process, stop_postgresql
from stack.processes import end_processes, find_processes
from stack.settings import CHECKOUT, Home, StackError, StackSettings
from stack.state import ProcessRecord, ServiceState, StackState, read_state
from stack.supervisor import TAIL_LINES, tail

LOOK_SECONDS = 0.1
SUPERVISOR_SECONDS = 120
"""Until the supervisor has written its first word; it has to be read from the disk first."""
END_SECONDS = 30
LEAST_FREE_BYTES = 20_000_000
"""With less no stack starts, and what it wanted to say of that is written nowhere."""

Progress = Callable[[str, ServiceState], None]


def running(home: Home) -> StackState | None:
    """The state of the stack whose supervisor lives in this folder, else None."""
    state = read_state(home)
    return state if state and state.is_alive else None


def last_state(home: Home) -> StackState | None:
    """What is known of a stack that is to end: without a readable file its processes are found by their mark."""
    try:
        return read_state(home)
    except StackError:
        return None


def start(settings: StackSettings, progress: Progress, *, owned: bool = False) -> StackState:
    """Start the stack and give its state once every service is ready; `progress` hears of each as it becomes so.

    With `owned` the stack ends when this process does, however that comes about. Raises StackError when a port is
    taken, when a stack runs here already, or when a service does not come up (nothing is left behind then).
    """
    if running(settings.home):
        raise StackError(f"a stack runs in {settings.home.path} already: see `make status`, end it by `make down`")
    stop(settings.home)  # what an earlier stack may have left behind
    require_free(settings.ports)
    settings.home.make()
    supervisor = _spawn_supervisor(settings, owned)
    return follow(settings.home, supervisor, progress)


def stop(home: Home) -> int:
    """End the stack in this folder, or what is left of one; gives how many processes that were orphans.

    Raises StackError when a process survives even being killed.
    """
    state = last_state(home)
    supervisor = state.supervisor.process() if state else None
    if supervisor:
        end_processes([supervisor], patience_seconds=END_SECONDS)
    database = postgresql_process(home)
    orphans, left = 0, list[psutil.Process]()
    while not left and (found := find_processes(home, state)):  # one may have begun another while it was being ended
        orphans += len(found)
        left = end_processes(found, patience_seconds=5)
    stop_postgresql(home)
    if left:
        raise StackError(f"these processes do not end: {', '.join(str(process.pid) for process in left)}")
    home.state_file.unlink(missing_ok=True)
    return orphans + (1 if database else 0)


@contextmanager
def running_stack(settings: StackSettings) -> Iterator[StackState]:
    """A stack for the length of a `with` block; it ends with the block or with this process."""
    state = start(settings, progress=lambda *_: None, owned=True)
    try:
        yield state
    finally:
        stop(settings.home)


def follow(home: Home, supervisor: subprocess.Popen[bytes] | None, progress: Progress) -> StackState:
    """Wait until a stack that starts is ready, telling `progress` of each service; raises StackError if it fails."""
    told: set[str] = set()
    began = time.monotonic()
    while True:
        ended = supervisor is not None and supervisor.poll() is not None
        state = read_state(home)
        if state and (supervisor is None or state.supervisor.pid == supervisor.pid):
            _tell(state, told, progress)
            if state.phase == "ready":
                return state
            if state.phase == "failed":
                raise StackError(state.error or "the stack failed")
        elif time.monotonic() - began > SUPERVISOR_SECONDS:
            ended = True
        if ended or (supervisor is None and not (state and state.is_alive)):
            raise StackError(_silent_end(home))
        time.sleep(LOOK_SECONDS)


def _tell(state: StackState, told: set[str], progress: Progress) -> None:
    for name, service in state.services.items():
        if name not in told and service.phase in {"ready", "done"}:
            told.add(name)
            progress(name, service)


def _silent_end(home: Home) -> str:
    log = home.log("supervisor")
    said = tail(log, TAIL_LINES)
    text = f"the stack was stopped before it was ready; the supervisor's last lines:\n{said}\n  log file: {log}"
    free = shutil.disk_usage(home.path).free
    if free < LEAST_FREE_BYTES:
        text += f"\n  cause:    the disk of {home.path} is full ({free / 1e6:.0f} MB left)\n  remedy:   free some space"
    return text


def _spawn_supervisor(settings: StackSettings, owned: bool) -> subprocess.Popen[bytes]:
    owner = ProcessRecord.of(os.getpid()).model_dump_json() if owned else ""
    with settings.home.open_log("supervisor") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "stack", "supervise", *(["--owner", owner] if owned else [])],
            env=settings.variables(),
            cwd=CHECKOUT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
