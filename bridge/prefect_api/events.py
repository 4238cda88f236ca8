"""Prefect's event socket: which flow runs have just changed their state.

Owns one subscription. Events may be lost, doubled, late or out of order, and a little ahead of the API; who acts
finally on one reads the run before.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from bridge.errors import PrefectUnauthorised, PrefectUnreachable
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.tls import tls_context

log = logging.getLogger(__name__)

FLOW_RUN_RESOURCE = "prefect.flow-run."
SUBSCRIPTION = timedelta(days=365)
REORDERED = timedelta(seconds=10)
"""How far before the last event a backfill begins: events come out of order."""
POLICY_VIOLATION = 1008
"""Close code by which Prefect refuses a token."""
PING_SECONDS = 15.0
"""A socket that is silent for so long is pinged, and given up after as long without an answer."""
FRAMES_HELD = 1024
"""Frames that wait in this process. Prefect drops events of a subscriber that lags by more than 256."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A flow run's change of state, as an event told it; `occurred` is the new state's timestamp."""

    flow_run_id: str
    state_type: str
    state_name: str
    occurred: datetime
    state_message: str = ""
    related: Sequence[Mapping[str, str]] = field(default=(), compare=False, repr=False)
    """What the run belongs to (flow, deployment, tags), as Prefect's events name resources."""


async def state_changes(
    connection: PrefectConnection, since: datetime | None, on_open: Callable[[], None]
) -> AsyncGenerator[StateChange, None]:
    """The state changes of all flow runs, as they happen; with `since`, first those that were missed.

    `on_open` is called once the subscription stands. Runs until the socket closes. Raises PrefectUnauthorised when the
    token is refused, PrefectUnreachable when the socket cannot be opened or breaks.
    """
    with _errors_of(connection):
        async with _socket(connection) as socket:
            async with asyncio.timeout(connection.timeout_seconds):
                await _subscribe(socket, connection, since)
            on_open()
            async for frame in socket:
                change = parse_frame(frame)
                if change is not None:
                    yield change


async def check_socket(connection: PrefectConnection) -> None:
    """Open the socket, have the credentials accepted, and close it; raises as `state_changes` does."""
    with _errors_of(connection):
        async with _socket(connection) as socket, asyncio.timeout(connection.timeout_seconds):
            await _subscribe(socket, connection, None)


@contextmanager
def _errors_of(connection: PrefectConnection) -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code == POLICY_VIOLATION:
            raise PrefectUnauthorised("Prefect's event socket refused the credentials") from closed
        raise PrefectUnreachable(f"Prefect's event socket at {connection.socket_url} closed: {closed}") from closed
    except (OSError, WebSocketException, ValueError) as error:  # a timeout is an OSError
        raise PrefectUnreachable(f"Prefect's event socket at {connection.socket_url} failed: {error!r}") from error


async def _subscribe(socket: ClientConnection, connection: PrefectConnection, since: datetime | None) -> None:
    await socket.send(json.dumps({"type": "auth", "token": connection.socket_token}))
    hello = json.loads(await socket.recv())
    kind = hello.get("type") if isinstance(hello, dict) else None
    if kind == "auth_failure":
        raise PrefectUnauthorised(f"Prefect's event socket refused the credentials: {hello.get('reason')}")
    if kind != "auth_success":
        raise ValueError(f"it answered {str(hello)[:100]!r}; is there a Prefect API behind it?")
    await socket.send(json.dumps({"type": "filter", **_subscription(since)}))


def parse_frame(frame: str | bytes) -> StateChange | None:
    """The state change in a frame of the socket; None where it holds none, or nothing that can be read."""
    try:
        return parse(json.loads(frame))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("Prefect's event socket sent what is no event (%r): %s", error, str(frame[:200]))
        return None


def parse(message: dict[str, Any]) -> StateChange | None:
    """The state change in a message of the socket; None where it holds none."""
    event = message.get("event") or {}
    resource = event.get("resource") or {}
    resource_id = str(resource.get("prefect.resource.id", ""))
    state_type = resource.get("prefect.state-type")
    if not resource_id.startswith(FLOW_RUN_RESOURCE) or state_type is None:
        return None
    if not isinstance(state_type, str):
        raise TypeError(f"a state type that is no text: {state_type!r}")
    occurred = datetime.fromisoformat(event["occurred"])
    if occurred.tzinfo is None:
        raise ValueError(f"a time without its zone: {event['occurred']}")
    return StateChange(
        flow_run_id=resource_id.removeprefix(FLOW_RUN_RESOURCE),
        state_type=state_type,
        state_name=resource.get("prefect.state-name") or state_type.title(),
        occurred=occurred,
        state_message=resource.get("prefect.state-message") or "",
        related=[each for each in event.get("related") or () if isinstance(each, Mapping)],
    )


def _socket(connection: PrefectConnection) -> connect:
    secure = connection.socket_url.startswith("wss")
    options: dict[str, Any] = {"ssl": tls_context(connection) or _unchecked()} if secure else {}
    return _Connect(
        connection.socket_url,
        logger=_Discreet(logging.getLogger("websockets.client"), {}),
        subprotocols=[Subprotocol("prefect")],
        additional_headers=connection.request_headers,
        proxy=connection.proxy or (True if connection.trust_environment else None),
        open_timeout=connection.timeout_seconds,
        ping_interval=PING_SECONDS,
        ping_timeout=PING_SECONDS,
        close_timeout=1.0,
        compression=None,  # costs both sides more processor time than such small frames are worth
        max_queue=FRAMES_HELD,
        **options,
    )


class _Connect(connect):
    """Follows no redirect: the token is for this API alone, and is sent once a socket stands."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """At DEBUG websockets logs headers and frames, and the credentials are in both."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 — logging's name
        return level > logging.DEBUG and super().isEnabledFor(level)


def _unchecked() -> Any:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _subscription(since: datetime | None) -> dict[str, Any]:
    # By prefix: an event is named for the state's name, and a state's name is the flow's to choose.
    # With an end far off: the server's default is the moment of the subscription, which lets no later event through.
    # With a beginning far off: the server's clock may be another; without backfill nothing older is sent anyhow.
    now = datetime.now(UTC)
    begin = now - SUBSCRIPTION if since is None else since - REORDERED
    occurred = {"since": begin.isoformat(), "until": (now + SUBSCRIPTION).isoformat()}
    wanted = {"event": {"prefix": [FLOW_RUN_RESOURCE]}, "occurred": occurred}
    return {"backfill": since is not None, "filter": wanted}
