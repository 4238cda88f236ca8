"""What a wait can do without: log lines, where a run is shown, how far a log was written.

The one place that decides what a failure of such a thing means: it is told once, with its traceback, and gone without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Decoration:
    """Carries out what is worth no wait; `warn` tells of the first failure, as a logger's `warning` does.

    Whatever is raised is borne with: what Airflow's own logger or API raises is no tree of errors that could be named,
    and each kind that was forgotten would end a healthy run's wait.
    """

    def __init__(self, warn: Callable[..., Any], what: str) -> None:
        self._warn = warn
        self._what = what
        self._is_told = False

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around what may fail; it is not carried out any further then."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 — the boundary; see the class
            if not self._is_told:
                self._is_told = True
                self._warn("%s: going on without, after %r", self._what, error, exc_info=error)
