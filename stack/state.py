"""What is known of a stack while it runs and after it failed: `stack.json`, written by the supervisor alone.

Owns the file's form. Holds no secret; judges nothing but whether a recorded process is still that process.
"""

from __future__ import annotations

from typing import Literal

import psutil
from pydantic import BaseModel, Field

from stack.identity import write_private
from stack.settings import Home, StackError

Phase = Literal["starting", "ready", "stopping", "failed"]
ServicePhase = Literal["waiting", "starting", "ready", "done", "failed"]


class ProcessRecord(BaseModel):
    """A process beyond doubt: an id alone is given to another process sooner or later."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """The record of a process that lives; raises psutil.NoSuchProcess."""
        return cls(pid=pid, created=psutil.Process(pid).create_time())

    def process(self) -> psutil.Process | None:
        """The process while it lives, else None."""
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.created) < 1 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class ServiceState(BaseModel):
    """`seconds` from its own start until it was ready, `restarts` how often it ended unasked and was started again."""

    phase: ServicePhase = "waiting"
    is_step: bool = False
    process: ProcessRecord | None = None
    seconds: float | None = None
    restarts: int = 0
    address: str | None = None


class StackState(BaseModel):
    """`owner` is the process with which the stack ends, if there is one; `error` is said when phase is `failed`."""

    phase: Phase = "starting"
    supervisor: ProcessRecord
    owner: ProcessRecord | None = None
    database: str
    ports: dict[str, int]
    services: dict[str, ServiceState] = Field(default_factory=dict)
    error: str | None = None

    @property
    def is_alive(self) -> bool:
        return self.supervisor.process() is not None


def read_state(home: Home) -> StackState | None:
    """What the file says; None without one. Raises StackError where it says nothing that a stack would."""
    try:
        return StackState.model_validate_json(home.state_file.read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StackError(
            f"{home.state_file} is not as a stack writes it: {str(error).splitlines()[0]}\n"
            "  remedy:   make down ends what may run there and removes the file; then start again"
        ) from error


def write_state(home: Home, state: StackState) -> None:
    """Replace the file in one step, so that a reader never sees half of it."""
    write_private(home.state_file, state.model_dump_json(indent=2))
