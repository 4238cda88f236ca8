"""What PostgreSQL writes in binary is read as what it is, wherever the header and the trailer stand."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from factory.catalogue.copied_rows import decode

SCHEMA = pa.schema([("name", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("key", pa.int64())])
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
MOMENT = datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)  # before the year from which PostgreSQL counts
ROWS = [("é\n", MOMENT, -(2**63)), (None, None, None), ("", MOMENT + timedelta(days=36_525), 2**63 - 1), ("z", None, 0)]


def field(value: object) -> bytes:
    if value is None:
        return struct.pack(">i", -1)
    if isinstance(value, datetime):
        value = (value - datetime(2000, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    content = value.encode() if isinstance(value, str) else struct.pack(">q", value)
    return struct.pack(">i", len(content)) + content


MESSAGES = [struct.pack(">h", len(row)) + b"".join(map(field, row)) for row in ROWS]


@pytest.mark.parametrize(
    "messages",
    [
        [HEADER + MESSAGES[0], *MESSAGES[1:], TRAILER],
        [HEADER, *MESSAGES, TRAILER],
        MESSAGES,
    ],
    ids=["header with the first row", "header by itself", "a batch amid others"],
)
def test_fields_are_told_by_their_lengths(messages: list[bytes]) -> None:
    found = decode(messages, SCHEMA)
    found.validate(full=True)
    assert found.schema == SCHEMA
    assert [tuple(row.values()) for row in found.to_pylist()] == ROWS


@pytest.mark.parametrize("messages", [[], [HEADER], [TRAILER], [HEADER, TRAILER], [HEADER + TRAILER]], ids=repr)
def test_no_rows_are_no_rows(messages: list[bytes]) -> None:
    found = decode(messages, SCHEMA)
    assert (found.num_rows, found.schema) == (0, SCHEMA)


def test_rows_of_nothing_are_read_to_the_last_byte() -> None:
    assert decode([MESSAGES[1]], SCHEMA).to_pylist() == [dict.fromkeys(SCHEMA.names)]
