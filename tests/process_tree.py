"""A process of which nothing is left when it has ended, however it ended.

Owns the pair of processes that sees to it: one works; the other owns it, takes over whoever loses his parent below it,
and ends those when the work has ended, be it killed. If the owner is killed, the working one hears it from a pipe and
ends as by Ctrl-C. Everything below bears a mark in its environment, by which those are found whom the owner had taken
over.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from uuid import uuid4

import psutil

PR_SET_CHILD_SUBREAPER = 36
MARK = "BRIDGE_TESTS_RUN"


def supervise(command: list[str], environment: dict[str, str]) -> int:
    """Run the command, whose process calls `end_with_the_owner`, to its end; gives its exit code."""
    _adopt_orphans()
    mark = uuid4().hex
    # in a session of its own, so that Ctrl-C reaches it once
    working = subprocess.Popen(command, env=environment | {MARK: mark}, stdin=subprocess.PIPE, start_new_session=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: working.send_signal(signal.SIGINT))
    ended = status = 0
    while ended != working.pid:  # orphans are waited for as they end: a zombie would look alive to a test
        ended, status = os.waitpid(-1, 0)
    end_descendants(mark)
    return abs(os.waitstatus_to_exitcode(status))


def end_with_the_owner() -> None:
    """From here on, KeyboardInterrupt is raised in the main thread when the process that supervises this one ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that starts it with `&` has it ignored

    def wait() -> None:
        os.read(sys.stdin.fileno(), 1)  # nothing is ever written there: it returns when the owner has ended
        _adopt_orphans()
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=wait, name="owner", daemon=True).start()


def end_descendants(mark: str = "") -> None:
    """Kill everything that this process, or whoever it started, has started, and what bears the mark (its own)."""
    while living := _descendants(mark or os.environ.get(MARK, "")):
        for each in living:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(living, timeout=1)


def _descendants(mark: str) -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    bearers = [each for each in psutil.process_iter() if each.pid != os.getpid() and _bears(each, mark)]
    return [each for each in {*children, *bearers} if _lives(each)]


def _bears(process: psutil.Process, mark: str) -> bool:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
        return bool(mark) and process.environ().get(MARK) == mark
    return False


def _lives(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    return False


def _adopt_orphans() -> None:
    """Become the parent of descendants that lose theirs; Linux alone can, elsewhere those end by themselves."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
