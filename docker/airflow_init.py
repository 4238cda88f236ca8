"""The step before Airflow's services: migrate the database, write the login, say what is missing around it.

Owns the file of passwords that SimpleAuthManager reads. Starts no service. Standard library alone.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

NEIGHBOURS = ("prefect-server", "prefect-postgres", "mlflow")
MIGRATION_SECONDS = 900
"""A new database takes half a minute; a large one that comes from an older Airflow takes longer."""


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Do the step; a migration that fails, or does not end within `MIGRATION_SECONDS`, ends the container with 1."""
    write_passwords(Path(environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), environ["ADMIN_PASSWORD"])
    migrate()
    if absent := [name for name in NEIGHBOURS if not _resolves(name)]:
        print(
            f"airflow-init: {', '.join(absent)} not found on this network. Airflow starts all the same, but "
            "weekly_ml_pipeline will wait at prefect_ready and then fail.\n"
            "  remedy: docker compose -f docker-compose.prefect.yml up --detach --wait"
        )


def migrate(seconds: float = MIGRATION_SECONDS) -> None:
    """Bring Airflow's database up to date; raises SystemExit with what to look at when that does not end, or fails."""
    look = "  remedy: docker compose -f docker-compose.airflow.yml logs airflow-postgres; then up again: it goes on"
    try:
        code = subprocess.run(["airflow", "db", "migrate"], timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        raise SystemExit(
            f"airflow-init: the migration of Airflow's database did not end within {seconds:g} s: another process may "
            f"hold a lock in it, or its disk is full or slow\n{look}"
        ) from None
    if code:
        raise SystemExit(f"airflow-init: the migration of Airflow's database failed; the cause stands above\n{look}")


def write_passwords(path: Path, password: str) -> None:
    """Write the admin's password, whole or not at all, readable by its owner alone."""
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"admin": password}, file)
    draft.replace(path)


def _resolves(name: str) -> bool:
    try:
        socket.getaddrinfo(name, None)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
