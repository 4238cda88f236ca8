"""One real Prefect server with small flows, for every test that wants one; nothing is started until one does."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from tests.live_prefect import LivePrefect

FLOWS = Path(__file__).with_name("contract") / "flows_for_tests.py"


def pytest_configure() -> None:
    """An environment that was installed before the distribution had its name fails in odd ways: it is said at once."""
    try:
        version("airflow-provider-prefect")
    except PackageNotFoundError:
        raise pytest.UsageError("this environment is not as pyproject.toml says: run make install-test") from None


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePrefect]:
    """The server, with the flows of `flows_for_tests.py` served as deployments named `t`."""
    server = LivePrefect(tmp_path_factory.mktemp("prefect"))
    server.start()
    try:
        with server.serving(FLOWS, "t", flows=5):
            yield server
    finally:
        server.stop()
