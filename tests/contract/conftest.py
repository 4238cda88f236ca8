"""Clients on the real Prefect server of the session, and what tests do with runs."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import pytest

from bridge.intention import Intention
from bridge.prefect_api import wire
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.records import FlowRun
from bridge.submitting import submit
from bridge.verdict import Live, judge
from tests.live_prefect import LivePrefect, wait_until


@pytest.fixture
def client(prefect: LivePrefect) -> Iterator[PrefectClient]:
    with PrefectClient(PrefectConnection(prefect.api_url)) as opened:
        yield opened


@pytest.fixture(scope="session")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LivePrefect]:
    """A server that wants a password, for tests that kill it: each leaves it running, and none shares it meanwhile."""
    server = LivePrefect(tmp_path_factory.mktemp("mortal"), basic_auth="user:a password")
    server.start()
    yield server
    server.stop()


def intention(deployment: str) -> Intention:
    """One that nobody had before."""
    return Intention(deployment, ("test", uuid4().hex))


def start(client: PrefectClient, deployment: str, meant: Intention | None = None, **parameters: object) -> FlowRun:
    """The run that answers the intention."""
    record = client.run(wire.find_deployment(deployment))
    asked = submit(record, meant or intention(deployment), wire.Submission(parameters))
    return client.run(asked).run


def ended(client: PrefectClient, run: FlowRun) -> FlowRun:
    """The run once it has ended."""
    wait_until(lambda: not isinstance(judge(client.run(wire.read_flow_run(run.id))), Live), f"{run.name} ends")
    return client.run(wire.read_flow_run(run.id))


def running(client: PrefectClient, run: FlowRun) -> FlowRun:
    """The run once it runs."""
    wait_until(lambda: client.run(wire.read_flow_run(run.id)).state_type == "RUNNING", f"{run.name} runs")
    return client.run(wire.read_flow_run(run.id))
