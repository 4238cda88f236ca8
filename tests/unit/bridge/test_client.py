"""The two clients make the same of what a server does, and translate every transport error."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import certifi
import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge import errors
from bridge.prefect_api import client, wire
from bridge.prefect_api.batches import read_results
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient, tls_context
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.retrying import RetryPolicy
from bridge.readiness import examine

QUICK = RetryPolicy(attempts=3, first_pause_seconds=0.001, longest_pause_seconds=0.001)


def blocking(connection: PrefectConnection, operation: Operation) -> object:
    with PrefectClient(connection, QUICK) as opened:
        return opened.run(operation)


def awaiting(connection: PrefectConnection, operation: Operation) -> object:
    import asyncio

    async def ask() -> object:
        async with AsyncPrefectClient(connection, QUICK) as opened:
            return await opened.run(operation)

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


SOME_ID = "00000000-0000-4000-8000-000000000001"
RUN = {"id": "r1", "name": "brave-owl", "state": {"type": "RUNNING"}}


@both
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_within_the_same_place_is_followed_with_credentials(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection, status: int
) -> None:
    moved = Response(status=status, headers={"Location": "/v2/api/flow_runs/r1"})
    httpserver.expect_request("/api/flow_runs/r1").respond_with_response(moved)
    headers = {"Authorization": "Bearer k", "X-Team": "models"}
    httpserver.expect_request("/v2/api/flow_runs/r1", headers=headers).respond_with_json(RUN)
    assert ask(connection, wire.read_flow_run("r1")) == wire.FlowRun.parse(RUN)


@both
def test_a_gateway_on_the_same_host_leads_on_and_credentials_stay_behind(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    """Another port is another server: it may answer, but is told no secret."""
    with HTTPServer() as real:
        real.expect_request("/api/flow_runs/filter", method="POST").respond_with_json([RUN])
        away = Response(status=308, headers={"Location": real.url_for("/api/flow_runs/filter")})
        httpserver.expect_request("/api/flow_runs/filter").respond_with_response(away)
        assert ask(connection, wire.read_flow_runs(["r1"])) == {"r1": wire.FlowRun.parse(RUN)}
        [(asked, _)] = real.log
        assert json.loads(asked.data) == {"flow_runs": {"id": {"any_": ["r1"]}}, "limit": 200}
        assert "Authorization" not in asked.headers
        assert "X-Team" not in asked.headers


@both
@pytest.mark.parametrize(
    ("status", "location"),
    [
        (308, "http://elsewhere.test/api/flow_runs/filter"),
        (307, "ftp://localhost/api"),
        (302, "/login?next=/api"),
        (303, "/login"),
        (308, ""),
        (308, "/api/flow_runs/filter"),
    ],
)
def test_a_redirect_that_leads_elsewhere_is_named_and_outlasted(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection, status: int, location: str
) -> None:
    moved = Response(status=status, headers={"Location": location} if location else {})
    httpserver.expect_request("/api/flow_runs/filter").respond_with_response(moved)
    with pytest.raises(
        errors.PrefectUnreachable, match=rf"HTTP {status} from http://localhost:\d+/api/flow_runs/filter"
    ):
        ask(connection, wire.read_flow_runs(["r1"]))


@both
@pytest.mark.parametrize("page", ["", "{}", "null", "[]", '{"status": "ok"}', "<html>Sign in</html>"])
def test_a_success_that_cannot_be_prefects_is_outlasted(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection, page: str
) -> None:
    answers = [Response(page), Response(page), Response(json.dumps(RUN))]
    httpserver.expect_request("/api/flow_runs/r1").respond_with_handler(lambda _: answers.pop(0))
    assert ask(connection, wire.read_flow_run("r1")) == wire.FlowRun.parse(RUN)


@both
def test_another_application_that_does_not_have_the_path_is_not_believed(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    answers = [Response('{"detail": "Not Found"}', status=404), Response(json.dumps(RUN))]
    httpserver.expect_request(f"/api/flow_runs/{SOME_ID}").respond_with_handler(lambda _: answers.pop(0))
    assert ask(connection, wire.read_flow_run(SOME_ID)) == wire.FlowRun.parse(RUN)


@both
@pytest.mark.parametrize("dripping", ["head", "body"])
def test_an_answer_that_drips_ends_by_its_total_time(ask: Ask, dripping: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    drops = [b"x"] * 600
    if dripping == "head":
        head, drops = b"HTTP/1.1 200 OK\r\nX-Drip: ", [b"y"] * 600
    with dripping_server(head, drops, pause_seconds=0.1) as port:
        connection = PrefectConnection(f"http://127.0.0.1:{port}/api", timeout_seconds=0.5)
        with pytest.raises(errors.PrefectUnreachable, match="did not arrive whole"):
            ask(connection, wire.read_flow_run("r1"))


@both
def test_an_answer_without_end_is_cut_off(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_ANSWER_BYTES", 1_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"
    too_long = pytest.raises(errors.PrefectUnreachable, match="longer than 1 MB")
    with dripping_server(head, [b"x" * 100_000] * 100, pause_seconds=0.0) as port, too_long:
        ask(PrefectConnection(f"http://127.0.0.1:{port}/api"), wire.read_flow_run("r1"))


@both
def test_one_result_that_cannot_be_decoded_spoils_no_other(
    ask: Ask, httpserver: HTTPServer, connection: PrefectConnection
) -> None:
    poisons = {"r3": '{"in":' * 100_000 + "1" + "}" * 100_000, "r5": "9" * 10_000}

    def answer(request: Request) -> Response:
        ids = json.loads(request.data)["artifacts"]["flow_run_id"]["any_"]
        rows = [f'{{"flow_run_id": "{each}", "data": {poisons.get(each, json.dumps({"of": each}))}}}' for each in ids]
        return Response(f"[{', '.join(rows)}]")

    httpserver.expect_request("/api/artifacts/filter").respond_with_handler(answer)
    results = ask(connection, read_results([f"r{number}" for number in range(8)]))
    assert isinstance(results, dict)
    spoilt = {each for each, result in results.items() if isinstance(result, errors.ResultInvalid)}
    assert spoilt == set(poisons)
    assert {each: result for each, result in results.items() if each not in spoilt} == {
        f"r{number}": {"of": f"r{number}"} for number in range(8) if number not in {3, 5}
    }


@contextmanager
def dripping_server(head: bytes, drops: list[bytes], pause_seconds: float) -> Iterator[int]:
    """The port of a server that sends the head of an answer, and then a drop at a time."""
    listener = socket.create_server(("127.0.0.1", 0))
    stopped = threading.Event()

    def serve() -> None:
        with suppress(OSError):  # the client, or the listener, has hung up
            while True:
                peer, _ = listener.accept()
                threading.Thread(target=drip, args=(peer,), daemon=True).start()

    def drip(peer: socket.socket) -> None:
        with suppress(OSError), peer:
            peer.recv(65536)
            peer.sendall(head)
            for drop in drops:
                if stopped.wait(pause_seconds):
                    return
                peer.sendall(drop)

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
