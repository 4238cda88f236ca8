"""Whatever becomes of the two processes of a run, nothing that it started is left."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.live_prefect import CHECKOUT, wait_until

WORK = """
import subprocess, sys, time
from pathlib import Path
from tests.process_tree import end_descendants, end_with_the_owner

end_with_the_owner()
forks = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', sys.argv[1]])"
subprocess.run([sys.executable, "-c", forks, sys.argv[1]])  # the sleeper has lost its parent
Path(sys.argv[1]).touch()
try:
    {then}
finally:
    end_descendants()
"""
OWN = "import os, sys; from tests.process_tree import supervise; sys.exit(supervise(sys.argv[1:], dict(os.environ)))"

PATIENCE_SECONDS = 60
SLEEPS = "time.sleep(600)"


@pytest.fixture
def begun(tmp_path: Path) -> Callable[[str], subprocess.Popen[bytes]]:
    """Starts an owner whose working process has left a sleeper behind; `then` is what it does next."""

    def begin(then: str) -> subprocess.Popen[bytes]:
        work = [sys.executable, "-c", WORK.format(then=then), str(tmp_path / "ready")]
        owner = subprocess.Popen([sys.executable, "-c", OWN, *work], cwd=CHECKOUT)
        wait_until((tmp_path / "ready").exists, "the working process works")
        return owner

    return begin


def family(owner: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Everything below the owner: the working process and the sleeper at least."""
    found = psutil.Process(owner.pid).children(recursive=True)
    assert len(found) == 2
    return found


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_owner_that_is_ended_takes_everything_along(
    begun: Callable[[str], subprocess.Popen[bytes]], number: signal.Signals
) -> None:
    owner = begun(SLEEPS)
    living = family(owner)
    owner.send_signal(number)
    owner.wait(PATIENCE_SECONDS)
    wait_until(lambda: gone(living), "the others have ended")


def test_a_working_process_that_is_killed_leaves_nothing(begun: Callable[[str], subprocess.Popen[bytes]]) -> None:
    owner = begun(SLEEPS)
    living = family(owner)
    [working] = [each for each in living if "end_with_the_owner" in " ".join(each.cmdline())]
    working.kill()
    assert owner.wait(PATIENCE_SECONDS) == signal.SIGKILL
    assert gone(living)


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_works(begun: Callable[[str], subprocess.Popen[bytes]], code: int) -> None:
    assert begun(f"sys.exit({code})").wait(PATIENCE_SECONDS) == code
