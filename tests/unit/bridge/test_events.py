"""The event socket against servers that are no Prefect, or a sick one: trouble is named and never waited for long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any

import pytest
from websockets.asyncio.server import Response, ServerConnection, serve

from bridge import errors
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import StateChange, state_changes

PATIENCE_SECONDS = 20
EVENT = {
    "type": "event",
    "event": {
        "occurred": "2026-01-05T07:00:00+00:00",
        "resource": {
            "prefect.resource.id": "prefect.flow-run.1",
            "prefect.state-type": "FAILED",
            "prefect.state-name": "Failed",
        },
    },
}


@asynccontextmanager
async def server(
    handler: Callable[[ServerConnection], Awaitable[None]], refuse: HTTPStatus | None = None
) -> AsyncIterator[PrefectConnection]:
    """A socket of its own; with `refuse` the upgrade is answered with that status and a page."""

    def answer(connection: ServerConnection, _: Any) -> Response | None:
        return None if refuse is None else connection.respond(refuse, "<html>no sockets here</html>")

    async with serve(handler, "127.0.0.1", 0, process_request=answer, subprotocols=["prefect"]) as running:  # type: ignore[list-item]
        port = running.sockets[0].getsockname()[1]
        yield PrefectConnection(f"http://127.0.0.1:{port}/api", timeout_seconds=0.5, trust_environment=False)


async def first_change(connection: PrefectConnection) -> StateChange:
    async with asyncio.timeout(PATIENCE_SECONDS), aclosing(state_changes(connection, None, lambda: None)) as changes:
        return await anext(changes)


async def welcome(socket: ServerConnection) -> None:
    await socket.recv()
    await socket.send(json.dumps({"type": "auth_success"}))
    await socket.recv()


async def silence(socket: ServerConnection) -> None:
    await socket.wait_closed()


@pytest.mark.parametrize(
    "status",
    [HTTPStatus.OK, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND, HTTPStatus.UPGRADE_REQUIRED, HTTPStatus.BAD_GATEWAY],
)
async def test_a_proxy_that_knows_no_sockets_is_named(status: HTTPStatus) -> None:
    async with server(silence, refuse=status) as connection:
        with pytest.raises(errors.PrefectUnreachable, match=str(status.value)):
            await first_change(connection)


async def test_a_socket_that_says_nothing_is_given_up() -> None:
    async with server(silence) as connection:
        with pytest.raises(errors.PrefectUnreachable, match="Timeout"):
            await first_change(connection)


async def test_nobody_there_is_named() -> None:
    async with server(silence) as connection:
        pass
    with pytest.raises(errors.PrefectUnreachable, match="events/out"):
        await first_change(connection)


@pytest.mark.parametrize("greeting", ["<html>", "[]", '{"type": "hello"}', "null"])
async def test_who_greets_otherwise_than_prefect_is_not_believed(greeting: str) -> None:
    async def greet(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(greeting)
        await silence(socket)

    async with server(greet) as connection:
        with pytest.raises(errors.PrefectUnreachable):
            await first_change(connection)


async def test_refused_credentials_are_told_apart() -> None:
    async def refuse(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth_failure", "reason": "an old key"}))
        await silence(socket)

    async with server(refuse) as connection:
        with pytest.raises(errors.PrefectUnauthorised, match="an old key"):
            await first_change(connection)


async def test_garbage_among_the_frames_is_passed_over() -> None:
    async def babble(socket: ServerConnection) -> None:
        await welcome(socket)
        for frame in ("", "\x00", "[1]", '{"event": {"resource": {"prefect.state-type": 1}}}', b"\xff"):
            await socket.send(frame)
        await socket.send(json.dumps(EVENT))
        await silence(socket)

    async with server(babble) as connection:
        assert (await first_change(connection)).state_type == "FAILED"


async def test_a_socket_that_is_cut_off_says_so() -> None:
    async def cut(socket: ServerConnection) -> None:
        await welcome(socket)
        socket.transport.abort()

    async with server(cut) as connection:
        with pytest.raises(errors.PrefectUnreachable):
            await first_change(connection)
