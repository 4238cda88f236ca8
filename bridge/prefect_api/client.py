"""Two thin clients that drive the protocol over httpx, one blocking, one for an event loop.

Transport errors are translated here and nowhere else. Nothing here knows what a request is for.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import aclosing, closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from bridge.errors import ConnectionMisconfigured
from bridge.prefect_api.connection import PrefectConnection
from bridge.prefect_api.exchange import Answer, Operation, Request, Undecodable
from bridge.prefect_api.retrying import PASSING_STATUSES, Fault, Pause, RetryPolicy, persistently
from bridge.prefect_api.total_time import limit_total_time

T = TypeVar("T")

# Below the five seconds after which Prefect's server closes an idle connection: a pooled one that is older may be dead.
KEEPALIVE_SECONDS = 4.0

_ANYBODYS_STATUSES = PASSING_STATUSES | {401, 407, 413, 414, 431}
"""They mean the same whoever answers: a proxy may be the one that wants the credentials, or finds a request too large.
"""

MOST_REDIRECTS = 5

LONGEST_ANSWER_BYTES = 100_000_000
"""A page of results of the largest size that can cross is less than half as long."""

_HARMLESS_HEADERS = {"accept", "accept-encoding", "connection", "user-agent", "host", "content-length", "content-type"}

_WITHOUT_ID = re.compile(r"\bflow_runs/(?![0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(/|$))[^/]+(/set_state)?$")
"""A path of a flow run in which no id stands where one should."""

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
        sent: _Sent | Answer | Fault = _Sent(request, request.path)
        try:
            while isinstance(sent, _Sent):
                with closing(self._http.send(sent.built_by(self._http), stream=True)) as response:
                    page = b"".join(_bounded(response.iter_bytes()))
                sent = _follow(response, page, sent)
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
        sent: _Sent | Answer | Fault = _Sent(request, request.path)
        try:
            async with asyncio.timeout(self.connection.timeout_seconds):
                while isinstance(sent, _Sent):
                    async with aclosing(await self._http.send(sent.built_by(self._http), stream=True)) as response:
                        page = b"".join([chunk async for chunk in _bounded_async(response.aiter_bytes())])
                    sent = _follow(response, page, sent)
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


class TooLong(Exception):
    """An answer is longer than any of Prefect's."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """A request and where it is sent, after so many redirects; `trusted` is whether credentials may go there."""

    request: Request
    url: str
    redirects: int = 0
    trusted: bool = True

    def built_by(self, http: httpx.Client | httpx.AsyncClient) -> httpx.Request:
        built = http.build_request(self.request.method, self.url, json=self.request.json)
        if not self.trusted:
            for name in set(built.headers) - _HARMLESS_HEADERS:
                del built.headers[name]
        return built


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


def _follow(response: httpx.Response, page: bytes, sent: _Sent) -> _Sent | Answer | Fault:
    """What came, or where it is to be had: redirects lead on within the same host alone."""
    if not 300 <= response.status_code < 400:
        return _answer(response, page)
    here, told = response.url, response.headers.get("location", "")
    there = here.join(told)
    said = f"HTTP {response.status_code} from {_shown(here)}, a redirect to {_shown(there) if told else 'nowhere'}"
    keeps_method = response.status_code in {307, 308} or sent.request.method == "GET"
    goes_down = here.scheme == "https" and there.scheme != "https"
    if not told or there.scheme not in {"http", "https"} or there.host != here.host or goes_down or not keeps_method:
        return Fault(f"{said}, which is not followed; is that the address of the API?")
    if sent.redirects == MOST_REDIRECTS:
        return Fault(f"{said}, the last of {MOST_REDIRECTS}")
    same_place = (there.scheme, there.port) == (here.scheme, here.port)
    goes_up = (here.scheme, here.port, there.scheme, there.port) == ("http", None, "https", None)
    trusted = sent.trusted and (same_place or goes_up)
    return _Sent(sent.request, str(there), sent.redirects + 1, trusted)


def _answer(response: httpx.Response, page: bytes) -> Answer | Fault:
    """What came, unless it is somebody else's word: a proxy's page, or the web interface's, says nothing of a run."""
    status, body = response.status_code, None
    try:
        body = json.loads(page) if page else None
    except RecursionError:
        body = Undecodable()
    except ValueError as error:
        if not isinstance(error, json.JSONDecodeError | UnicodeDecodeError):  # a number of thousands of digits
            return Answer(status, Undecodable(), dict(response.headers), _shown(response.url))
        if response.is_success:
            return Fault(f"a page that is no JSON came from {_shown(response.url)}; does the address lack /api?")
        body = page.decode(errors="replace")[:300]
    if response.is_error and status not in _ANYBODYS_STATUSES and not _is_prefects_refusal(response, body):
        return Fault(
            f"HTTP {status} that is not Prefect's own answer ({str(body or 'empty')[:100]!r}) from "
            f"{_shown(response.url)}: there is no Prefect API at this address, or not yet; does it lack /api?",
            sent=response.is_server_error,
        )
    return Answer(status, body, dict(response.headers), _shown(response.url))


def _is_prefects_refusal(response: httpx.Response, body: Any) -> bool:
    if not isinstance(body, dict) or body.keys().isdisjoint({"detail", "exception_message"}):
        return False
    # FastAPI's words for a path that it does not have. Prefect names what it does not find, and says so itself of what
    # is no id; its Cloud has no version.
    if response.status_code != 404 or body.get("detail") != "Not Found":
        return True
    return response.url.path.endswith("/admin/version") or _WITHOUT_ID.search(response.url.path) is not None


def _shown(url: httpx.URL) -> str:
    """The address without what may be secret in it."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _late(connection: PrefectConnection) -> Fault:
    return Fault(f"the answer did not arrive whole within {connection.timeout_seconds:g} s")


def _fault(error: Exception) -> Fault:
    return Fault(f"{type(error).__name__}: {error}".rstrip(": "), sent=not isinstance(error, _UNSENT))
