"""Near duplicates join one group, so that the split never parts them: which groups of the catalogue are one.

Owns what follows from two texts' being near (`factory.grouping.near_texts` says when they are): their groups are
joined; where that would chain too much together they stay apart, and a row that is near a test row is held out. Knows
nothing of weeks or files.

A joined group bears the key of its oldest product, so that what comes later goes to the side on which that stands.
Memory: 30 bytes a character of all different texts; beyond MOST_PRODUCTS nothing is joined, and the probe tells.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, func, select

from factory.catalogue.reading import read_products
from factory.catalogue.schema import products
from factory.grouping.keys import Keys, KeySet, contains, fresh_keys
from factory.grouping.near_texts import Places, components, near_pairs
from factory.snapshots.known_rows import Frozen
from factory.text import group_of, product_text

LARGEST_SHARE = 0.01
"""A group that would hold more of the rows was chained together: texts like forms, or shops that sell the same."""
LEAST_LARGEST = 50
"""So many rows may always be one group."""
MOST_PRODUCTS = 250_000

_NONE: Keys = np.zeros(0, np.int64)


@dataclass(frozen=True, slots=True)
class JoinedGroups:
    """`joined` are the keys of groups that bear another one's, at the same place of `under`; both sorted by the first.

    `pairs` are the keys of near texts, one pair a row.
    """

    joined: Keys = field(default_factory=_NONE.copy)
    under: Keys = field(default_factory=_NONE.copy)
    pairs: Keys = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    def of(self, groups: Keys) -> Keys:
        """The keys that the groups bear."""
        there = contains(self.joined, groups)
        found = groups.copy()
        found[there] = self.under[np.searchsorted(self.joined, groups[there])]
        return found

    def keys(self, rows: pa.RecordBatch) -> tuple[Keys, Keys]:
        """As `factory.grouping.keys.fresh_keys`, with joined groups."""
        texts, groups = fresh_keys(rows)
        return texts, self.of(groups)

    def beside(self, frozen: Frozen) -> Frozen:
        """What a training row must not share: the frozen rows' groups as they are joined, their texts and near ones."""
        near = [self.pairs[:, other][frozen.texts.among(self.pairs[:, one])] for one, other in ((0, 1), (1, 0))]
        texts = np.concatenate([frozen.texts.keys, *near])
        return Frozen(groups=KeySet(self.of(frozen.groups.keys)), texts=KeySet(texts))


def join_groups(connection: Connection, until: datetime | None = None) -> JoinedGroups:
    """The joined groups of the products created until then; none where there are more than MOST_PRODUCTS.

    Every text is cleaned for it, since what the catalogue keeps of one says only whether two are equal.
    """
    if too_many(connection):
        return JoinedGroups()
    seen = _Seen()
    read_products(connection, seen.take, until)
    return seen.joined()


def too_many(connection: Connection) -> int:
    """The number of products where it is beyond MOST_PRODUCTS, else 0."""
    there: int = connection.scalar(select(func.count()).select_from(products)) or 0
    return there if there > MOST_PRODUCTS else 0


@dataclass(slots=True)
class _Seen:
    """The catalogue's different texts, and the text, group and age of every product."""

    texts: dict[int, str] = field(default_factory=dict)
    keys: list[Keys] = field(default_factory=list)
    groups: list[Keys] = field(default_factory=list)
    moments: list[Keys] = field(default_factory=list)

    def take(self, batch: pa.RecordBatch) -> None:
        keys, groups = fresh_keys(batch)
        new = np.flatnonzero(~np.array([key in self.texts for key in keys.tolist()], dtype=bool))
        rows = batch.select(["designation", "description"]).take(pa.array(new)).to_pylist()
        for key, row in zip(keys[new].tolist(), rows, strict=True):
            if key not in self.texts:
                self.texts[key] = group_of(product_text(row["designation"], row["description"]))
        self.keys.append(keys)
        self.groups.append(groups)
        self.moments.append(np.array(pc.cast(batch.column("created_at"), pa.int64())))

    def joined(self) -> JoinedGroups:
        if not self.texts:
            return JoinedGroups()
        known = np.fromiter(self.texts, np.int64, len(self.texts))
        text = pd.Index(known).get_indexer(np.concatenate(self.keys))
        pairs = near_pairs(list(self.texts.values()))
        most = max(LARGEST_SHARE * len(text), LEAST_LARGEST)
        pairs = pairs[~_too_large(components(pairs, len(known)), text, most)[pairs[:, 0]]]
        codes, groups = pd.factorize(np.concatenate(self.groups))
        lowest = components(_group_pairs(pairs, text, codes), len(groups))
        together = ~_too_large(lowest, codes, most)
        oldest = _oldest(lowest[codes], codes, np.concatenate(self.moments))
        moved = np.flatnonzero(together & (oldest[lowest] != np.arange(len(groups))))
        order = moved[np.argsort(groups[moved])]
        return JoinedGroups(groups[order], groups[oldest[lowest[order]]], known[pairs])


def _group_pairs(pairs: Places, text: Places, codes: Places) -> Places:
    """Pairs of groups of which one holds a text that is near a text of the other's; both as numbers."""
    held = pd.DataFrame({"text": text, "group": codes})[np.isin(text, pairs)].drop_duplicates()
    first = held.drop_duplicates("text").set_index("text")["group"]
    across = first.reindex(pairs.ravel()).to_numpy().reshape(-1, 2)
    same = np.stack([first.reindex(held["text"]).to_numpy(), held["group"].to_numpy()], axis=1)
    found: Places = np.concatenate([across, same]).astype(np.int64)
    return found


def _too_large(lowest: Places, members: Places, most: float) -> np.ndarray:
    """Which of the places are of a component that holds more than so many rows; `members` is the place of each row."""
    rows = np.bincount(lowest[members], minlength=len(lowest))
    large: np.ndarray = rows[lowest] > most
    return large


def _oldest(lowest: Places, codes: Places, moments: Keys) -> Places:
    """By component, the group of its oldest row; of rows as old that of the lowest id, in whose order they come."""
    order = np.argsort(moments, kind="stable")
    found = np.zeros(int(lowest.max()) + 1, np.int64)
    found[lowest[order][::-1]] = codes[order][::-1]  # what is written last stands
    return found
