"""The compose files as data, and the scripts of docker/, which are no package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[3]
COMPOSE_FILES = ("docker-compose.prefect.yml", "docker-compose.airflow.yml")


def read_compose(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / name).read_text())


@pytest.fixture(params=COMPOSE_FILES)
def compose(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Each of the two files in turn."""
    return read_compose(request.param)


def load_script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CHECKOUT / "docker" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_env() -> ModuleType:
    return load_script("make_env")


@pytest.fixture
def probe() -> ModuleType:
    return load_script("probe")


@pytest.fixture
def airflow_init() -> ModuleType:
    return load_script("airflow_init")
