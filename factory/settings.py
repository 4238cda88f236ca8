"""The factory's settings, read once from the environment at an entry point.

Owns names and defaults of the environment variables. Opens nothing; a wrong value is one error that names the variable.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

CHECKOUT = Path(__file__).resolve().parents[1]
HOME = CHECKOUT / ".stack" / "standalone"
"""Where everything lies when no setting says otherwise: a flow called as a plain function needs no service."""


class SettingsError(ValueError):
    """A setting holds a value that cannot be used."""


def _written(value: object) -> object:
    """A text as ISO 8601 has it; pydantic takes 20260105 for seconds, and for a day in August 1970."""
    return datetime.fromisoformat(value.strip()) if isinstance(value, str) else value


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _placed(uri: str) -> str:
    if uri.rstrip("/").endswith(":"):  # s3://$BUCKET without a bucket would be a folder "s3:" here
        raise ValueError("no bucket or folder is named behind the protocol")
    return uri


def _listed(value: object) -> object:
    return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value


def _branch(name: str) -> str:
    if not re.fullmatch(r"(?!-)[\w.@+-]+(/[\w.@+-]+)*", name) or ".." in name or name.endswith((".", ".lock")):
        raise ValueError("this is no name of a branch: write one like main or release/models")
    return name


def _inside(folder: str) -> str:
    steps = folder.strip("/").split("/")
    if folder.startswith("/") or {"", ".", "..", ".git"} & {step.lower() for step in steps} or "\\" in folder:
        raise ValueError("this is no folder within a repository: write one like models or deploy/models")
    return "/".join(steps)


class WeekPlan(BaseModel):
    """How the catalogue grows by the week; shares are fractions of all products."""

    model_config = ConfigDict(frozen=True)

    epoch: Annotated[datetime, BeforeValidator(_written), AfterValidator(_aware)] = datetime(2026, 1, 5, tzinfo=UTC)
    first_share: float = Field(default=0.40, gt=0, le=1)
    weekly_share: float = Field(default=0.03, ge=0, le=1)
    test_share: float = Field(default=0.20, gt=0, lt=1)
    seed: int = 42


class Settings(BaseModel):
    """Everything that the factory reads from its surroundings."""

    model_config = ConfigDict(frozen=True)

    database_url: str
    snapshot_uri: Annotated[str, AfterValidator(_placed)]
    data_roots: Annotated[tuple[str, ...], BeforeValidator(_listed)] = ()
    """Folders and fsspec addresses below which a parameter may name files; what lies in the store it may name too."""
    mlflow_tracking_uri: str
    inference_log_path: str | None = None
    drift_threshold: float = Field(default=0.3, ge=0, le=1)
    min_samples_for_drift: int = Field(default=100, ge=1)
    retrain_cooldown_days: float = Field(default=30, ge=0, le=36_600)
    promotion_approval: bool = False
    promotion_repository: str | None = None
    """The git repository that decisions on champions are committed to; the address may bear a password."""
    promotion_branch: Annotated[str, AfterValidator(_branch)] = "main"
    promotion_folder: Annotated[str, AfterValidator(_inside)] = "models"
    airflow_ui_url: str | None = None
    prefect_ui_url: str | None = None
    mlflow_ui_url: str | None = None
    weeks: WeekPlan = WeekPlan()


_VARIABLES = {
    "snapshot_uri": "SNAPSHOT_URI",
    "data_roots": "DATA_ROOTS",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
    "inference_log_path": "INFERENCE_LOG_PATH",
    "drift_threshold": "DRIFT_THRESHOLD",
    "min_samples_for_drift": "MIN_SAMPLES_FOR_DRIFT",
    "retrain_cooldown_days": "RETRAIN_COOLDOWN_DAYS",
    "promotion_approval": "PROMOTION_APPROVAL",
    "promotion_repository": "PROMOTION_REPOSITORY",
    "promotion_branch": "PROMOTION_BRANCH",
    "promotion_folder": "PROMOTION_FOLDER",
    "airflow_ui_url": "AIRFLOW_UI_URL",
    "prefect_ui_url": "PREFECT_UI_URL",
    "mlflow_ui_url": "MLFLOW_UI_URL",
}
_WEEK_VARIABLES = {
    "epoch": "WEEK_EPOCH",
    "first_share": "WEEK_FIRST_SHARE",
    "weekly_share": "WEEK_WEEKLY_SHARE",
    "test_share": "WEEK_TEST_SHARE",
    "seed": "WEEK_SEED",
}


def read_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this process.

    Raises SettingsError naming the variable and what is wrong with it. An empty variable counts as not set.
    """
    given = {field: environ[name] for field, name in _VARIABLES.items() if environ.get(name)}
    weeks = {field: environ[name] for field, name in _WEEK_VARIABLES.items() if environ.get(name)}
    values = {
        "database_url": database_url(environ),
        "snapshot_uri": f"file://{HOME / 'snapshots'}",  # as fsspec reads it: it knows no %20
        "data_roots": data_folders(environ),
        "mlflow_tracking_uri": f"sqlite:///{HOME / 'mlflow.sqlite'}",
        **given,
    }
    try:
        return Settings.model_validate({**values, "weeks": weeks})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from error


def data_folders(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where a person puts data for a stack, and for every stack of the checkout; neither has to exist."""
    home = environ.get("STACK_HOME") or HOME.parent
    return str(Path(home, "data").absolute()), str(CHECKOUT / "data")


def database_url(environ: Mapping[str, str]) -> str:
    """The catalogue's SQLAlchemy URL: DATABASE_URL, else POSTGRES_*, else a SQLite file under HOME."""
    if url := environ.get("DATABASE_URL"):
        return url
    if host := environ.get("POSTGRES_HOST"):
        user = quote(environ.get("POSTGRES_USER", "postgres"), safe="")
        password = quote(environ.get("POSTGRES_PASSWORD", ""), safe="")
        port = environ.get("POSTGRES_PORT", "5432")
        name = quote(environ.get("POSTGRES_DB", "postgres"), safe="")
        return f"postgresql+psycopg2://{user}:{password}@{host}:{port}/{name}"
    return f"sqlite:///{HOME / 'catalogue.sqlite'}"


def _explain(error: ValidationError) -> str:
    names = {**_VARIABLES, **_WEEK_VARIABLES}
    parts = [f"{names.get(str(e['loc'][-1]), e['loc'])}={e['input']!r}: {e['msg']}" for e in error.errors()]
    return "; ".join(parts)
