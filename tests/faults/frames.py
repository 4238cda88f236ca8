"""Messages of a websocket on their way, one frame at a time (RFC 6455, section 5.2).

Owns where a frame ends, whether it carries an event, and how its words are exchanged. Knows no fault.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

TEXT = 1
CONTINUED_LENGTHS = {126: 2, 127: 8}


@dataclass(frozen=True, slots=True)
class Frame:
    """`raw` is the frame as it came, header included."""

    opcode: int
    raw: bytes
    payload_at: int
    mask: bytes = b""

    @property
    def is_message(self) -> bool:
        """Whether it is a message of the application; the others are pings, pongs and closes."""
        return self.opcode == TEXT

    def with_words(self, change: Callable[[bytes], bytes]) -> Frame:
        """The frame with its words changed; their length must stay."""
        words = change(_masked(self.raw[self.payload_at :], self.mask))
        return replace(self, raw=self.raw[: self.payload_at] + _masked(words, self.mask))


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame of a client or of a server; raises asyncio.IncompleteReadError at the stream's end."""
    head = await reader.readexactly(2)
    opcode, is_masked, length = head[0] & 0x0F, bool(head[1] & 0x80), head[1] & 0x7F
    if length in CONTINUED_LENGTHS:
        more = await reader.readexactly(CONTINUED_LENGTHS[length])
        head, length = head + more, int.from_bytes(more)
    mask = await reader.readexactly(4) if is_masked else b""
    head += mask
    return Frame(opcode, head + await reader.readexactly(length), len(head), mask)


def _masked(words: bytes, mask: bytes) -> bytes:
    """Masked, or unmasked: the same twice gives what was there before."""
    return bytes(byte ^ mask[index % 4] for index, byte in enumerate(words)) if mask else words
