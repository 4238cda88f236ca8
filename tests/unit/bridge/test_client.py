"""The two clients make the same of what a server does, and translate every transport error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge import errors
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.retrying import RetryPolicy
from bridge.prefect_api.wire import Operation

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


def test_a_certificate_that_cannot_be_read_is_a_misconfiguration(tmp_path: object) -> None:
    connection = PrefectConnection("https://prefect/api", verify=f"{tmp_path}/absent.pem")
    with pytest.raises(errors.ConnectionMisconfigured, match="TLS file"):
        PrefectClient(connection)
