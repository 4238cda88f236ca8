"""Rows as PostgreSQL's COPY writes them in its binary format, as Arrow columns.

Owns that format (PostgreSQL's manual, "COPY", "Binary Format"). Pure; knows nothing of connections or of products.

The binary format costs the server half of the CSV one, and a batch is decoded by a few array operations a column:
where a field lies follows from the length of the one before it, for all rows at once.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import pyarrow as pa

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
_HEADER_BYTES = len(_SIGNATURE) + 8
"""Flags and the length of an extension follow the signature; no version of PostgreSQL has used either."""
_TRAILER = b"\xff\xff"
_COUNT_BYTES, _LENGTH_BYTES = 2, 4
_EPOCH_MICROSECONDS = 946_684_800_000_000
"""PostgreSQL counts from the year 2000."""

Places: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


def decode(messages: list[bytes], schema: pa.Schema) -> pa.RecordBatch:
    """The rows of these messages, in each of which PostgreSQL sends one; header and trailer are left out.

    Columns of the schema are text, bigint or timestamptz (as microseconds) in the query, in the schema's order.
    """
    rows = list(messages)
    if rows and rows[0].startswith(_SIGNATURE):  # with the first row or by itself
        rows[:1] = [first] if (first := rows[0][_HEADER_BYTES:]) else []
    if rows and rows[-1] == _TRAILER:
        del rows[-1]
    if not rows:
        return pa.RecordBatch.from_pylist([], schema)
    content = np.frombuffer(b"".join(rows), np.uint8)
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    place = np.cumsum(lengths) - lengths + _COUNT_BYTES
    bounds = np.empty((len(place), len(schema), 2), np.int32)
    missing = np.empty((len(schema), len(place)), bool)
    for number in range(len(schema)):
        length = _integers(content, place, _LENGTH_BYTES)
        missing[number] = length < 0
        bounds[:, number, 0] = place + _LENGTH_BYTES
        place = place + _LENGTH_BYTES + np.maximum(length, 0)
        bounds[:, number, 1] = place
    columns = [_column(content, bounds, number, missing[number], field.type) for number, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(content: np.ndarray, bounds: np.ndarray, number: int, missing: np.ndarray, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_string(wanted):
        # every second value is a field, those between are the lengths: so Arrow takes the fields of a column at once
        shared = [None, pa.py_buffer(bounds), pa.py_buffer(content)]
        fields = pa.Array.from_buffers(pa.string(), bounds.size - 1, shared)
        wide = 2 * bounds.shape[1]
        return fields.take(pa.array(np.arange(2 * number, bounds.size, wide), mask=missing))
    values = _integers(content, np.where(missing, 0, bounds[:, number, 0]), 8)
    if pa.types.is_timestamp(wanted):
        values = values + _EPOCH_MICROSECONDS
    return pa.array(values, pa.int64(), mask=missing).cast(wanted)


def _integers(content: np.ndarray, places: Places, size: int) -> np.ndarray:
    """The signed integers of so many bytes, highest first, that stand at the places."""
    anywhere = np.ndarray((max(len(content) - size + 1, 0),), f">i{size}", content, strides=(1,))
    found: np.ndarray = anywhere[places].astype(np.int64)
    return found
