"""HTTP as far as the proxy needs it: where a request ends, and answers of its own making. Knows no fault."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

REASONS = {
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    404: "Not Found",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
}


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it came, except that it asks for the connection's end."""

    method: str
    path: str
    host: str
    raw: bytes
    is_upgrade: bool

    @classmethod
    async def read(cls, reader: asyncio.StreamReader) -> RawRequest:
        """The request, asking for the connection's end and for plain text.

        Raises asyncio.IncompleteReadError where none comes.
        """
        lines = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[:-2]
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])
        }
        body = await reader.readexactly(int(headers.get(b"content-length", 0)))
        is_upgrade = headers.get(b"upgrade", b"").lower() == b"websocket"
        # Compressed, a message depends on those before it, and none could be dropped or doubled.
        unwanted = (b"sec-websocket-extensions:",) if is_upgrade else (b"connection:", b"accept-encoding:")
        kept = [line for line in lines if not line.lower().startswith(unwanted)]
        if not is_upgrade:
            kept.append(b"Connection: close")
        method, path, _ = lines[0].decode().split(" ", 2)
        host = headers.get(b"host", b"").decode()
        return cls(method, path, host, b"\r\n".join(kept) + b"\r\n\r\n" + body, is_upgrade)


def response(status: int, content_type: bytes, body: bytes, **headers: object) -> bytes:
    """An answer; of `headers`, `retry_after=1` becomes `Retry-After: 1`, and None is left out."""
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'OK')}\r\nConnection: close\r\n".encode()
    for name, value in headers.items():
        if value is not None:
            head += f"{name.replace('_', '-').title()}: {value}\r\n".encode()
    return head + b"Content-Type: " + content_type + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
