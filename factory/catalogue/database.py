"""The catalogue: how to open it, to write to it, and a lock that lives in it.

Owns the differences between PostgreSQL and SQLite. Knows nothing of weeks, files or use cases; its tables stand in
`factory.catalogue.schema`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    create_engine,
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import NullPool

from factory.catalogue.migrations import migrate
from factory.catalogue.schema import locks
from factory.errors import CatalogueBusy, CatalogueUnreachable, CatalogueUnwritable, FactoryError
from factory.storage.private_files import make_file

LOCK_WAIT_SECONDS = 300
# SQLite's names of its errors, and PostgreSQL's codes
_BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED", "55P03")
_READ_ONLY = ("SQLITE_READONLY", "SQLITE_PERM", "25006", "42501")
_FULL = ("SQLITE_FULL", "53100")
_GONE = ("SQLITE_CANTOPEN", "SQLITE_IOERR", "57P0", "08")
_settled: set[tuple[object, ...]] = set()
"""The databases that this process has seen to bear its tables."""


def open_engine(url: str) -> Engine:
    """An engine on the catalogue that was proven to answer; a SQLite file's folder is made where it is missing.

    Connections are not pooled: the factory opens few, and processes that fork share none.
    Raises CatalogueUnreachable.
    """
    address = _address(url)
    try:
        if address.drivername.startswith("sqlite") and address.database:
            make_file(Path(address.database))
        waits = {"timeout": LOCK_WAIT_SECONDS} if address.drivername.startswith("sqlite") else {}
        engine = create_engine(address, poolclass=NullPool, connect_args=waits)
        with engine.connect():
            return engine
    except (OperationalError, OSError) as error:
        cause = error.orig if isinstance(error, OperationalError) else error
        raise CatalogueUnreachable(
            f"no catalogue at {address.render_as_string()}: {_one_line(cause)}. "
            "Start the database, or set DATABASE_URL to one that runs."
        ) from error


def create_tables(engine: Engine) -> None:
    """The tables of this version, whichever version's stood there; several processes may do so at once.

    Nothing is written where nothing is to be done. Raises CatalogueNewer, CatalogueUnwritable, CatalogueBusy and
    CatalogueUnreachable.
    """
    try:
        migrate(engine, wait_seconds=LOCK_WAIT_SECONDS)
    except DBAPIError as error:
        if (explained := _explained(error, engine, "migration")) is None:
            raise
        if isinstance(explained, CatalogueUnwritable):
            explained = CatalogueUnwritable(
                f"{explained}. Its tables are missing or of an earlier version: whoever may write it brings them up by "
                "opening it once (`python -m factory show`)"
            )
        raise explained from error


def open_catalogue(url: str) -> Engine:
    """An engine on a catalogue with the tables of this version; a process looks at these once a database.

    Raises as open_engine and create_tables do.
    """
    engine = open_engine(url)
    if _identity(engine) not in _settled:
        create_tables(engine)
        _settled.add(_identity(engine))
    return engine


def _identity(engine: Engine) -> tuple[object, ...]:
    """What tells this database from another under the same URL; a SQLite file may have been replaced, or be empty."""
    if engine.dialect.name != "sqlite":
        return (engine.url,)
    file = Path(engine.url.database or "").stat()
    return engine.url, file.st_dev, file.st_ino, file.st_size == 0


@contextmanager
def transaction(engine: Engine, lock: str = "catalogue") -> Iterator[Connection]:
    """A transaction to write in: committed when the block ends, or rolled back by an error.

    Raises CatalogueBusy where another process holds the `lock`, or SQLite's file, for LOCK_WAIT_SECONDS,
    CatalogueUnwritable, and CatalogueUnreachable where the database goes away meanwhile.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        if (explained := _explained(error, engine, lock)) is None:
            raise
        raise explained from error


@contextmanager
def exclusive(engine: Engine, name: str) -> Iterator[Connection]:
    """A lock of that name: one holder at a time over all processes, released at the end or by the holder's death.

    Gives a connection whose open transaction is the lock; what is written through it is committed when the block
    ends, or rolled back by an error. On SQLite every writer waits for the holder, so write through this connection
    alone. Raises as `transaction`.
    """
    with transaction(engine, name) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_WAIT_SECONDS}s'"))
        insert = upsert(connection, locks).values(name=name, taken_at=datetime.now(UTC))
        connection.execute(
            insert.on_conflict_do_update(index_elements=["name"], set_={"taken_at": insert.excluded.taken_at})
        )
        yield connection


def _explained(error: DBAPIError, engine: Engine, lock: str) -> FactoryError | None:
    """What the database's error says of its state; None where it is about a statement."""
    code = str(getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "pgcode", None) or "")
    said, where = _one_line(error.orig), engine.url.render_as_string()
    if code.startswith(_BUSY):
        return CatalogueBusy(
            f"the lock {lock!r} was not free within {LOCK_WAIT_SECONDS} s ({said}): wait for the process that holds "
            "it, or end it"
        )
    if code.startswith(_READ_ONLY):
        return CatalogueUnwritable(
            f"the catalogue at {where} cannot be written ({said}): give this user the right to write the file and its "
            "folder, or a database role that may write"
        )
    if code.startswith(_FULL):
        return CatalogueUnwritable(f"the catalogue at {where} has no room left ({said}): make some; nothing was stored")
    if code.startswith(_GONE) or error.connection_invalidated:
        return CatalogueUnreachable(f"the catalogue at {where} went away ({said}): nothing was stored; start it again")
    return None


def upsert(connection: Connection, table: Table) -> Any:
    """An INSERT of this connection's dialect, for `on_conflict_do_nothing` and `on_conflict_do_update`."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        if address.drivername in ("postgres", "postgresql"):  # psycopg2 is the driver that is installed
            address = address.set(drivername="postgresql+psycopg2")
        dialect = address.get_dialect().name
    except (ArgumentError, NoSuchModuleError) as error:
        raise CatalogueUnreachable(
            "DATABASE_URL is not an address of a database that the catalogue knows: write "
            "postgresql://user:password@host:port/name or sqlite:////absolute/path"
        ) from error
    if dialect not in ("postgresql", "sqlite") or (dialect == "sqlite" and address.database in (None, "", ":memory:")):
        raise CatalogueUnreachable(
            f"the catalogue needs PostgreSQL or a SQLite file, not {address.render_as_string()}: set DATABASE_URL"
        )
    return address


def _one_line(cause: object) -> str:
    return " ".join(str(cause).split())
