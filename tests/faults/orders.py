"""What the parent and its children agree on: one process's work, and how a child comes to it.

Imports neither Airflow nor the bridge: the parent has no need of them, and the children inherit them from a process
that has imported them once.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.faults.clocks import Clock

DAG_ID, TASK_ID = "faults", "run"

PROCESSES = multiprocessing.get_context("forkserver")
"""A child starts in milliseconds; Airflow's import alone would take seconds."""


@dataclass(frozen=True, slots=True)
class Order:
    """A task instance's attempt, or its trigger where `trigger` is given (class path and kwargs)."""

    ti_id: UUID
    run_id: str
    try_number: int
    max_tries: int
    dag_run_began: datetime
    connection: Mapping[str, object]
    log: Path
    map_index: int = -1
    clear_number: int = 0
    clock: Clock = field(default_factory=Clock)
    operator: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 0
    should_retry: bool = False
    next_method: str | None = None
    next_kwargs: Mapping[str, Any] | None = None
    xcom_keys_to_clear: tuple[str, ...] = ()
    trigger: tuple[str, Mapping[str, Any]] | None = None


def start_fork_server(airflow_home: Path) -> None:
    """Let it import Airflow, with a home of its own; later calls change nothing."""
    before = dict(os.environ)
    os.environ |= {
        "AIRFLOW_HOME": str(airflow_home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{airflow_home}/airflow.db",
        "AIRFLOW__API__BASE_URL": "http://airflow.test",
        # a worker that defers ends at once here: no resumption need be held back for long
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "0",
    }
    try:
        PROCESSES.set_forkserver_preload(
            ["tests.faults.attempts", "tests.faults.scenario", "bridge.in_airflow.triggers"]
        )
        forkserver.ensure_running()
    finally:
        os.environ.clear()
        os.environ |= before


def carry_out(pipe: Connection, orders: Connection, order: Order) -> None:
    """The child's beginning."""
    from tests.faults import attempts

    if order.trigger is None:
        attempts.attempt(pipe, order)
    else:
        attempts.trigger(pipe, orders, order)
