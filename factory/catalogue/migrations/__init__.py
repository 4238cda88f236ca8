"""The catalogue's schema by versions: which one stands, and how it is brought to that of this code (Alembic).

Owns the order of migrations and that one process at a time makes them. What a migration does stands in `versions`; the
tables as this code knows them stand in `factory.catalogue.schema`, of which nothing here may know: a migration says
what it said when it was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from factory.errors import CatalogueNewer

if TYPE_CHECKING:
    from alembic.config import Config

HEAD = "0007"
"""The last migration in `versions`; known here, so that Alembic is loaded only where there is something to do."""

VERSION_TABLE = "catalogue_version"
"""Not Alembic's own name: MLflow, Prefect and Airflow use that, and may share a database with the catalogue."""

_LOCK = 7_105_022_217_044_681  # any number, the same in every process: PostgreSQL's advisory lock


def version_of(connection: Connection) -> str | None:
    """The version that the catalogue bears; None where it has no tables yet, or those of before there were versions."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version: str | None = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608
    return version


def migrate(engine: Engine, *, wait_seconds: int) -> None:
    """Bring the catalogue to HEAD, wholly or not at all; nothing is written where it is there already.

    Several processes may do so at once: one migrates, the others wait for it. Raises CatalogueNewer.
    """
    with engine.connect() as connection:
        if version_of(connection) == HEAD:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text(f"SET LOCAL lock_timeout = '{wait_seconds}s'"))
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        standing = version_of(connection)  # another process may have been quicker
        if standing != HEAD:
            _upgrade(connection, standing)


def configuration(connection: Connection) -> Config:
    """Alembic's configuration for that connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, standing: str | None) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = configuration(connection)
    known = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    if standing is not None and standing not in known:
        raise CatalogueNewer(
            f"the catalogue at {connection.engine.url.render_as_string()} is of version {standing}; this code knows it "
            f"up to {HEAD}: a later version of the factory has migrated it. Install that version, or set DATABASE_URL "
            "to another catalogue"
        )
    command.upgrade(config, HEAD)
