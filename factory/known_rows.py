"""What is remembered of published rows while others pass by: their ids as a stream, their keys as sorted arrays.

Owns how a snapshot is looked up in without holding it in memory. Knows nothing of databases or of weeks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.contracts import FileRef
from factory.keys import Keys, KeySet, key_of, text_keys
from factory.snapshots import read_batches, read_schema


@dataclass(frozen=True, slots=True)
class Frozen:
    """The keys of the frozen test set: a training row must share none of them."""

    groups: KeySet
    texts: KeySet


class SortedIds:
    """The productids of a snapshot, asked in ascending order; only those near the last question are in memory."""

    def __init__(self, ref: FileRef | None) -> None:
        self._batches = read_batches(ref, ["productid"]) if ref else _no_batches()
        self._held: list[pa.Array] = []

    def among(self, ids: pa.Array) -> np.ndarray:
        """Which of the ids stand in the snapshot. They must ascend, and follow those of the question before."""
        first, last = _order(ids[0]), _order(ids[-1])
        self._held = [held for held in self._held if _order(held[-1]) >= first]
        while not self._held or _order(self._held[-1][-1]) < last:
            batch = next(self._batches, None)
            if batch is None:
                break
            if batch.num_rows and _order(batch.column(0)[-1]) >= first:
                self._held.append(batch.column(0))
        if not self._held:
            return np.zeros(len(ids), dtype=bool)
        return np.array(pc.is_in(ids, pa.chunked_array([_between(held, first, last) for held in self._held])))

    def close(self) -> None:
        """Let go of the file."""
        self._batches.close()


def _order(name: pa.StringScalar) -> bytes:
    """What the catalogue sorts by."""
    encoded: bytes = name.as_py().encode()
    return encoded


def _between(ids: pa.Array, first: bytes, last: bytes) -> pa.Array:
    """Those of the sorted ids that may be met: Arrow makes a table of all that it is given, for each question."""
    begin, end = bisect_left(ids, first, key=_order), bisect_right(ids, last, key=_order)
    return ids.slice(begin, end - begin)


def _no_batches() -> Generator[pa.RecordBatch, None, None]:
    yield from ()


def frozen_keys(test: FileRef) -> Frozen:
    """The keys of the frozen test set's rows; 80 bytes a row at most.

    One that was frozen before keys were stored gets them from its texts.
    """
    if "text_key" in read_schema(test).names:
        batches = [(np.array(b.column("text_key")), np.array(b.column("group"))) for b in _read(test, "text_key")]
    else:
        batches = [
            (_made(b), np.array([key_of(group) for group in b.column("group").to_pylist()])) for b in _read(test)
        ]
    if not batches:
        nothing = np.empty(0, dtype=np.int64)
        return Frozen(KeySet(nothing), KeySet(nothing))
    texts, groups = (KeySet(np.concatenate(part)) for part in zip(*batches, strict=True))
    return Frozen(groups=groups, texts=texts)


def _read(test: FileRef, *columns: str) -> Iterator[pa.RecordBatch]:
    return read_batches(test, ["group", *(columns or ("designation", "description"))])


def _made(batch: pa.RecordBatch) -> Keys:
    return text_keys(batch.column("designation").to_pylist(), batch.column("description").to_pylist())
