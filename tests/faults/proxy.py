"""A TCP proxy between the bridge and a real Prefect server that does to each request what a network may do.

Owns one listening port and what becomes of the requests and websockets that arrive there. Which fault meets which
request is the caller's to say (`Faults`); nothing here is random. One request a connection: where a request ends is
plain then, and a pooled connection that dies looks to the client like one that is cut.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from tests.faults.clocks import Clock, real_in, shown_in
from tests.faults.faults import Exchange, Fault, Faults, SocketFault
from tests.faults.frames import Frame, read_frame
from tests.faults.made_up import PAGE, made_up, of_an_empty_prefect
from tests.faults.raw_http import RawRequest, response, status_of

DRIP_SECONDS = 1.0
BROKEN = (OSError, asyncio.IncompleteReadError)


@dataclass
class FaultyProxy:
    """Listens on 127.0.0.1 from `start` to `stop`; a context manager."""

    upstream_port: int
    faults: Faults
    log: list[Exchange] = field(default_factory=list)
    port: int = 0
    clock: Clock = field(default_factory=Clock)
    """The clock that Prefect seems to have."""
    seems_empty: bool = False
    """Another Prefect, without deployments and runs, seems to be there instead."""
    _away: bool = False
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
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

    def leave(self) -> None:
        """Prefect is away from here on: nobody answers, and what is open breaks."""
        self._loop.call_soon_threadsafe(self._leave)

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way, its sender there or not."""
        return any(not exchange.is_over and exchange.method != "SOCKET" for exchange in self.log)

    def come_back(self) -> None:
        self._away = False

    def _leave(self) -> None:
        self._away = True
        for writer in list(self._writers):
            writer.transport.abort()

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
        self._writers.add(writer)
        try:
            # Cancelled only when the proxy stops: an end like any other.
            with suppress(*BROKEN, asyncio.CancelledError):
                request = await RawRequest.read(reader)
                if self._away:
                    writer.transport.abort()
                elif request.is_upgrade:
                    await self._pass_socket(request, reader, writer)
                else:
                    await self._pass_request(request, writer)
        finally:
            self._open.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _pass_request(self, request: RawRequest, writer: asyncio.StreamWriter) -> None:
        index = len(self.log)
        fault = self.faults.for_request(index, request.path)
        exchange = Exchange(index, request.method, request.path, fault, host=request.host)
        self.log.append(exchange)
        self.faults.watch(exchange, "arrived")
        with suppress(*BROKEN):
            await self._meet(exchange, request, writer)
            await writer.drain()
        exchange.is_over = True
        self.faults.watch(exchange, "answered")

    async def _meet(self, exchange: Exchange, request: RawRequest, writer: asyncio.StreamWriter) -> None:
        fault = exchange.fault
        assert isinstance(fault, Fault)
        if fault.kind == "refuse":
            await self._refuse(fault.seconds)
        if fault.kind in {"cut before", "refuse"}:
            writer.transport.abort()
            return
        if fault.kind.endswith(" before"):
            writer.write(made_up(fault, self._place(fault, request)))
            return
        if self.seems_empty:
            exchange.status = 404
            writer.write(of_an_empty_prefect(request.path))
            return
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        if fault.kind == "twice":
            await self._forward(request)
        answer = await self._forward(request)
        exchange.status = status_of(answer)
        self.faults.watch(exchange, "carried out")
        await self._hand_back(exchange, request, answer, writer)
        if fault.kind == "echo":
            await writer.drain()
            writer.close()
            await asyncio.sleep(fault.seconds)
            await self._forward(request)

    async def _hand_back(
        self, exchange: Exchange, request: RawRequest, answer: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """The server has answered; what of that reaches the client?"""
        fault = exchange.fault
        assert isinstance(fault, Fault)
        head, _, body = answer.partition(b"\r\n\r\n")
        if fault.kind == "hang":
            await asyncio.sleep(fault.seconds)
        if fault.kind in {"cut after", "hang"}:
            writer.transport.abort()
        elif fault.kind.endswith(" after"):
            writer.write(made_up(fault, self._place(fault, request)))
        elif fault.kind == "drip":
            exchange.endured = await _drip(answer, len(head) + 4, fault.seconds, writer)
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
            writer.write(real_in(request.raw, self.clock))
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
        if b"\r\n\r\n" not in answer:
            raise ConnectionResetError("the server died over the request")
        return shown_in(answer, self.clock)

    def _place(self, fault: Fault, request: RawRequest) -> str:
        return f"http://{fault.host}:{self.port}{request.path}"

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
        upwards = asyncio.create_task(_copy(reader, sender, lambda words: real_in(words, self.clock)))
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
            frame = (await read_frame(upstream)).with_words(lambda words: shown_in(words, self.clock))
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


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]) -> None:
    with suppress(*BROKEN):
        while True:
            writer.write((await read_frame(reader)).with_words(change).raw)
            await writer.drain()
    writer.close()


async def _drip(answer: bytes, body_at: int, seconds: float, writer: asyncio.StreamWriter) -> bool:
    """A byte a second, for so long; says whether somebody has listened to the end."""
    until = asyncio.get_running_loop().time() + seconds
    writer.write(answer[:body_at])
    for byte in answer[body_at:]:
        if asyncio.get_running_loop().time() > until or writer.transport.is_closing():
            break
        writer.write(bytes([byte]))
        await asyncio.sleep(DRIP_SECONDS)
    endured = not writer.transport.is_closing()
    writer.transport.abort()
    return endured
