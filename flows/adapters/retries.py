"""Which tasks are repeated, when, and for which errors.

Owns the retry settings of every task that crosses a network. A bug is never repeated: what is no transient error by
its own word ends the run at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any, TypedDict

from prefect.cache_policies import NO_CACHE, CachePolicy
from prefect.tasks import exponential_backoff

from factory.errors import FactoryError

FIRST_DELAY_SECONDS = 2.0
DATABASE_DELAY_SECONDS = 30.0
"""A database that is begun anew, or changes places with its copy, is away for so long."""
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
FINAL = (FileNotFoundError, FileExistsError, PermissionError, NotADirectoryError, IsADirectoryError)
"""Errors of the operating system that the next attempt would meet again."""


class RetrySettings(TypedDict):
    """Arguments of Prefect's `task`."""

    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Callable[[Any, Any, Any], bool]
    cache_policy: CachePolicy


def is_transient(error: BaseException) -> bool:
    """Whether the same call may well succeed a moment later.

    So are broken connections and time-outs, a database that is locked or away, and a server's 429 and 5xx; a missing
    file, a refusal or a wrong value is not.
    """
    from sqlalchemy.exc import DBAPIError, OperationalError

    if isinstance(error, FactoryError):  # it explains another error, or is final
        return error.__cause__ is not None and is_transient(error.__cause__)
    if isinstance(error, DBAPIError):
        # SQLite says OperationalError of a missing table too; other drivers keep it for what is no statement's fault
        away = isinstance(error, OperationalError) and not isinstance(error.orig, sqlite3.Error)
        return error.connection_invalidated or away or "database is locked" in str(error.orig)
    if isinstance(error, FINAL):
        return False
    if isinstance(error, OSError):  # ConnectionError, TimeoutError, and those of requests
        return True
    status = getattr(error, "get_http_status_code", None)  # MLflow's exceptions
    if callable(status):
        code = int(status())
        return code == TOO_MANY_REQUESTS or code >= SERVER_ERROR
    return False


def _ended_by_a_transient_error(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, BaseException) and is_transient(state.data)


NETWORK: RetrySettings = {
    "retries": 3,
    "retry_delay_seconds": exponential_backoff(FIRST_DELAY_SECONDS),
    "retry_jitter_factor": 0.5,
    "retry_condition_fn": _ended_by_a_transient_error,
    "cache_policy": NO_CACHE,  # the default hashes every frame that a task is given
}
"""For tasks that talk to the registry, the snapshots' storage or the database: 2, 4 and 8 s, with jitter."""

DATABASE: RetrySettings = {
    **NETWORK,
    "retries": 2,
    "retry_delay_seconds": DATABASE_DELAY_SECONDS,
    "retry_jitter_factor": 0.0,
}
"""For tasks that talk to the database above all: twice, after 30 s each."""
