"""What the flows use of Prefect beyond its public interface, in one place; beside each, when it may go.

`tests/prefect/test_prefect_internals.py` proves them and that they stand nowhere else. Owns no decision of its own.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import prefect.flow_engine  # what a flow run imports first; may go when `import prefect` brings it, 3.9.1 does not
import prefect.runner
from prefect import engine
from prefect.context import SettingsContext, get_settings_context
from prefect.runner import _starter_engine
from prefect.settings import Settings

ENGINE = "prefect.engine"


def start_flow_runs_by(run_process: Callable[..., Awaitable[Any]]) -> None:
    """From here on this process's runners start a flow run's engine by `run_process`, not as a new Python.

    Prefect's starter names this as the place to be replaced; may go when a `Runner` takes a starter, 3.9.1's does not.
    """
    vars(_starter_engine)["run_process"] = run_process


def run_engine(environment: Mapping[str, str], folder: Path | str | None) -> None:
    """What `python -m prefect.engine` does, in a forked process; its settings are read from `environment`.

    May go when Prefect's engine can be called: 3.9.1's is a script, which reads the settings when they are imported.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches every process; the one that serves acts
    os.environ.clear()
    os.environ.update(environment)
    if folder:
        os.chdir(folder)
    sys.argv = [ENGINE]
    with SettingsContext(profile=get_settings_context().profile, settings=Settings()):
        runpy.run_path(str(engine.__file__), run_name="__main__")


class Runner(prefect.runner.Runner):
    """Prefect's runner, ended by SIGTERM as by Ctrl-C, with a folder for code that is its own user's."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Prefect's lies in a folder that all users of the machine share and the first of them owns; may go when it does
        # not, 3.9.1's does.
        self._tmp_dir = Path(tempfile.mkdtemp(prefix="runner-storage-"))

    def handle_sigterm(self, *_: Any, **__: Any) -> None:
        """Prefect's own leaves a coroutine behind that nobody awaits; may go when it does not, 3.9.1's does."""
        signal.raise_signal(signal.SIGINT)
