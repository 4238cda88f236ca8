"""What a run of the suite hands to its lanes: servers that they share, and migrated databases to copy.

Owns the names of the environment variables, so that who starts (`tests.suite`) and who uses (the fixtures) agree. A
test that is run by hand finds none of them and starts what it needs. Standard library alone.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

OPEN_PREFECT_PORT = "BRIDGE_TESTS_OPEN_PREFECT_PORT"
GUARDED_PREFECT_PORT = "BRIDGE_TESTS_GUARDED_PREFECT_PORT"
POSTGRESQL_URL = "BRIDGE_TESTS_POSTGRESQL_URL"
TEMPLATES = "BRIDGE_TESTS_TEMPLATES"

GUARDED_USER, GUARDED_PASSWORD = "airflow-team", "pa:ss/w0rd+&secret"
PREFECT_DATABASE = "prefect.db"
AIRFLOW_DATABASE = "airflow.db"


def shared_port(name: str) -> int | None:
    """The port of a server that the run shares; None when this is not part of a run."""
    found = os.environ.get(name)
    return int(found) if found else None


def copy_template(database: str, folder: Path) -> bool:
    """Whether the run has a migrated database of that name; it then stands in the folder, unless one stood there."""
    templates = os.environ.get(TEMPLATES)
    if templates is None:
        return False
    if not (folder / database).exists():
        shutil.copy(Path(templates) / database, folder / database)
    return True
