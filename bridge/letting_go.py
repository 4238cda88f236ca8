"""A wish to cancel that outlives the process that had it.

A worker whose task is ended has seconds left, and Prefect may be away for longer. `let_go_later` hands the wish to a
process of its own, which keeps trying as long as a wait's patience lasts. Knows nothing of Airflow.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from bridge.ending import describe_cancellation
from bridge.errors import FlowRunNotFound, PrefectUnreachable
from bridge.intention import Intention
from bridge.prefect_api import wire
from bridge.prefect_api.client import AsyncPrefectClient, PrefectClient
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Operation
from bridge.prefect_api.retrying import RetryPolicy
from bridge.submitting import Claim, take_back

PAUSE_SECONDS = 1.0
"""Between two attempts, while Prefect is away: a worker whose task is ended has some seconds left."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be cancelled: one run, or all that lives of a task instance."""

    flow_run_id: str | None = None
    claim: Claim | None = None

    def fulfil(self) -> Operation[list[str]]:
        """Cancel it, and tell what became of each run; nothing where there is nothing."""
        if self.claim is not None:
            return [describe_cancellation(run) for run in (yield from take_back(self.claim))]
        if self.flow_run_id is None:
            return []
        try:
            return [describe_cancellation((yield from wire.cancel_flow_run(self.flow_run_id)))]
        except FlowRunNotFound as gone:
            return [str(gone)]


def let_go(
    wish: Wish, connection: PrefectConnection, patience_seconds: float, clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """Fulfil the wish, asking again while Prefect is away; blocks.

    Raises PrefectUnreachable once `patience_seconds` have passed, and what asking again does not mend at once.
    """
    until = clock() + patience_seconds
    with PrefectClient(connection, RetryPolicy(attempts=1)) as client:
        while True:
            try:
                return client.run(wish.fulfil())
            except PrefectUnreachable:
                if clock() >= until:
                    raise
                time.sleep(min(PAUSE_SECONDS, max(0.0, until - clock())))


async def let_go_async(wish: Wish, connection: PrefectConnection, patience_seconds: float) -> list[str]:
    """The same for an event loop."""
    loop = asyncio.get_running_loop()
    until = loop.time() + patience_seconds
    async with AsyncPrefectClient(connection, RetryPolicy(attempts=1)) as client:
        while True:
            try:
                return await client.run(wish.fulfil())
            except PrefectUnreachable:
                if loop.time() >= until:
                    raise
                await asyncio.sleep(min(PAUSE_SECONDS, max(0.0, until - loop.time())))


def let_go_later(wish: Wish, connection: PrefectConnection, patience_seconds: float) -> None:
    """Start a process that fulfils the wish, and return; it outlives this one.

    What it needs to know goes through its standard input: a credential must not stand in a list of processes.
    """
    document = {"wish": asdict(wish), "connection": asdict(connection), "patience_seconds": patience_seconds}
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge.letting_go"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        text=True,
    )
    if process.stdin is not None:
        with process.stdin as told:
            json.dump(document, told)


def _decode(document: Mapping[str, Any]) -> Wish:
    claim = document["claim"]
    if claim is None:
        return Wish(document["flow_run_id"])
    meant = claim["intention"]
    intention = Intention(meant["deployment"], tuple(meant["scope"])) if meant is not None else None
    return Wish(claim=Claim(**{**claim, "tags": tuple(claim["tags"]), "intention": intention}))


def main() -> None:
    """Fulfil the wish that is told on standard input."""
    document = json.loads(sys.stdin.buffer.read())
    connection = document["connection"]
    if isinstance(connection["client_certificate"], list):
        connection["client_certificate"] = tuple(connection["client_certificate"])
    let_go(_decode(document["wish"]), PrefectConnection(**connection), document["patience_seconds"])


if __name__ == "__main__":
    main()
