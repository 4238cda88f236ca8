"""Two real Prefect servers with small flows, for every test that wants one; nothing is started until one does.

In a run of the suite they are the run's, which other lanes use at the same time: a test looks for its own runs by
their tag or id. Called by hand, pytest starts its own.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests import shared_services
from tests.live_prefect import LivePrefect

FLOWS = Path(__file__).with_name("contract") / "flows_for_tests.py"


def pytest_configure() -> None:
    """An environment that was installed before the distribution had its name fails in odd ways: it is said at once."""
    if find_spec("playwright"):  # that of the browser tests, which know the stack by its addresses alone
        return
    try:
        version("airflow-provider-prefect")
    except PackageNotFoundError:
        raise pytest.UsageError("this environment is not as pyproject.toml says: run make install-test") from None


@pytest.fixture
def awaited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the control page has been ready to wait for Prefect's answers; side by side counts once.

    In their place a test must not take the time: how long a machine needs beside that says nothing of the code.
    """
    ready: list[float] = []
    wait, until = asyncio.wait, float("-inf")

    def noted(things: Any, *, timeout: float | None = None, **more: Any) -> Any:
        nonlocal until
        caller = str(sys._getframe(1).f_globals.get("__name__", ""))
        if timeout is not None and caller == "plugins.control_page.prefect_reader":
            now, until = asyncio.get_running_loop().time(), until if ready else float("-inf")
            ready.append(max(0.0, now + timeout - max(now, until)))
            until = max(until, now + timeout)
        return wait(things, timeout=timeout, **more)

    monkeypatch.setattr(asyncio, "wait", noted)
    return ready


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePrefect]:
    """The server that lets everybody in, with the flows of `flows_for_tests.py` served as deployments named `t`."""
    home = tmp_path_factory.mktemp("prefect")
    if port := shared_services.shared_port(shared_services.OPEN_PREFECT_PORT):
        yield LivePrefect(home, port)
    else:
        yield from _served(LivePrefect(home))


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePrefect]:
    """The server that lets nobody in without user and password, with the same flows."""
    home = tmp_path_factory.mktemp("guarded")
    basic_auth = f"{shared_services.GUARDED_USER}:{shared_services.GUARDED_PASSWORD}"
    if port := shared_services.shared_port(shared_services.GUARDED_PREFECT_PORT):
        yield LivePrefect(home, port, basic_auth=basic_auth)
    else:
        yield from _served(LivePrefect(home, basic_auth=basic_auth))


def _served(server: LivePrefect) -> Iterator[LivePrefect]:
    server.start()
    try:
        with server.serving(FLOWS, "t", flows=5):
            yield server
    finally:
        server.stop()
