"""What is remembered of published rows while others pass by: their ids as a stream, their keys as sorted arrays.

Owns how a snapshot is looked up in without holding it in memory. Knows nothing of databases or of weeks.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.contracts import FileRef
from factory.grouping.keys import Keys, KeySet, key_of, text_keys
from factory.snapshots.store import read_batches, read_schema


@dataclass(frozen=True, slots=True)
class Frozen:
    """The keys of the frozen test set: a training row must share none of them."""

    groups: KeySet
    texts: KeySet


class SortedIds:
    """The ids of a snapshot, its first column, asked in ascending order; those near the last question are in memory."""

    def __init__(self, ref: FileRef | None) -> None:
        self._batches = read_batches(ref, read_schema(ref).names[:1]) if ref else _no_batches()
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
    """The keys of the frozen test set's rows; 80 bytes a row at most."""
    return keys_of((texts, groups) for _, texts, groups in read_keys(test))


def keys_of(parts: Iterable[tuple[Keys, Keys]]) -> Frozen:
    """Keys of texts and of groups, however many parts they come in."""
    nothing = np.empty(0, dtype=np.int64)
    texts, groups = (KeySet(np.concatenate(part)) for part in zip((nothing, nothing), *parts, strict=True))
    return Frozen(groups=groups, texts=texts)


def trained_keys(
    snapshot: FileRef, asked: Frozen, today: Callable[[Keys], Keys] = lambda groups: groups
) -> tuple[Keys, Keys]:
    """Those of the asked keys, of texts and of groups, that a row of the week which was trained on bears.

    `today` gives the keys that the week's groups bear by now.
    """
    texts, groups = [], []
    for batch, of_text, then in read_keys(snapshot, "side"):
        of_group = today(then)
        train = np.array(pc.equal(batch.column("side"), "train"))
        texts.append(np.unique(of_text[train & asked.texts.among(of_text)]))
        groups.append(np.unique(of_group[train & asked.groups.among(of_group)]))
    nothing = np.empty(0, dtype=np.int64)
    return np.concatenate([nothing, *texts]), np.concatenate([nothing, *groups])


def count_trained(snapshot: FileRef, test: FileRef) -> int:
    """How many of the test rows share a text or a group with a row of the week that was trained on."""
    known = keys_of([trained_keys(snapshot, frozen_keys(test))])
    return sum(
        int((known.texts.among(texts) | known.groups.among(groups)).sum()) for _, texts, groups in read_keys(test)
    )


def read_keys(ref: FileRef, *columns: str) -> Iterator[tuple[pa.RecordBatch, Keys, Keys]]:
    """The rows' keys of texts and of groups, beside the named columns of them; raises as `read_batches`.

    Those of a file that was written before keys were stored are made of its texts. An entity of a table has no text:
    the key of its group stands for both.
    """
    names = read_schema(ref).names
    if "text_key" not in names and "designation" not in names:
        for batch in read_batches(ref, ["group", *columns]):
            groups = np.array(batch.column("group"))
            yield batch, groups, groups
        return
    stored = "text_key" in names
    for batch in read_batches(ref, ["group", *(("text_key",) if stored else ("designation", "description")), *columns]):
        if stored:
            yield batch, np.array(batch.column("text_key")), np.array(batch.column("group"))
        else:
            yield batch, _made(batch), np.array([key_of(group) for group in batch.column("group").to_pylist()])


def _made(batch: pa.RecordBatch) -> Keys:
    return text_keys(batch.column("designation").to_pylist(), batch.column("description").to_pylist())
