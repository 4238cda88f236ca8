"""Settings of a stack in a folder of the test's own; nothing is started from them."""

import pytest

from stack.database import DatabaseUrls, sqlite_urls
from stack.identity import Identity
from stack.settings import StackSettings, read_stack_settings


@pytest.fixture
def settings(tmp_path) -> StackSettings:
    return read_stack_settings(
        {
            "STACK_HOME": str(tmp_path),
            "PATH": "/usr/bin",
            "HOME": "/home/someone",
            "LC_ALL": "C.UTF-8",
            "HTTPS_PROXY": "http://proxy:3128",
            "DRIFT_THRESHOLD": "0.4",
            "PREFECT_API_KEY": "theirs",
            "PREFECT_API_URL": "https://elsewhere",
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AWS_SECRET_ACCESS_KEY": "theirs",
            "DATABASE_URL": "postgresql://elsewhere",
        }
    )


@pytest.fixture
def identity() -> Identity:
    return Identity(
        admin_password="word",
        jwt_secret="jwt",
        api_secret="api",
        fernet_key="fernet",
        week_epoch="2026-06-29T00:00:00+00:00",
        prefect_password="of-prefect",
        mlflow_password="of-mlflow",
        mlflow_secret="flask",
        database_password="of-postgresql",
    )


@pytest.fixture
def urls(tmp_path) -> DatabaseUrls:
    return sqlite_urls(tmp_path)
