"""The proxy does what it is told, to requests and to websockets, and nothing to the others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from tests.faults.clocks import Clock
from tests.faults.faults import OTHER_HOST, Exchange, Fault, Phase, SocketFault
from tests.faults.made_up import WORDS
from tests.faults.proxy import FaultyProxy

MOMENT = "2026-11-28T12:00:00Z"
ANSWER = {"text": "the server's own words", "moment": MOMENT}
PATIENCE_SECONDS = 60


@dataclass
class Told:
    """One fault for every request, one for every websocket."""

    fault: Fault = field(default_factory=Fault)
    socket_fault: SocketFault = field(default_factory=SocketFault)
    phases: list[Phase] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def for_request(self, _index: int, _path: str) -> Fault:
        return self.fault

    def for_socket(self, _index: int) -> SocketFault:
        return self.socket_fault

    def watch(self, _exchange: Exchange, phase: Phase) -> None:
        self.phases.append(phase)
        if phase == "answered":
            self.over.set()


@dataclass
class Served:
    """A server that counts, behind a proxy."""

    told: Told
    proxy: FaultyProxy
    bodies: list[bytes]

    def post(self, **fault: Any) -> httpx.Response:
        self.told.fault = Fault(**fault)
        url = f"http://127.0.0.1:{self.proxy.port}/path"
        return httpx.post(url, json={"a": 1}, timeout=PATIENCE_SECONDS, trust_env=False)


@pytest.fixture
def served() -> Iterator[Served]:
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            answer = httpx.Response(200, json=ANSWER).content
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the library's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told = Told()
    with FaultyProxy(server.server_address[1], told) as proxy:
        yield Served(told, proxy, bodies)
    server.shutdown()
    server.server_close()


def test_a_request_without_fault_passes_as_it_is(served: Served) -> None:
    assert served.post().json() == ANSWER
    assert served.bodies == [b'{"a":1}']
    # The client may have read its answer before the proxy's thread goes on to say so.
    assert served.told.over.wait(PATIENCE_SECONDS)
    assert served.told.phases == ["arrived", "carried out", "answered"]


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        ({"kind": "cut before"}, 0),
        ({"kind": "cut after"}, 1),
        ({"kind": "cut midway"}, 1),
        ({"kind": "wrong length"}, 1),
        ({"kind": "hang", "seconds": 0.3}, 1),
    ],
)
def test_an_answer_that_is_cut_off_never_comes(served: Served, fault: dict[str, Any], times: int) -> None:
    with pytest.raises(httpx.TransportError):
        served.post(**fault)
    assert len(served.bodies) == times


@pytest.mark.parametrize(("kind", "times"), [("status before", 0), ("status after", 1)])
def test_a_status_is_made_up_before_or_after_the_server_was_asked(served: Served, kind: Any, times: int) -> None:
    answer = served.post(kind=kind, status=429, retry_after_seconds=7)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")
    assert len(served.bodies) == times


@pytest.mark.parametrize(("kind", "times"), [("page before", 0), ("page after", 1)])
def test_somebody_elses_page_comes_instead(served: Served, kind: Any, times: int) -> None:
    answer = served.post(kind=kind)
    assert answer.status_code == 200
    assert answer.text.startswith("<!doctype html>")
    assert len(served.bodies) == times


@pytest.mark.parametrize(("kind", "times"), [("words before", 0), ("words after", 1)])
@pytest.mark.parametrize("words", sorted(WORDS))
def test_somebody_elses_words_come_instead(served: Served, kind: Any, words: str, times: int) -> None:
    answer = served.post(kind=kind, words=words)
    assert (answer.status_code, answer.content) == (200, WORDS[words])
    assert len(served.bodies) == times


@pytest.mark.parametrize(("kind", "times"), [("redirect before", 0), ("redirect after", 1)])
def test_an_answer_may_lead_back_or_to_another_host(served: Served, kind: Any, times: int) -> None:
    answer = served.post(kind=kind, status=308, host=OTHER_HOST)
    place = f"http://localhost:{served.proxy.port}/path"
    assert (answer.status_code, answer.headers["Location"]) == (308, place)
    assert len(served.bodies) == times


def test_who_follows_a_redirect_to_another_host_is_seen(served: Served) -> None:
    assert served.post().json() == ANSWER
    httpx.post(f"http://{OTHER_HOST}:{served.proxy.port}/path", json={}, timeout=PATIENCE_SECONDS, trust_env=False)
    assert [exchange.has_strayed for exchange in served.proxy.log] == [False, True]


def test_who_listens_to_a_dripping_answer_until_its_end_is_seen(served: Served) -> None:
    with pytest.raises(httpx.TransportError):
        served.post(kind="drip", seconds=1.5)
    assert served.told.over.wait(PATIENCE_SECONDS)
    assert served.proxy.log[0].endured


def test_who_turns_away_from_a_dripping_answer_has_not_endured_it(served: Served) -> None:
    served.told.fault = Fault("drip", seconds=3.0)
    url = f"http://127.0.0.1:{served.proxy.port}/path"
    with httpx.stream("POST", url, json={}, timeout=PATIENCE_SECONDS, trust_env=False):
        pass
    assert served.told.over.wait(PATIENCE_SECONDS)
    assert not served.proxy.log[0].endured


def test_prefect_is_away_and_comes_back(served: Served) -> None:
    served.proxy.leave()
    with pytest.raises(httpx.TransportError):
        served.post()
    served.proxy.come_back()
    assert served.post().json() == ANSWER


def test_an_empty_prefect_knows_no_runs_and_no_deployments(served: Served) -> None:
    served.proxy.seems_empty = True
    url = f"http://127.0.0.1:{served.proxy.port}/api"
    filtered = httpx.post(f"{url}/flow_runs/filter", json={}, timeout=PATIENCE_SECONDS, trust_env=False)
    assert filtered.json() == []
    assert httpx.get(f"{url}/deployments/name/a/b", timeout=PATIENCE_SECONDS, trust_env=False).status_code == 404


def test_a_wrong_clock_shows_in_what_is_asked_and_in_what_is_said(served: Served) -> None:
    served.proxy.clock = Clock(-60)
    answer = httpx.post(
        f"http://127.0.0.1:{served.proxy.port}/path",
        json={"after_": "2026-11-28T11:59:00+00:00"},
        timeout=PATIENCE_SECONDS,
        trust_env=False,
    )
    assert served.bodies == [b'{"after_":"2026-11-28T12:00:00+00:00"}']
    assert answer.json() == {**ANSWER, "moment": "2026-11-28T11:59:00Z"}


def test_a_truncated_answer_is_no_json(served: Served) -> None:
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|delimiter"):
        served.post(kind="truncated").json()


def test_a_request_is_carried_out_twice(served: Served) -> None:
    assert served.post(kind="twice").json() == ANSWER
    assert len(served.bodies) == 2


def test_an_echo_comes_after_the_answer(served: Served) -> None:
    assert served.post(kind="echo", seconds=0.2).json() == ANSWER
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(served.bodies) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds for which the proxy has slept, one after another."""
    seconds: list[float] = []
    sleep = asyncio.sleep

    async def noted(delay: float) -> None:
        seconds.append(delay)
        await sleep(delay)

    monkeypatch.setattr(asyncio, "sleep", noted)
    return seconds


def test_a_delay_is_only_that(served: Served, slept: list[float]) -> None:
    assert served.post(kind="delay", seconds=0.3).json() == ANSWER
    assert slept == [0.3]


def test_nobody_listens_for_a_while(served: Served, slept: list[float]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with pytest.raises(httpx.TransportError):
        served.post(kind="refuse", seconds=1.0)
    while True:
        try:
            assert served.post().json() == ANSWER
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert slept == [1.0]


@pytest.fixture
def told_socket() -> Iterator[Told]:
    """Behind it a websocket server that says one, two, three and closes."""

    def speak(connection: ServerConnection) -> None:
        for word in ("one", "two", "three"):
            connection.send(word)

    told = Told()
    with serve(speak, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with FaultyProxy(server.socket.getsockname()[1], told) as proxy:
            told.port = proxy.port
            yield told
        server.shutdown()


def heard(told: Told) -> list[str]:
    """What arrives until the connection ends."""
    words: list[str] = []
    with connect(f"ws://127.0.0.1:{told.port}/", proxy=None) as client:
        try:
            while True:
                words.append(str(client.recv(timeout=PATIENCE_SECONDS)))
        except ConnectionClosed:
            return words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pass", ["one", "two", "three"]),
        ("drop", ["one", "three"]),
        ("double", ["one", "two", "two", "three"]),
        ("delay", ["one", "two", "three"]),
        ("cut", ["one"]),
    ],
)
def test_the_second_message_of_a_socket_meets_the_fault(told_socket: Told, kind: Any, words: list[str]) -> None:
    told_socket.socket_fault = SocketFault(kind, after_messages=1, seconds=0.1)
    assert heard(told_socket) == words


def test_a_wrong_clock_shows_in_a_sockets_messages_both_ways() -> None:
    asked: list[str] = []

    def speak(connection: ServerConnection) -> None:
        asked.append(str(connection.recv(timeout=PATIENCE_SECONDS)))
        connection.send(f'{{"occurred": "{MOMENT}"}}')

    with serve(speak, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with (
            FaultyProxy(server.socket.getsockname()[1], Told(), clock=Clock(-60)) as proxy,
            connect(f"ws://127.0.0.1:{proxy.port}/", proxy=None) as client,
        ):
            client.send('{"since": "2026-11-28T11:59:00Z"}')
            said = client.recv(timeout=PATIENCE_SECONDS)
        server.shutdown()
    assert asked == [f'{{"since": "{MOMENT}"}}']
    assert said == '{"occurred": "2026-11-28T11:59:00Z"}'


def test_a_socket_is_refused(told_socket: Told) -> None:
    told_socket.socket_fault = SocketFault("refuse")
    with pytest.raises(InvalidStatus):
        heard(told_socket)
