"""The fake Prefect on a port: a uvicorn server in a thread of its own, with credentials and faults in front of it."""

from __future__ import annotations

import asyncio
import socket
from base64 import b64encode
from collections.abc import Callable
from threading import Thread
from typing import Any, NamedTuple

from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from bridge.testing.faults import Fault, Faults

STOP_SECONDS = 10


class Asked(NamedTuple):
    """A request that came; `path` begins behind `/api`."""

    method: str
    path: str


class Doorway:
    """What a request meets before the endpoints: it is noted, may suffer a fault, and must show its credentials."""

    def __init__(
        self, inner: ASGIApp, faults: Faults, note: Callable[[Asked], None], authorization: str | None
    ) -> None:
        self._inner = inner
        self._faults = faults
        self._note = note
        self._authorization = authorization

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "").removeprefix("/api")
        if scope["type"] == "websocket":
            self._note(Asked("WEBSOCKET", path))
            await self._inner(scope, receive, send)
            return
        self._note(Asked(scope["method"], path))
        if delay := self._faults.take("delay", path=path):
            await asyncio.sleep(delay.seconds)
        fault = self._faults.take("answer", "lose_answer", "cut", path=path)
        await self._meet(fault, scope, receive, send)

    async def _meet(self, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
        if fault is None:
            await self._admit(scope, receive, send)
        elif fault.kind == "answer":
            headers = {"content-type": "application/json", **fault.headers}
            await Response(fault.body, fault.status, headers)(scope, receive, send)
        else:
            if fault.kind == "lose_answer":
                await self._admit(scope, receive, _into_the_void)
            scope["state"]["transport"].abort()
            await asyncio.sleep(0)  # lets uvicorn learn of it before it misses an answer

    async def _admit(self, scope: Scope, receive: Receive, send: Send) -> None:
        shown = dict(scope["headers"]).get(b"authorization", b"").decode()
        if self._authorization and shown != self._authorization and not scope["path"].endswith("/health"):
            await JSONResponse({"exception_message": "Unauthorized"}, 401)(scope, receive, send)
        else:
            await self._inner(scope, receive, send)


async def _into_the_void(_: Message) -> None:
    return


def authorization(basic_auth: str | None, api_key: str | None) -> str | None:
    """The header by which a client with these credentials is known."""
    if basic_auth:
        return f"Basic {b64encode(basic_auth.encode()).decode()}"
    return f"Bearer {api_key}" if api_key else None


class _CuttableProtocol(H11Protocol):
    """Hands the connection on to the application, which may have to cut it."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class Serving:
    """An application on a free port of loopback, from `start` to `stop`."""

    def __init__(self, application: ASGIApp) -> None:
        # Bound here, so that the port is known and connections queue from now on.
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._server = Server(
            Config(
                application,
                http=_CuttableProtocol,
                ws="websockets-sansio",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = Thread(target=self._run, name=f"fake Prefect on port {self.port}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Close every connection and the port; raises RuntimeError when the thread does not end."""
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        self._socket.close()
        if self._thread.is_alive():
            raise RuntimeError(f"the fake Prefect on port {self.port} did not stop within {STOP_SECONDS} s")

    def _run(self) -> None:
        self._server.run(sockets=[self._socket])
