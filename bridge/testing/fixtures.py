"""A pytest fixture for whoever asks for it: `pytest_plugins = ["bridge.testing.fixtures"]` in a conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.testing.fake import FakePrefect


@pytest.fixture
def fake_prefect(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePrefect]:
    """A fake Prefect that Airflow's connection `prefect_default` and PREFECT_API_URL name."""
    with FakePrefect() as prefect:
        monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", prefect.airflow_connection())
        monkeypatch.setenv("PREFECT_API_URL", prefect.api_url)
        yield prefect
