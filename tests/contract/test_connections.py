"""A Prefect server as people put it up: behind basic auth, a path prefix, TLS of one's own, and a proxy."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from bridge.errors import ConnectionMisconfigured, PrefectUnauthorised, PrefectUnreachable
from bridge.prefect_api.client import PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import state_changes
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import read_server
from tests.contract.fronts import ForwardProxy, forward_proxy, make_certificate, tls_front
from tests.live_prefect import LivePrefect

CREDENTIALS = "team:s3cret:pass/word"
PREFIX = "/models/prefect/api"


class PrefixedPrefect(LivePrefect):
    """A server whose API lies below a path."""

    @property
    def api_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PREFIX}"

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "PREFECT_SERVER_API_BASE_PATH": PREFIX}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefixedPrefect]:
    started = PrefixedPrefect(tmp_path_factory.mktemp("guarded"), basic_auth=CREDENTIALS)
    started.start()
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(server: PrefixedPrefect, certificate: tuple[Path, Path]) -> Iterator[PrefectConnection]:
    """The same server as seen through TLS."""
    with tls_front(server.port, *certificate) as port:
        yield PrefectConnection(
            f"https://127.0.0.1:{port}{PREFIX}",
            basic_auth=CREDENTIALS,
            verify=str(certificate[0]),
            trust_environment=False,
        )


@pytest.fixture
def proxy() -> Iterator[ForwardProxy]:
    with forward_proxy("u:proxy-pass") as running:
        yield running


def greeting(connection: PrefectConnection) -> str:
    with PrefectClient(connection, RetryPolicy(attempts=1)) as client:
        return str(client.run(read_server()))


async def socket_stands(connection: PrefectConnection, seconds: float = 20) -> bool:
    """Whether the subscription to events stands in the end."""
    opened = asyncio.Event()

    async def listen() -> None:
        async for _ in state_changes(connection, datetime.now(UTC), opened.set):
            pass

    listening = asyncio.create_task(listen())
    opening = asyncio.create_task(opened.wait())
    try:
        await asyncio.wait({listening, opening}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if listening.done():
            listening.result()
        return opened.is_set()
    finally:
        listening.cancel()
        opening.cancel()


async def test_prefix_and_basic_auth_over_requests_and_socket(server: PrefixedPrefect) -> None:
    connection = PrefectConnection(server.api_url, basic_auth=CREDENTIALS, trust_environment=False)
    assert "answers and accepts the credentials" in greeting(connection)
    assert await socket_stands(connection)
    assert connection.flow_run_url("1") == f"http://127.0.0.1:{server.port}/models/prefect/runs/flow-run/1"


async def test_wrong_credentials_are_refused_by_requests_and_socket(server: PrefixedPrefect) -> None:
    for wrong in ({"basic_auth": "team:wrong"}, {"api_key": "wrong"}, {}):
        connection = PrefectConnection(server.api_url, trust_environment=False, **wrong)
        with pytest.raises(PrefectUnauthorised):
            greeting(connection)
        with pytest.raises(PrefectUnauthorised):
            await socket_stands(connection)


async def test_credentials_in_the_address_are_sent_and_do_not_show(server: PrefixedPrefect) -> None:
    address = server.api_url.replace("http://", "http://team:s3cret%3Apass%2Fword@")
    connection = PrefectConnection(address, trust_environment=False)
    assert "s3cret" not in f"{greeting(connection)} {connection!r} {connection.flow_run_url('1')}"
    assert await socket_stands(connection)


async def test_tls_with_a_ca_of_ones_own(secure: PrefectConnection) -> None:
    assert "accepts the credentials" in greeting(secure)
    assert await socket_stands(secure)


async def test_an_unknown_ca_is_refused_unless_it_is_not_asked_for(secure: PrefectConnection) -> None:
    strict = replace(secure, verify=True)
    with pytest.raises(PrefectUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        greeting(strict)
    with pytest.raises(PrefectUnreachable, match="CERTIFICATE_VERIFY_FAILED"):
        await socket_stands(strict)
    careless = replace(secure, verify=False)
    assert "accepts the credentials" in greeting(careless)
    assert await socket_stands(careless)


def test_a_ca_file_that_is_not_there_is_named(secure: PrefectConnection) -> None:
    with pytest.raises(ConnectionMisconfigured, match=r"nowhere\.pem"):
        greeting(replace(secure, verify="nowhere.pem"))


async def test_requests_and_socket_go_through_the_proxy(secure: PrefectConnection, proxy: ForwardProxy) -> None:
    through = replace(secure, proxy=f"http://u:proxy-pass@127.0.0.1:{proxy.port}")
    assert "accepts the credentials" in greeting(through)
    by_requests = len(proxy.tunnels)
    assert by_requests >= 1
    assert await socket_stands(through)
    assert len(proxy.tunnels) > by_requests


async def test_a_proxy_that_refuses_is_named_without_its_password(
    secure: PrefectConnection, proxy: ForwardProxy
) -> None:
    refused = replace(secure, proxy=f"http://u:other-pass@127.0.0.1:{proxy.port}")
    with pytest.raises(PrefectUnreachable, match="407") as by_request:
        greeting(refused)
    with pytest.raises(PrefectUnreachable, match="407") as by_socket:
        await socket_stands(refused)
    assert "other-pass" not in f"{by_request.value} {by_socket.value}"


async def test_no_credential_is_logged_on_the_way(
    secure: PrefectConnection, proxy: ForwardProxy, caplog: pytest.LogCaptureFixture
) -> None:
    """Everything at DEBUG, through a proxy that wants a password of its own."""
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "websockets", "websockets.client", "bridge"):
        caplog.set_level(logging.DEBUG, logger=name)
    through = replace(secure, proxy=f"http://u:proxy-pass@127.0.0.1:{proxy.port}")
    assert "accepts the credentials" in greeting(through)
    assert await socket_stands(through)
    assert "CONNECT" in caplog.text  # httpcore's lines are there
    assert not [secret for secret in through.secrets if secret in caplog.text]


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    strangers: list[ServerConnection] = []

    async def welcome(connection: ServerConnection) -> None:
        strangers.append(connection)

    async with serve(welcome, "127.0.0.1", 0) as elsewhere:
        target = f"ws://127.0.0.1:{elsewhere.sockets[0].getsockname()[1]}/"

        def send_away(connection: ServerConnection, request: Request) -> Response:
            return Response(302, "Found", Headers({"Location": target, "Content-Length": "0"}))

        async with serve(welcome, "127.0.0.1", 0, process_request=send_away) as here:
            address = f"http://127.0.0.1:{here.sockets[0].getsockname()[1]}/api"
            with pytest.raises(PrefectUnreachable, match="302"):
                await socket_stands(PrefectConnection(address, api_key="k", trust_environment=False))
    assert strangers == []


def bridge(*arguments: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command line with these settings of Prefect's and no others."""
    command = [str(Path(sys.executable).with_name("bridge")), *arguments]
    variables = {"PREFECT_HOME": str(home), "HOME": str(home), "NO_PROXY": "*", **environment}
    return subprocess.run(command, env=variables, cwd=home, capture_output=True, text=True, timeout=60)


def test_the_command_line_takes_prefects_own_settings(
    server: PrefixedPrefect, secure: PrefectConnection, tmp_path: Path
) -> None:
    plain: dict[str, Any] = {"PREFECT_API_URL": server.api_url, "PREFECT_API_AUTH_STRING": CREDENTIALS}
    assert json.loads(bridge("deployments", "--json", home=tmp_path, **plain).stdout) == []
    unknown = bridge("deployments", home=tmp_path, **{**plain, "PREFECT_API_URL": secure.api_url})
    assert unknown.returncode == 3
    known = {**plain, "PREFECT_API_URL": secure.api_url, "PREFECT_API_SSL_CERT_FILE": str(secure.verify)}
    assert bridge("deployments", home=tmp_path, **known).returncode == 0
    careless = {**plain, "PREFECT_API_URL": secure.api_url, "PREFECT_API_TLS_INSECURE_SKIP_VERIFY": "true"}
    assert bridge("deployments", home=tmp_path, **careless).returncode == 0
    refused = bridge("deployments", home=tmp_path, PREFECT_API_URL=server.api_url)
    assert refused.returncode == 3
    assert "refused the credentials" in refused.stderr
