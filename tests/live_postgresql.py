"""A real PostgreSQL for tests, embedded; it is in Prefect's environment alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CARELESS = ("fsync = off", "full_page_writes = off", "synchronous_commit = off", "autovacuum = off")
"""What is lost when the machine is lost need not be found again: its tests are lost too. Nobody tidies up: at the end
all is thrown away."""


@contextmanager
def live_postgresql() -> Iterator[str]:
    """The address of a server from nothing, ended with the block."""
    from sqlalchemy import create_engine, make_url, text

    from stack.postgresql import start_postgresql, stop_postgresql
    from stack.settings import Home

    with tempfile.TemporaryDirectory(prefix="tests-pg-") as folder:
        home = Home(Path(folder))
        url = start_postgresql(home, "of-tests")
        try:
            address = make_url(url).set(drivername="postgresql+psycopg2")
            engine = create_engine(address, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                for setting in CARELESS:
                    connection.execute(text(f"ALTER SYSTEM SET {setting}"))
                connection.execute(text("SELECT pg_reload_conf()"))
                # a client hashes its password as often as the server was told when the password was set
                connection.execute(text("SET scram_iterations = 1"))
                connection.execute(text(f"ALTER USER {address.username} PASSWORD '{address.password}'"))
            engine.dispose()
            yield url
        finally:
            stop_postgresql(home)
