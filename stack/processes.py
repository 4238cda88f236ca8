"""The processes of one stack: found whatever became of their parents, measured, and ended.

Owns nothing on disk. A stack's process is one that was recorded, shares a recorded session, descends from one of
these, or bears the stack's mark in its environment (Airflow's overwrite theirs when they rename themselves).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

import psutil

from stack.environment import MARK
from stack.postgresql import postgresql_process
from stack.settings import Home
from stack.state import StackState


def find_processes(home: Home, state: StackState | None) -> list[psutil.Process]:
    """Every living process of the stack's services; neither the supervisor nor the embedded database."""
    sessions = _recorded_sessions(state)
    roots = [process for process in psutil.process_iter() if _belongs(process, home, sessions)]
    found = {process.pid: process for process in roots}
    for process in roots:
        with suppress(psutil.NoSuchProcess):
            found.update({child.pid: child for child in process.children(recursive=True)})
    database = postgresql_process(home)
    spared = {os.getpid(), *([database.pid, *_child_ids(database)] if database else [])}
    return [process for pid, process in found.items() if pid not in spared and _lives(process)]


def end_processes(processes: Iterable[psutil.Process], patience_seconds: float) -> list[psutil.Process]:
    """Ask each to end, wait, then kill; gives those that even so are still there."""
    processes = list(processes)
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, late = psutil.wait_procs(processes, timeout=patience_seconds)
    for process in late:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return list(psutil.wait_procs(late, timeout=5)[1])


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process with everything that it started; empty once it is gone."""
    try:
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def pss_bytes(processes: Iterable[psutil.Process]) -> int:
    """Memory with shared pages counted once between those that share them; RSS where the system tells no PSS."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            memory = process.memory_full_info()
            total += getattr(memory, "pss", memory.rss)
    return total


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """CPU time that these processes have used so far."""
    total = 0.0
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _recorded_sessions(state: StackState | None) -> set[int]:
    """Each service leads a session of its own; one whose leader's id was taken over by a stranger is left out."""
    records = [service.process for service in state.services.values() if service.process] if state else []
    return {record.pid for record in records if record.process() or not psutil.pid_exists(record.pid)}


def _belongs(process: psutil.Process, home: Home, sessions: set[int]) -> bool:
    try:
        if os.getsid(process.pid) in sessions:
            return True
        marked: str | None = process.environ().get(MARK)
        return marked == str(home.path)
    except (psutil.NoSuchProcess, psutil.AccessDenied, ProcessLookupError, PermissionError):
        return False


def _child_ids(process: psutil.Process) -> list[int]:
    return [child.pid for child in family(process)]


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
