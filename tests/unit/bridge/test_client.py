"""The two clients make the same of what a server does, and translate every transport error."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import certifi
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge import errors
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient, tls_context
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import examine

QUICK = RetryPolicy(attempts=3, first_pause_seconds=0.001, longest_pause_seconds=0.001)


def blocking(connection: PrefectConnection, operation: Operation) -> object:
    with PrefectClient(connection, QUICK) as client:
        return client.run(operation)


def awaiting(connection: PrefectConnection, operation: Operation) -> object:
    import asyncio

    async def ask() -> object:
        async with AsyncPrefectClient(connection, QUICK) as client:
            return await client.run(operation)

    return asyncio.run(ask())


both = pytest.mark.parametrize("ask", [blocking, awaiting])
Ask = Callable[[PrefectConnection, Operation], object]


@pytest.fixture
def connection(httpserver: HTTPServer) -> PrefectConnection:
    return PrefectConnection(httpserver.url_for("/api"), api_key="k", headers={"X-Team": "models"})


@both
def test_credentials_and_headers_are_sent(ask: Ask, httpserver: HTTPServer, connection: PrefectConnection) -> None:
    headers = {"Authorization": "Bearer k", "X-Team": "models"}
    httpserver.expect_request("/api/admin/version", headers=headers).respond_with_json("3.8.8")
    assert ask(connection, wire.read_server_version()) == "3.8.8"


@both
def test_a_passing_fault_is_outlasted(ask: Ask, httpserver: HTTPServer, connection: PrefectConnection) -> None:
    answers = [Response(status=503), Response(status=429, headers={"Retry-After": "-1"}), Response('"3.8.8"')]

    def answer(_: Request) -> Response:
        return answers.pop(0)

    httpserver.expect_request("/api/admin/version").respond_with_handler(answer)
    assert ask(connection, wire.read_server_version()) == "3.8.8"


@both
@pytest.mark.parametrize("page", [b"<!doctype html><title>Prefect</title>", b"\xff\xfe\x00not text"])
def test_a_web_page_in_place_of_the_api_is_explained(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection, page: bytes
) -> None:
    httpserver.expect_request("/api/admin/version").respond_with_data(page, content_type="text/html")
    with pytest.raises(errors.PrefectUnreachable, match="lack /api"):
        ask(connection, wire.read_server_version())


OPERATIONS: list[Callable[[], Operation]] = [
    lambda: wire.find_deployment("train/products"),
    lambda: wire.reread_flow_run("r1", "http://p/r1"),
    lambda: wire.cancel_flow_run("r1"),
    lambda: wire.list_workers("gpus"),
    lambda: examine(["train/products"]),
]


@both
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    ("status", "page"),
    [
        (404, "default backend - 404"),
        (404, ""),
        (404, '{"message": "no Route matched"}'),
        (403, "<html>Blocked</html>"),
    ],
)
def test_a_refusal_by_what_stands_before_prefect_is_not_prefects(
    ask: Ask,
    httpserver: HTTPServer,
    connection: PrefectConnection,
    operation: Callable[[], Operation],
    status: int,
    page: str,
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data(page, status=status)
    with pytest.raises(
        errors.PrefectUnreachable, match=rf"HTTP {status} that is not Prefect's.*3 times in a row"
    ) as met:
        ask(connection, operation())
    assert met.value.retryable
    assert len(httpserver.log) == 3


@both
def test_an_ingress_without_its_prefect_is_outlasted(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    answers = [Response("default backend - 404", status=404), Response('{"detail": "Not found"}', status=404)]
    httpserver.expect_request("/api/flow_runs/r1").respond_with_handler(lambda _: answers.pop(0))
    with pytest.raises(errors.FlowRunNotFound):
        ask(connection, wire.read_flow_run("r1"))


@both
def test_a_create_without_key_is_repeated_when_an_ingress_did_not_know_the_way(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    run = '{"id": "r1", "name": "brave-owl", "state": {"type": "SCHEDULED"}}'
    answers = [Response("default backend - 404", status=404), Response(run, status=201)]
    httpserver.expect_request("/api/deployments/d1/create_flow_run").respond_with_handler(lambda _: answers.pop(0))
    record = wire.DeploymentRecord.parse({"id": "d1", "name": "n", "flow_id": "f"})
    created = ask(connection, wire.create_flow_run(record, wire.Submission({}), "train/products"))
    assert created == wire.Created(wire.FlowRun.parse(json.loads(run)), new=True)


@both
@pytest.mark.parametrize(
    "page", ["", "<html>401 Authorization Required</html>", '{"exception_message": "Unauthorized"}']
)
def test_refused_credentials_are_said_whoever_refuses_them(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection, page: str
) -> None:
    httpserver.expect_request("/api/flow_runs/r1").respond_with_data(page, status=401)
    with pytest.raises(errors.PrefectUnauthorised):
        ask(connection, wire.read_flow_run("r1"))
    assert len(httpserver.log) == 1


@both
def test_a_request_that_a_proxy_finds_too_large_is_not_sent_again(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    httpserver.expect_request(re.compile(".*")).respond_with_data("<html>Too Large</html>", status=413)
    with pytest.raises(errors.PrefectApiError, match=r"HTTP 413.*Too Large") as refused:
        ask(connection, wire.read_flow_run("r1"))
    assert not refused.value.retryable
    assert len(httpserver.log) == 1


@both
def test_a_refused_connection_is_unreachable(ask: Ask, unused_tcp_port: int) -> None:
    with pytest.raises(errors.PrefectUnreachable, match=r"ConnectError.*3 times in a row.*bridge doctor"):
        ask(PrefectConnection(f"http://127.0.0.1:{unused_tcp_port}/api"), wire.read_server_version())


@both
def test_a_create_without_key_is_not_repeated_when_its_answer_is_lost(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    httpserver.expect_request("/api/deployments/d1/create_flow_run").respond_with_data("", status=500)
    record = wire.DeploymentRecord.parse({"id": "d1", "name": "n", "flow_id": "f"})
    with pytest.raises(errors.PrefectUnreachable, match="may have been carried out"):
        ask(connection, wire.create_flow_run(record, wire.Submission({}), "train/products"))
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("field", ["verify", "client_certificate"])
def test_a_certificate_that_cannot_be_read_is_a_misconfiguration(tmp_path: Path, field: str) -> None:
    garbled = tmp_path / "garbled.pem"
    garbled.write_text("no certificate")
    for file in (garbled, tmp_path / "absent.pem"):
        with pytest.raises(errors.ConnectionMisconfigured, match=f"TLS file.*{file}"):
            PrefectClient(PrefectConnection("https://prefect/api", **{field: str(file)}))


def test_the_authorities_are_read_once_until_their_file_is_replaced(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    shutil.copy(certifi.where(), authorities)
    connection = PrefectConnection("https://prefect/api", verify=str(authorities))
    first = tls_context(connection)
    assert tls_context(PrefectConnection("https://other/api", verify=str(authorities))) is first
    assert tls_context(PrefectConnection("https://prefect/api")) is not first
    moment_ns = authorities.stat().st_mtime_ns + 1_000_000_000
    os.utime(authorities, ns=(moment_ns, moment_ns))
    assert tls_context(connection) is not first
    authorities.unlink()
    with pytest.raises(errors.ConnectionMisconfigured, match="TLS file"):
        tls_context(connection)
