"""Two thin clients that drive the protocol over httpx, one blocking, one for an event loop.

Transport errors are translated here and nowhere else. Nothing here knows what a request is for.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Operation, Request
from bridge.prefect_api.retrying import PASSING_STATUSES, Fault, Pause, RetryPolicy, persistently

T = TypeVar("T")

# Below the five seconds after which Prefect's server closes an idle connection: a pooled one that is older may be dead.
KEEPALIVE_SECONDS = 4.0

_ANYBODYS_STATUSES = PASSING_STATUSES | {401, 407, 413, 414, 431}
"""They mean the same whoever answers: a proxy may be the one that wants the credentials, or finds a request too large.
"""

_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class PrefectClient:
    """Blocking client; a context manager."""

    def __init__(self, connection: PrefectConnection, retry: RetryPolicy | None = None) -> None:
        self.connection = connection
        self._retry = retry or RetryPolicy()
        self._http = httpx.Client(**_options(connection))

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
        try:
            return _answer(self._http.request(request.method, request.path, json=request.json))
        except httpx.HTTPError as error:
            return _fault(error)

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
        try:
            return _answer(await self._http.request(request.method, request.path, json=request.json))
        except httpx.HTTPError as error:
            return _fault(error)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def tls_context(connection: PrefectConnection) -> ssl.SSLContext | bool:
    """How to check the server's certificate; raises ConnectionMisconfigured when a file cannot be read.

    Reading the authorities takes tens of milliseconds, so that a context is kept until one of its files changes.
    """
    if connection.verify is False:
        return False
    authorities = connection.verify if isinstance(connection.verify, str) else None
    given = connection.client_certificate or ()
    certificate = (given,) if isinstance(given, str) else tuple(given)
    standard = ssl.get_default_verify_paths().cafile
    try:
        stamps = tuple(_stamp(file) for file in (authorities or standard, *certificate) if file)
        return _context(authorities, certificate, stamps)
    except OSError as error:
        files = f"CA {authorities or 'of the system'}, client certificate {connection.client_certificate or 'none'}"
        raise ConnectionMisconfigured(
            f"A TLS file of the Prefect connection cannot be used ({files}): {error}"
        ) from error


def _stamp(file: str) -> tuple[str, int, int]:
    """What is another once the file is replaced."""
    found = Path(file).stat()
    return file, found.st_mtime_ns, found.st_ino


@lru_cache(maxsize=16)
def _context(
    authorities: str | None,
    certificate: tuple[str, ...],
    stamps: tuple[tuple[str, int, int], ...],  # noqa: ARG001 — part of the cache's key
) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authorities)
    if certificate:
        context.load_cert_chain(*certificate)
    return context


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


def _answer(response: httpx.Response) -> Answer | Fault:
    """What came, unless it is somebody else's word: a proxy's page, or the web interface's, says nothing of a run."""
    status = response.status_code
    try:
        body = response.json() if response.content else None
    except (ValueError, RecursionError):
        if response.is_success:
            return Fault(f"a page that is no JSON came from {response.url.path}; does the address lack /api?")
        body = response.text[:300]
    if response.is_error and status not in _ANYBODYS_STATUSES and not _is_prefects_refusal(body):
        return Fault(
            f"HTTP {status} that is not Prefect's own answer ({str(body or 'empty')[:100]!r}): "
            "there is no Prefect API at this address, or not yet",
            sent=response.is_server_error,
        )
    return Answer(status, body, dict(response.headers))


def _is_prefects_refusal(body: Any) -> bool:
    return isinstance(body, dict) and not body.keys().isdisjoint({"detail", "exception_message"})


def _fault(error: httpx.HTTPError) -> Fault:
    return Fault(f"{type(error).__name__}: {error}".rstrip(": "), sent=not isinstance(error, _UNSENT))
