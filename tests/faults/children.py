"""A worker's or a triggerer's process as its parent holds it: when to tell it of an end, and when to kill it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any
from uuid import UUID

TERM_SECONDS = 5.0
"""So long after SIGTERM Airflow's supervisor kills a task's process."""


@dataclass(eq=False)
class Child:
    """A worker's or a triggerer's process; `number` counts those of its kind."""

    kind: str
    number: int
    ti_id: UUID
    process: Any
    pipe: Connection
    orders: Connection
    started_at: float = field(default_factory=time.monotonic)
    heeds: bool = False
    """Whether Airflow's task runner has taken over: before, SIGTERM ends a worker without a word to the operator."""
    last_message: str = ""
    killed: bool = False
    given_up: bool = False
    """Airflow has given its work to another process."""
    stalled_at: float | None = None
    unheard: dict[str, Any] | None = None
    """A message that waits for its supervisor to go on."""
    deferral: Mapping[str, Any] | None = None
    """Of a triggerer: the deferral whose trigger it runs."""
    term_at: float | None = None
    kill_at: float | None = None
    end_at: float | None = None

    def terminate(self) -> None:
        """SIGTERM, now, and -9 for a process that does not heed it."""
        self.term_at, self.kill_at = None, time.monotonic() + TERM_SECONDS
        self._signal(signal.SIGTERM)

    def stall(self) -> None:
        """SIGSTOP, now."""
        self.stalled_at = time.monotonic()
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """SIGCONT, now."""
        self.stalled_at = None
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """-9, now."""
        self.killed = True
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.process.pid, number)
