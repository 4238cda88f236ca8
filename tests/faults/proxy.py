"""A TCP proxy between the bridge and a real Prefect server that does to each request what a network may do.

Owns one listening port and what becomes of the requests and websockets that arrive there. Which fault meets which
request is the caller's to say (`Faults`); nothing here is random. One request a connection: where a request ends is
plain then, and a pooled connection that dies looks to the client like one that is cut.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tests.faults.frames import Frame, read_frame
from tests.faults.raw_http import RawRequest, response, status_of

Kind = Literal[
    "pass",
    "cut before",
    "cut after",
    "cut midway",
    "delay",
    "hang",
    "twice",
    "echo",
    "status before",
    "status after",
    "page before",
    "page after",
    "truncated",
    "wrong length",
    "refuse",
]
SocketKind = Literal["pass", "refuse", "cut", "drop", "double", "delay"]
Phase = Literal["arrived", "carried out", "answered"]

PAGE = b"<!doctype html><title>Sign in</title><p>This is not the page that you are looking for.</p>"
BROKEN = (OSError, asyncio.IncompleteReadError)


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of one request.

    "before" leaves it undone; "after" lets the server carry it out and loses the answer. `seconds` is the length of a
    delay, of an echo's lateness, of a hang and of a refusal to listen; `retry_after_seconds` goes with a status.
    """

    kind: Kind = "pass"
    seconds: float = 0.0
    status: int = 503
    retry_after_seconds: int | None = None

    def __str__(self) -> str:
        told = [self.kind]
        if self.kind.startswith("status"):
            told.append(f"{self.status}, Retry-After {self.retry_after_seconds}")
        if self.seconds:
            told.append(f"{self.seconds} s")
        return ", ".join(told)


@dataclass(frozen=True, slots=True)
class SocketFault:
    """What becomes of one websocket: of the message that comes after `after_messages` others, and of no other."""

    kind: SocketKind = "pass"
    after_messages: int = 1
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.kind} after {self.after_messages} messages, {self.seconds} s"


@dataclass(slots=True)
class Exchange:
    """One request that arrived, counted from 0; `status` is the server's, None where it did not answer."""

    index: int
    method: str
    path: str
    fault: Fault | SocketFault
    status: int | None = None

    def __str__(self) -> str:
        return f"{self.index:3} {self.method} {self.path} -> {self.status or 'nothing'}; {self.fault}"


class Faults(Protocol):
    """Who decides; called in the proxy's thread, in the order of arrival."""

    def for_request(self, index: int) -> Fault: ...

    def for_socket(self, index: int) -> SocketFault: ...

    def watch(self, exchange: Exchange, phase: Phase) -> None:
        """Told how far a request has come; processes are killed here."""


@dataclass
class FaultyProxy:
    """Listens on 127.0.0.1 from `start` to `stop`; a context manager."""

    upstream_port: int
    faults: Faults
    log: list[Exchange] = field(default_factory=list)
    port: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _listener: asyncio.Server | None = None
    _open: set[asyncio.Task[Any]] = field(default_factory=set)

    def start(self) -> None:
        """Listen on a free port, in a thread of its own."""
        self._thread = threading.Thread(target=self._loop.run_forever, name="faulty proxy", daemon=True)
        self._thread.start()
        self._await(self._listen())

    def stop(self) -> None:
        """Close every connection and the port."""
        self._await(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> FaultyProxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _await(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _listen(self) -> None:
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._listener is not None
        self._listener.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            # Cancelled only when the proxy stops: an end like any other.
            with suppress(*BROKEN, asyncio.CancelledError):
                request = await RawRequest.read(reader)
                if request.is_upgrade:
                    await self._pass_socket(request, reader, writer)
                else:
                    await self._pass_request(request, writer)
        finally:
            self._open.discard(task)
            writer.close()

    async def _pass_request(self, request: RawRequest, writer: asyncio.StreamWriter) -> None:
        index = len(self.log)
        exchange = Exchange(index, request.method, request.path, self.faults.for_request(index))
        self.log.append(exchange)
        self.faults.watch(exchange, "arrived")
        with suppress(*BROKEN):
            await self._meet(exchange, request, writer)
            await writer.drain()
        self.faults.watch(exchange, "answered")

    async def _meet(self, exchange: Exchange, request: RawRequest, writer: asyncio.StreamWriter) -> None:
        fault = exchange.fault
        assert isinstance(fault, Fault)
        if fault.kind == "refuse":
            await self._refuse(fault.seconds)
        if fault.kind in {"cut before", "refuse"}:
            writer.transport.abort()
            return
        if fault.kind in {"status before", "page before"}:
            writer.write(_made_up(fault))
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "twice":
            await self._forward(request)
        answer = await self._forward(request)
        exchange.status = status_of(answer)
        self.faults.watch(exchange, "carried out")
        await self._hand_back(fault, answer, writer)
        if fault.kind == "echo":
            await writer.drain()
            writer.close()
            await asyncio.sleep(fault.seconds)
            await self._forward(request)

    async def _hand_back(self, fault: Fault, answer: bytes, writer: asyncio.StreamWriter) -> None:
        """The server has answered; what of that reaches the client?"""
        head, _, body = answer.partition(b"\r\n\r\n")
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        if fault.kind in {"cut after", "hang"}:
            writer.transport.abort()
        elif fault.kind in {"status after", "page after"}:
            writer.write(_made_up(fault))
        elif fault.kind in {"cut midway", "wrong length"}:
            writer.write(answer[: len(head) + 4 + len(body) // 2])
        elif fault.kind == "truncated":
            writer.write(response(status_of(answer), b"application/json", body[: len(body) // 2] or b"{"))
        else:
            writer.write(answer)

    async def _forward(self, request: RawRequest) -> bytes:
        """The server's whole answer; raises OSError when it is not there, or dies over it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            writer.write(request.raw)
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        if b"\r\n\r\n" not in answer:
            raise ConnectionResetError("the server died over the request")
        return answer

    async def _refuse(self, seconds: float) -> None:
        """Nobody listens for a while; requests that are under way go on."""
        assert self._listener is not None
        self._listener.close()
        task = asyncio.create_task(self._listen_again(seconds))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _listen_again(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._listen()

    async def _pass_socket(
        self, request: RawRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        sockets = sum(isinstance(each.fault, SocketFault) for each in self.log)
        fault = self.faults.for_socket(sockets)
        self.log.append(Exchange(len(self.log), "SOCKET", request.path, fault))
        if fault.kind == "refuse":
            writer.write(response(503, b"text/html", PAGE))
            return
        upstream, sender = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        sender.write(request.raw)
        upwards = asyncio.create_task(_copy(reader, sender))
        try:
            writer.write(await upstream.readuntil(b"\r\n\r\n"))
            await self._pass_frames(fault, upstream, writer)
        finally:
            upwards.cancel()
            sender.close()

    async def _pass_frames(
        self, fault: SocketFault, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        messages = 0
        while True:
            frame = await read_frame(upstream)
            struck = frame.is_message and messages == fault.after_messages
            messages += frame.is_message
            if struck and fault.kind == "cut":
                writer.transport.abort()
                return
            await _deliver(frame, fault if struck else SocketFault(), writer)


async def _deliver(frame: Frame, fault: SocketFault, writer: asyncio.StreamWriter) -> None:
    if fault.kind == "drop":
        return
    if fault.kind == "delay":
        await asyncio.sleep(fault.seconds)
    writer.write(frame.raw * (2 if fault.kind == "double" else 1))
    await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(*BROKEN):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _made_up(fault: Fault) -> bytes:
    if fault.kind.startswith("page"):
        return response(200, b"text/html", PAGE)
    body = json.dumps({"detail": "made up by the proxy"}).encode()
    return response(fault.status, b"application/json", body, fault.retry_after_seconds)
