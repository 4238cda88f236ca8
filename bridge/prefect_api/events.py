"""Prefect's event socket: which flow runs have just changed their state.

Owns one subscription. Events may be lost, doubled or out of order; who reads them must not believe them without
reading the run.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from bridge.errors import PrefectUnauthorised, PrefectUnreachable
from bridge.prefect_api.client import tls_context
from bridge.prefect_api.connection import PrefectConnection

FLOW_RUN_RESOURCE = "prefect.flow-run."
SUBSCRIPTION = timedelta(days=365)
CLOCKS_DIFFER = timedelta(hours=1)
POLICY_VIOLATION = 1008
"""Close code by which Prefect refuses a token."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A flow run's change of state, as an event told it."""

    flow_run_id: str
    state_type: str
    state_name: str
    occurred: datetime


async def state_changes(
    connection: PrefectConnection, since: datetime | None, on_open: Callable[[], None]
) -> AsyncIterator[StateChange]:
    """The state changes of all flow runs, as they happen; with `since`, first those that were missed.

    `on_open` is called once the subscription stands. Runs until the socket closes. Raises PrefectUnauthorised when the
    token is refused, PrefectUnreachable when the socket cannot be opened or breaks.
    """
    try:
        async with _socket(connection) as socket:
            await socket.send(json.dumps({"type": "auth", "token": connection.socket_token}))
            hello = json.loads(await socket.recv())
            if hello.get("type") != "auth_success":
                raise PrefectUnauthorised(f"Prefect's event socket refused the credentials: {hello.get('reason')}")
            await socket.send(json.dumps({"type": "filter", **_subscription(since)}))
            on_open()
            async for text in socket:
                change = parse(json.loads(text))
                if change is not None:
                    yield change
    except ConnectionClosed as closed:
        if closed.rcvd is not None and closed.rcvd.code == POLICY_VIOLATION:
            raise PrefectUnauthorised("Prefect's event socket refused the credentials") from closed
        raise PrefectUnreachable(f"Prefect's event socket at {connection.socket_url} closed: {closed}") from closed
    except (OSError, InvalidHandshake, TimeoutError, ValueError, KeyError, AttributeError) as error:
        raise PrefectUnreachable(f"Prefect's event socket at {connection.socket_url} failed: {error}") from error


def parse(message: dict[str, Any]) -> StateChange | None:
    """The state change in a message of the socket; None where it holds none."""
    event = message.get("event") or {}
    resource = event.get("resource") or {}
    resource_id = str(resource.get("prefect.resource.id", ""))
    state_type = resource.get("prefect.state-type")
    if not resource_id.startswith(FLOW_RUN_RESOURCE) or state_type is None:
        return None
    return StateChange(
        flow_run_id=resource_id.removeprefix(FLOW_RUN_RESOURCE),
        state_type=state_type,
        state_name=resource.get("prefect.state-name", ""),
        occurred=datetime.fromisoformat(event["occurred"]),
    )


def _socket(connection: PrefectConnection) -> connect:
    secure = connection.socket_url.startswith("wss")
    options: dict[str, Any] = {"ssl": tls_context(connection) or _unchecked()} if secure else {}
    return connect(
        connection.socket_url,
        subprotocols=[Subprotocol("prefect")],
        additional_headers=connection.request_headers,
        proxy=connection.proxy or (True if connection.trust_environment else None),
        open_timeout=connection.timeout_seconds,
        **options,
    )


def _unchecked() -> Any:
    import ssl

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _subscription(since: datetime | None) -> dict[str, Any]:
    # By prefix: an event is named for the state's name, and a state's name is the flow's to choose.
    # With an end far off: the server's default is the moment of the subscription, which lets no later event through.
    # Its beginning allows for clocks that differ; without backfill nothing older is sent anyhow.
    now = datetime.now(UTC)
    occurred = {"since": (since or now - CLOCKS_DIFFER).isoformat(), "until": (now + SUBSCRIPTION).isoformat()}
    wanted = {"event": {"prefix": [FLOW_RUN_RESOURCE]}, "occurred": occurred}
    return {"backfill": since is not None, "filter": wanted}
