"""A total time for each request of the blocking client: httpx limits the wait for each part of an answer alone.

A server that sends a byte a second is never silent for long, and would keep a caller for ever. Here every wait of the
network layer (connecting, TLS, writing, reading) ends at the request's deadline. Uses private names of httpx 0.28 and
httpcore 1.0 to reach their network layer (encode/httpx has no total timeout); the event loop's client needs none of it.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx


class Deadline(threading.local):
    """When the request of this thread must be over, by the monotonic clock."""

    until = float("inf")

    def begin(self, seconds: float) -> None:
        """A request begins that may take so long."""
        self.until = time.monotonic() + seconds

    @property
    def is_over(self) -> bool:
        """Whether the request has had its time."""
        return time.monotonic() >= self.until

    def left(self, timeout: float | None) -> float:
        """Seconds that a wait may take; raises httpcore.ReadTimeout when there are none left."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer did not arrive whole in time")
        return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        secure = self._stream.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _Stream(secure, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, backend: httpcore.NetworkBackend, deadline: Deadline) -> None:
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._backend.connect_tcp(host, port, self._deadline.left(timeout), local_address, socket_options)
        return _Stream(stream, self._deadline)

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)


def limit_total_time(client: httpx.Client) -> Deadline:
    """Let every wait of this client's network layer, proxies included, end at the deadline that is given back."""
    deadline = Deadline()
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 — see the module's text
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = _Backend(pool._network_backend, deadline)  # noqa: SLF001
    return deadline
