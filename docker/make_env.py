"""Writes `.env` for docker compose: random secrets, the Monday that weeks are counted from, and what one may change.

Owns the names of the secrets; nowhere else is there a default for one. Starts nothing and knows no service. Runs before
anything is installed, on any Python 3: it needs the standard library alone. `make env` calls it.
"""

from __future__ import annotations

import argparse
import base64
import os
import secrets
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

FILE = Path(__file__).resolve().parents[1] / ".env"

PASSWORDS = (
    "PREFECT_POSTGRES_PASSWORD",
    "PREFECT_DB_PASSWORD",
    "MLFLOW_DB_PASSWORD",
    "FACTORY_DB_PASSWORD",
    "AIRFLOW_DB_PASSWORD",
    "AIRFLOW_ADMIN_PASSWORD",
    "AIRFLOW_API_SECRET_KEY",
    "AIRFLOW_JWT_SECRET",
    "PREFECT_PASSWORD",
    "MLFLOW_PASSWORD",
    "MLFLOW_SECRET_KEY",
)
"""Hexadecimal: they stand in URLs and in JSON as they are."""

REMARKS = {
    "PREFECT_POSTGRES_PASSWORD": "Databases take their passwords when their volume is made: change one here and there.",
    "AIRFLOW_ADMIN_PASSWORD": "Airflow's web interface: log in as admin.",
    "PREFECT_PASSWORD": "Prefect's web interface asks for prefect:<this>.",
    "MLFLOW_PASSWORD": "MLflow's web interface: log in as admin.",
    "WEEK_EPOCH": "Week 1 begins here; change it before the first week is cut, never after.",
    "COMPOSE_IGNORE_ORPHANS": "Two compose files are one project; neither is to call the other's services orphans.",
}

CHOICES = """
# What may be changed, with what holds if nothing is said:
# PREFECT_PORT=4200
# MLFLOW_PORT=5000
# AIRFLOW_PORT=8080
# AIRFLOW_SCHEDULE=5 7 * * 1
# DISCORD_WEBHOOK_URL=
# NOTIFY_SLACK_CONN_ID=
# NOTIFY_EMAIL_TO=
# NOTIFY_APPRISE_URLS=
# DRIFT_THRESHOLD=0.3
# MIN_SAMPLES_FOR_DRIFT=100
# RETRAIN_COOLDOWN_DAYS=30
# PROMOTION_APPROVAL=false
# PROMOTION_REPOSITORY=
# PROMOTION_BRANCH=main
# PROMOTION_FOLDER=models
# USE_CASE_SETTINGS=./docker/use_cases.toml
# OPENLINEAGE_URL=
# OPENLINEAGE_NAMESPACE=default
"""


def main(arguments: list[str] | None = None) -> int:
    """Write the file, or add what an existing one lacks; gives the exit code."""
    parser = argparse.ArgumentParser(description="Write .env with random secrets for docker compose.")
    parser.add_argument("--force", action="store_true", help="replace an existing file, secrets included")
    parser.add_argument("--file", type=Path, default=FILE, help="default: .env of this checkout")
    options = parser.parse_args(arguments)
    present = None if options.force or not options.file.exists() else options.file.read_text()
    wanted = new_values(datetime.now(timezone.utc))  # noqa: UP017 - Python 3.10 knows no UTC
    missing = {name: value for name, value in wanted.items() if name not in names_in(present or "")}
    if present is None:
        write_private(options.file, lines(wanted) + CHOICES)
        print(f"{options.file}: written, readable by you alone")
    elif missing:
        write_private(options.file, present.rstrip("\n") + "\n" + lines(missing))
        print(f"{options.file}: kept, and {', '.join(missing)} added")
    else:
        print(f"{options.file}: kept as it is (--force makes new secrets)")
    if options.force:
        print("Databases that exist keep their old passwords: docker compose down -v removes them with all their data.")
    return 0


def new_values(now: datetime) -> dict[str, str]:
    """Fresh random values by variable; weeks begin with the Monday of this week, 00:00 UTC."""
    monday = (now - timedelta(days=now.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    values = {name: secrets.token_hex(32 if name.startswith("AIRFLOW_") else 16) for name in PASSWORDS}
    values["AIRFLOW_ADMIN_PASSWORD"] = secrets.token_hex(8)  # typed by people
    values["AIRFLOW_FERNET_KEY"] = base64.urlsafe_b64encode(os.urandom(32)).decode()
    values["WEEK_EPOCH"] = monday.isoformat()
    values["COMPOSE_IGNORE_ORPHANS"] = "true"
    return values


def names_in(text: str) -> set[str]:
    """The variables that have a value in the text of an .env file."""
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip() for name, value in pairs if value.strip()}


def lines(values: dict[str, str]) -> str:
    """The values as an .env file says them, each remark above its variable."""
    said = ""
    for name, value in values.items():
        if name in REMARKS:
            said += f"# {REMARKS[name]}\n"
        said += f"{name}={value}\n"
    return said


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, whole or not at all."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
