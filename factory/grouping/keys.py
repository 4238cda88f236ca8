"""Keys: a product's text and group as numbers of 64 bits, by which duplicates are told and the split is made.

Owns how a key is made and how one is known to be stale. Pure; knows nothing of databases.

Cleaning a text takes longer than everything else that a cut does with it, and a product rarely changes: so its key is
made once, when it is loaded, and stands beside it with the version of the cleaning. The catalogue forgets it when the
text is changed; a row without a key (mended, or inserted by hand) or of another version gets one in every cut.

Two of 10 million texts share a key by chance once in 400,000 catalogues.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.text import group_of, product_text

Keys: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.int64]]"


def key_of(text: str) -> int:
    """The key of a text as `factory.text.group_of` gives it, or of a group's name: a signed number of 64 bits."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def text_keys(designations: Sequence[str | None], descriptions: Sequence[str | None]) -> Keys:
    """The keys of the products' texts; equal texts have equal keys whatever their case, markup and punctuation."""
    pairs = zip(designations, descriptions, strict=True)
    return np.array([key_of(group_of(product_text(*pair))) for pair in pairs], dtype=np.int64)


def fresh_keys(rows: pa.RecordBatch) -> tuple[Keys, Keys]:
    """The text keys and the group keys of rows with designation, description, group_id and text_key.

    A text without a key gets one. A product without a group forms one with all of its text.
    """
    stored = rows.column("text_key")
    texts: Keys = np.array(pc.fill_null(stored, 0))
    stale = np.flatnonzero(np.array(stored.is_null()))
    if len(stale):
        some = rows.take(pa.array(stale))
        texts[stale] = text_keys(some.column("designation").to_pylist(), some.column("description").to_pylist())
    return texts, group_keys(texts, rows.column("group_id"))


def group_keys(texts: Keys, group_ids: pa.Array) -> Keys:
    """The keys of the products' groups, given those of their texts."""
    groups = texts.copy()
    if named := np.flatnonzero(np.array(group_ids.is_valid())).tolist():
        groups[named] = [key_of(group_ids[row].as_py()) for row in named]
    return groups


class KeySet:
    """Keys of which others are asked whether they are among them; 8 bytes a key and 16 to 32 for a table.

    The table of the keys' high bits answers most questions with one look, since few of those asked for are there.
    """

    def __init__(self, keys: Keys) -> None:
        # asked for the counts numpy sorts; else it fills a hash table first, which takes twenty times as long
        self._keys, _ = np.unique(keys, return_counts=True)
        bits = len(self._keys).bit_length() + 4
        self._shift = np.uint64(64 - bits)
        self._seen = np.zeros(2**bits, dtype=bool)
        self._seen[self._slots(self._keys)] = True

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def keys(self) -> Keys:
        """Each of them once, sorted."""
        return self._keys

    def among(self, asked: Keys) -> np.ndarray:
        """Which of the asked keys are there."""
        found: np.ndarray = self._seen[self._slots(asked)]
        perhaps = np.flatnonzero(found)
        perhaps = perhaps[np.argsort(asked[perhaps])]  # looked up in order they cost half: neighbours share cache lines
        found[perhaps] = contains(self._keys, asked[perhaps])
        return found

    def _slots(self, keys: Keys) -> np.ndarray:
        return keys.view(np.uint64) >> self._shift


def contains(known: Keys, asked: Keys) -> np.ndarray:
    """Which of the asked keys stand among the known ones, which must be sorted."""
    if len(known) == 0:
        return np.zeros(len(asked), dtype=bool)
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    found: np.ndarray = known[places] == asked
    return found
