"""Messages of a websocket on the way from server to client, one frame at a time (RFC 6455, section 5.2).

Owns where a frame ends and whether it carries an event. Knows no fault.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

TEXT = 1
CONTINUED_LENGTHS = {126: 2, 127: 8}


@dataclass(frozen=True, slots=True)
class Frame:
    """`raw` is the frame as it came, header included."""

    opcode: int
    raw: bytes

    @property
    def is_message(self) -> bool:
        """Whether it is a message of the application; the others are pings, pongs and closes."""
        return self.opcode == TEXT


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame of a server, which masks nothing; raises asyncio.IncompleteReadError at the stream's end."""
    head = await reader.readexactly(2)
    length = head[1] & 0x7F
    if length in CONTINUED_LENGTHS:
        more = await reader.readexactly(CONTINUED_LENGTHS[length])
        head, length = head + more, int.from_bytes(more)
    return Frame(head[0] & 0x0F, head + await reader.readexactly(length))
