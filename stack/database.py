"""The databases behind the services: an embedded PostgreSQL, SQLite files, or a server of the user's own.

Owns how a choice becomes one URL a service, and that the four databases are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.identity import load_identity
from stack.postgresql import start_postgresql
from stack.settings import StackError, StackSettings

if TYPE_CHECKING:
    from sqlalchemy import URL

NAMES = {
    "prefect": "factory_prefect",
    "mlflow": "factory_mlflow",
    "airflow": "factory_airflow",
    "catalogue": "factory_catalogue",
}
"""Database by service. The prefix keeps a server of the user's own from lending us its real `airflow`."""


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """SQLAlchemy URLs, each with the driver that its service needs."""

    prefect: str
    mlflow: str
    airflow: str
    catalogue: str


def start_databases(settings: StackSettings) -> DatabaseUrls:
    """The URLs of four databases that exist and answer; starts the embedded server if that is the choice.

    Raises StackError when the server does not start, cannot be reached or forbids to create a database.
    """
    if settings.database == "sqlite":
        folder = settings.home.path / "sqlite"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return sqlite_urls(folder)
    from sqlalchemy import make_url

    url = settings.database
    if url == "embedded":
        url = start_postgresql(settings.home, load_identity(settings.home).database_password)
    server = make_url(url)
    _create_missing(server.set(drivername="postgresql+psycopg2"))
    return postgresql_urls(server)


def sqlite_urls(folder: Path) -> DatabaseUrls:
    """One file a service in this folder."""
    return DatabaseUrls(
        prefect=f"sqlite+aiosqlite:///{folder / 'prefect.sqlite'}",
        mlflow=f"sqlite:///{folder / 'mlflow.sqlite'}",
        # Airflow's services write side by side: by default one that has waited for 5 s fails as "database is locked"
        airflow=f"sqlite:///{folder / 'airflow.sqlite'}?timeout=60",
        catalogue=f"sqlite:///{folder / 'catalogue.sqlite'}",
    )


def postgresql_urls(server: URL) -> DatabaseUrls:
    """One database a service on that server; Prefect's driver is asyncpg, which calls `sslmode` plainly `ssl`."""
    urls = {
        service: server.set(drivername="postgresql+psycopg2", database=name).render_as_string(hide_password=False)
        for service, name in NAMES.items()
    }
    query = {("ssl" if key == "sslmode" else key): value for key, value in server.query.items()}
    prefect = server.set(drivername="postgresql+asyncpg", database=NAMES["prefect"], query=query)
    return DatabaseUrls(**{**urls, "prefect": prefect.render_as_string(hide_password=False)})


def _create_missing(server: URL) -> None:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import OperationalError, ProgrammingError

    engine = create_engine(server.set(database=server.database or "postgres"), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            present = set(connection.execute(text("SELECT datname FROM pg_database")).scalars())
            for name in sorted(set(NAMES.values()) - present):
                connection.execute(text(f'CREATE DATABASE "{name}"'))
    except OperationalError as error:
        raise StackError(
            f"the database server {server.render_as_string()} cannot be reached: {str(error.orig).strip()}\n"
            "  remedy:   check DATABASE, or leave it out for the embedded PostgreSQL"
        ) from error
    except ProgrammingError as error:
        raise StackError(
            f"{server.render_as_string()} does not let us create a database: {str(error.orig).strip()}\n"
            f"  remedy:   let an administrator create {', '.join(NAMES.values())} for this user, then start again"
        ) from error
    finally:
        engine.dispose()
