"""A process of its own for what only processes can show, forked from one that has imported what flows take long for.

Owns how it begins. Prefect's settings are read when it is imported, and so are those of the session's first.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

WARM = "flows.warm"


def fork(work: Callable[[], object], log: Path, environment: Mapping[str, str]) -> BaseProcess:
    """A process that does the work, a function of a module, with these variables; what it prints goes to the log."""
    forking = multiprocessing.get_context("forkserver")
    forking.set_forkserver_preload([WARM])
    process = forking.Process(target=_begin, args=(work, log, dict(environment)), daemon=True)
    with patch.dict(os.environ, environment):
        process.start()
    return process


def _begin(work: Callable[[], object], log: Path, environment: dict[str, str]) -> None:
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(printed, stream)
    os.environ.update(environment)
    work()
