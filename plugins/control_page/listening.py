"""Prefect's event socket, held while somebody looks: what has just changed need not be asked for again and again.

Owns the one socket of the process. Only a hint: events may be lost, and everything is read again now and then anyway.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from time import monotonic

from bridge.errors import BridgeError
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.events import state_changes

log = logging.getLogger(__name__)

LEAVE_SECONDS = 30.0
"""So long after the last look the socket is let go."""
RETRY_SECONDS = 30.0
SETTLE_SECONDS = 1.0
"""A server may take so long from hearing of a subscription to serving it; what changes meanwhile it does not tell."""


class Listener:
    """Tells `heard` the id of every flow run whose state changes; `connect` says where Prefect is.

    `settled` is called once changes are told from now on: what was read before may be older than that.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[PrefectConnection]],
        heard: Callable[[str], None],
        settled: Callable[[], None],
    ) -> None:
        self._connect = connect
        self._heard = heard
        self._settled = settled
        self._task: asyncio.Task[None] | None = None
        self._looked_at = float("-inf")
        self._failed_at = float("-inf")
        self.is_open = False

    def somebody_looks(self) -> None:
        """Hold the socket for a while; where it could not be opened, try again later."""
        self._looked_at = monotonic()
        over = self._task is None or self._task.done() or self._task.get_loop().is_closed()
        if over and monotonic() - self._failed_at > RETRY_SECONDS:
            self.is_open = False
            self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        opened = asyncio.Event()
        hearing = asyncio.create_task(self._hear(opened))
        settling = asyncio.create_task(self._settle(opened))
        try:
            while not hearing.done() and monotonic() - self._looked_at < LEAVE_SECONDS:
                await asyncio.wait({hearing}, timeout=LEAVE_SECONDS / 6)
        finally:
            self.is_open = False
            hearing.cancel()
            settling.cancel()

    async def _settle(self, opened: asyncio.Event) -> None:
        await opened.wait()
        await asyncio.sleep(SETTLE_SECONDS)
        self.is_open = True
        self._settled()

    async def _hear(self, opened: asyncio.Event) -> None:
        try:
            connection = await self._connect()
            async with aclosing(state_changes(connection, None, opened.set)) as changes:
                async for change in changes:
                    self._heard(change.flow_run_id)
        except BridgeError as error:
            self._failed_at = monotonic()
            log.info("No event socket, runs are read every few seconds instead: %s", error)
