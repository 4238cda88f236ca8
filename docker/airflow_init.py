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


def main(environ: Mapping[str, str] = os.environ) -> None:
    """Do the step; raises subprocess.CalledProcessError when the migration fails, which ends the container with 1."""
    write_passwords(Path(environ["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]), environ["ADMIN_PASSWORD"])
    subprocess.run(["airflow", "db", "migrate"], check=True)
    if absent := [name for name in NEIGHBOURS if not _resolves(name)]:
        print(
            f"airflow-init: {', '.join(absent)} not found on this network. Airflow starts all the same, but "
            "weekly_ml_pipeline will wait at prefect_ready and then fail.\n"
            "  remedy: docker compose -f docker-compose.prefect.yml up --detach --wait"
        )


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
