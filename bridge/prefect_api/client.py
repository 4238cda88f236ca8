"""Two thin clients that drive the protocol over httpx, one blocking, one for an event loop.

Transport errors are translated here and nowhere else. Nothing here knows what a request is for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, closing
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.received import Sent, follow
from bridge.prefect_api.retrying import Fault, Pause, RetryPolicy, persistently
from bridge.prefect_api.tls import tls_context
from bridge.prefect_api.total_time import limit_total_time

T = TypeVar("T")

# Below the five seconds after which Prefect's server closes an idle connection: a pooled one that is older may be dead.
KEEPALIVE_SECONDS = 4.0

LONGEST_ANSWER_BYTES = 100_000_000
"""A page of results of the largest size that can cross is less than half as long."""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class PrefectClient:
    """Blocking client; a context manager."""

    def __init__(self, connection: PrefectConnection, retry: RetryPolicy | None = None) -> None:
        self.connection = connection
        self._retry = retry or RetryPolicy()
        self._http = httpx.Client(**_options(connection))
        self._deadline = limit_total_time(self._http)

    def run(self, operation: Operation[T]) -> T:
        """What the operation returns; raises the tree of `bridge.errors`."""
        steps = persistently(operation, self._retry, self.connection.api_url)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = steps.send(None)
                else:
                    step = steps.send(self._send(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _send(self, request: Request) -> Answer | Fault:
        self._deadline.begin(self.connection.timeout_seconds)
        sent: Sent | Answer | Fault = Sent(request, request.path)
        try:
            while isinstance(sent, Sent):
                with closing(self._http.send(sent.built_by(self._http), stream=True)) as response:
                    page = b"".join(_bounded(response.iter_bytes()))
                sent = follow(response, page, sent)
        except (httpx.HTTPError, httpx.InvalidURL, TooLong) as error:
            return _late(self.connection) if self._deadline.is_over else _fault(error)
        return sent

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncPrefectClient:
    """The same for an event loop; an async context manager."""

    def __init__(self, connection: PrefectConnection, retry: RetryPolicy | None = None) -> None:
        self.connection = connection
        self._retry = retry or RetryPolicy()
        self._http = httpx.AsyncClient(**_options(connection))

    async def run(self, operation: Operation[T]) -> T:
        """What the operation returns; raises the tree of `bridge.errors`."""
        steps = persistently(operation, self._retry, self.connection.api_url)
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = steps.send(None)
                else:
                    step = steps.send(await self._send(step))
        except StopIteration as stop:
            result: T = stop.value
            return result

    async def _send(self, request: Request) -> Answer | Fault:
        sent: Sent | Answer | Fault = Sent(request, request.path)
        try:
            async with asyncio.timeout(self.connection.timeout_seconds):
                while isinstance(sent, Sent):
                    async with aclosing(await self._http.send(sent.built_by(self._http), stream=True)) as response:
                        page = b"".join([chunk async for chunk in _bounded_async(response.aiter_bytes())])
                    sent = follow(response, page, sent)
        except TimeoutError:
            return _late(self.connection)
        except (httpx.HTTPError, httpx.InvalidURL, TooLong) as error:
            return _fault(error)
        return sent

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _options(connection: PrefectConnection) -> dict[str, Any]:
    secure = connection.api_url.startswith("https")
    return {
        "base_url": connection.api_url,
        "headers": connection.request_headers,
        "verify": tls_context(connection) if secure else False,
        "proxy": connection.proxy,
        "trust_env": connection.trust_environment,
        "timeout": connection.timeout_seconds,
        "limits": httpx.Limits(keepalive_expiry=KEEPALIVE_SECONDS),
    }


class TooLong(Exception):
    """An answer is longer than any of Prefect's."""


def _bounded(chunks: Iterable[bytes]) -> Iterator[bytes]:
    length = 0
    for chunk in chunks:
        length = _checked_length(length + len(chunk))
        yield chunk


async def _bounded_async(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    length = 0
    async for chunk in chunks:
        length = _checked_length(length + len(chunk))
        yield chunk


def _checked_length(length: int) -> int:
    if length > LONGEST_ANSWER_BYTES:
        raise TooLong(f"the answer is longer than {LONGEST_ANSWER_BYTES // 1_000_000} MB")
    return length


def _late(connection: PrefectConnection) -> Fault:
    return Fault(f"the answer did not arrive whole within {connection.timeout_seconds:g} s")


def _fault(error: Exception) -> Fault:
    return Fault(f"{type(error).__name__}: {error}".rstrip(": "), sent=not isinstance(error, _UNSENT))
