"""The event socket of the fake Prefect: `/api/events/out`, as Prefect 3's server speaks on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from bridge.testing.faults import Faults
from bridge.testing.filtering import Document, event_matches
from bridge.testing.schemas import Refusal
from bridge.testing.state import State

PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
HOLD_SECONDS = 1.0

Outbox = asyncio.Queue[Document | int]
"""Events to send, or the code with which to close."""


class EventSocket:
    """Serves subscriptions to one server's events; `token` is what a client must show, if any."""

    def __init__(self, state: State, faults: Faults, token: str | None) -> None:
        self._state = state
        self._faults = faults
        self._token = token

    async def serve(self, socket: WebSocket) -> None:
        """One connection, from its opening to its close."""
        if self._faults.take("refuse_socket") or "prefect" not in socket.scope["subprotocols"]:
            await socket.close(PROTOCOL_ERROR)
            return
        await socket.accept(subprotocol="prefect")
        try:
            wanted = await self._introduction(socket)
            if wanted is not None:
                await self._stream(socket, wanted["filter"], backfill=wanted.get("backfill", True))
        except WebSocketDisconnect:
            return

    async def _introduction(self, socket: WebSocket) -> dict[str, Any] | None:
        """The filter message of a client that was let in; None where the socket was closed."""
        hello = await socket.receive_json()
        refusal = None
        if hello.get("type") != "auth":
            refusal = "Expected 'auth' message"
        elif self._token and not hello.get("token"):
            refusal = "Auth required but no token provided"
        elif self._token and hello["token"] != self._token:
            refusal = "Invalid token"
        if refusal:
            await socket.close(POLICY_VIOLATION, refusal)
            return None
        await socket.send_json({"type": "auth_success"})
        wanted: dict[str, Any] = await socket.receive_json()
        if wanted.get("type") != "filter":
            await socket.close(PROTOCOL_ERROR, "Expected 'filter' message")
            return None
        return wanted

    async def _stream(self, socket: WebSocket, wanted: dict[str, Any], *, backfill: bool) -> None:
        async with self._outbox() as outbox:
            leaving = asyncio.ensure_future(socket.receive())
            try:
                past = self._state.rows(self._state.events) if backfill else []
                for event in past:
                    if event_matches(event, wanted):
                        await socket.send_json({"type": "event", "event": event})
                told = {event["id"] for event in past}
                while not leaving.done():
                    coming = asyncio.ensure_future(outbox.get())
                    await asyncio.wait({coming, leaving}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        coming.cancel()
                    elif isinstance(item := coming.result(), int):
                        await socket.close(item)
                        return
                    elif item["id"] not in told and event_matches(item, wanted):
                        await self._send(socket, item, outbox)
            except Refusal as refusal:
                await socket.close(PROTOCOL_ERROR, f"Invalid filter: {refusal.detail}")
            finally:
                leaving.cancel()

    async def _send(self, socket: WebSocket, event: Document, outbox: Outbox) -> None:
        fault = self._faults.take("drop_event", "duplicate_event", "hold_event")
        kind = fault.kind if fault else "none"
        if kind == "drop_event":
            return
        if kind == "hold_event":
            try:
                async with asyncio.timeout(HOLD_SECONDS):
                    next_one = await outbox.get()
            except TimeoutError:
                pass
            else:
                if isinstance(next_one, int):
                    outbox.put_nowait(next_one)
                else:
                    await socket.send_json({"type": "event", "event": next_one})
        for _ in range(2 if kind == "duplicate_event" else 1):
            await socket.send_json({"type": "event", "event": event})

    @asynccontextmanager
    async def _outbox(self) -> AsyncIterator[Outbox]:
        """A queue that is fed from whichever thread changes a run."""
        outbox: Outbox = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(item: Document | int) -> None:
            loop.call_soon_threadsafe(outbox.put_nowait, item)

        listener: Callable[[Document], None] = put
        closer: Callable[[int], None] = put
        self._state.listeners.add(listener)
        self._faults.closers.add(closer)
        try:
            yield outbox
        finally:
            self._state.listeners.discard(listener)
            self._faults.closers.discard(closer)
