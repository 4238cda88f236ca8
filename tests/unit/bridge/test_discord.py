"""Whatever Discord does, a pipeline neither fails nor waits long, and the address never shows."""

from __future__ import annotations

import json
import logging
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.notifications.discord import send
from bridge.notifications.message import compose

PATH = "/api/webhooks/1/very-secret-token"
MESSAGE = compose("weekly succeeded", links={"Airflow": "http://a"})


@pytest.fixture
def url(httpserver: HTTPServer) -> str:
    return httpserver.url_for(PATH)


def test_a_message_is_sent_as_one_embed(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_data(status=204)
    assert send(MESSAGE, url).sent
    [(request, _)] = httpserver.log
    assert request.get_json()["embeds"] == [MESSAGE.as_embed()]


def test_nobody_is_called_by_what_others_wrote(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_data(status=204)
    assert send(compose("@everyone", failure="<@1> @here"), url).sent
    [(request, _)] = httpserver.log
    assert request.get_json()["allowed_mentions"] == {"parse": []}
    assert "content" not in request.get_json()


def test_an_answer_that_is_no_json_is_no_trouble(httpserver: HTTPServer, url: str) -> None:
    httpserver.expect_request(PATH).respond_with_data("<html>ok</html>", content_type="text/html")
    assert send(MESSAGE, url).sent


@pytest.mark.parametrize("status", [400, 401, 404, 413])
def test_a_refusal_is_not_repeated(httpserver: HTTPServer, url: str, status: int) -> None:
    httpserver.expect_request(PATH).respond_with_data("no", status=status)
    delivery = send(MESSAGE, url)
    assert not delivery.sent
    assert str(status) in delivery.problem
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(
    "first",
    [
        Response("{}", status=500),
        Response('{"retry_after": 0.05}', status=429),
        Response("slow down", status=429, headers={"Retry-After": "0.05"}),
    ],
)
def test_what_passes_is_repeated(httpserver: HTTPServer, url: str, first: Response) -> None:
    answers = [first, Response(status=204)]

    def answer(_: Request) -> Response:
        return answers.pop(0)

    httpserver.expect_request(PATH).respond_with_handler(answer)
    assert send(MESSAGE, url).sent
    assert not answers


@pytest.mark.parametrize("wait", [-1, "soon", None, float("nan")])
def test_a_senseless_rate_limit_is_met_with_our_own_pause(httpserver: HTTPServer, url: str, wait: object) -> None:
    answers = [Response(json.dumps({"retry_after": wait}), status=429), Response(status=204)]

    def answer(_: Request) -> Response:
        return answers.pop(0)

    httpserver.expect_request(PATH).respond_with_handler(answer)
    assert send(MESSAGE, url).sent


@pytest.mark.parametrize(
    "address", ["no address", "http://", "http://[very-secret-token", "https://discord:port/very-secret-token"]
)
def test_what_is_no_address_neither_raises_nor_shows(address: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        assert not send(MESSAGE, address, budget_seconds=0.4).sent
    assert "very-secret-token" not in caplog.text


def test_a_rate_limit_beyond_the_budget_is_not_waited_for(
    httpserver: HTTPServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    httpserver.expect_request(PATH).respond_with_json({"retry_after": 3600}, status=429)
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    assert not send(MESSAGE, url).sent
    assert slept == []


class _Drip(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while not self.server.stopping.wait(0.05):  # type: ignore[attr-defined]
            try:
                self.request.sendall(b"H")
            except OSError:
                return


@pytest.fixture
def dripping() -> Iterator[str]:
    """A server that answers one byte at a time and never ends; no read ever times out on it."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Drip) as server:
        server.daemon_threads = True
        server.stopping = threading.Event()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}{PATH}"
        server.stopping.set()  # type: ignore[attr-defined]
        server.shutdown()


def test_an_answer_that_never_ends_is_given_up(dripping: str) -> None:
    delivery = send(MESSAGE, dripping, budget_seconds=1.0)
    assert not delivery.sent  # and the answer has not ended: it drips until this test has


def test_nobody_there_is_no_error(unused_tcp_port: int) -> None:
    assert not send(MESSAGE, f"http://127.0.0.1:{unused_tcp_port}{PATH}", budget_seconds=1.0).sent


def test_without_address_the_message_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert not send(MESSAGE, None).sent
    assert "weekly succeeded" in caplog.text


@pytest.mark.parametrize("status", [204, 404, 500])
def test_the_address_stands_in_no_log_record(
    httpserver: HTTPServer, url: str, status: int, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    httpserver.expect_request(PATH).respond_with_data("x", status=status)
    with caplog.at_level(logging.DEBUG):
        send(MESSAGE, url, budget_seconds=1.0)
        send(MESSAGE, f"http://127.0.0.1:{unused_tcp_port}{PATH}", budget_seconds=0.6)
    ours = [record.getMessage() for record in caplog.records if record.name != "werkzeug"]  # the sink's own log
    assert any("was not told" in line for line in ours)
    assert not [line for line in ours if "very-secret-token" in line]
