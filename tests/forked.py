"""A process of its own for what only processes can show, forked from one that has imported what takes long.

Owns how it begins. Who forks first in a session says what is imported. Prefect's settings are read when it is
imported, and so are those of the session's first. Standard library alone.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from unittest.mock import patch

FORKING = multiprocessing.get_context("forkserver")


def fork(work: Callable[[], object], log: Path, environment: Mapping[str, str], warm: str) -> BaseProcess:
    """A process that does the work, a function of a module, with these variables; what it prints goes to the log.

    `warm` is the module that is imported once.
    """
    FORKING.set_forkserver_preload([warm])
    process = FORKING.Process(target=_begin, args=(work, log, dict(environment)), daemon=True)
    with patch.dict(os.environ, environment):
        process.start()
    return process


def _begin(work: Callable[[], object], log: Path, environment: dict[str, str]) -> None:
    printed = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for stream in (1, 2):
        os.dup2(printed, stream)
    os.environ.update(environment)
    work()
