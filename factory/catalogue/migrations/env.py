"""What Alembic runs a migration in: the connection, and so the transaction, of `factory.catalogue.migrations`."""

from __future__ import annotations

from alembic import context

from factory.catalogue.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
