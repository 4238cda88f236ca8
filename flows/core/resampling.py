"""Drawing: the rows of a sample anew, or dealt anew to two sides, whole groups at a time.

Pure. The one place that draws; which rows are a group is `flows.core.groups`. Must not know what is measured.

What is measured depends only on how many rows fall into each cell (of classes, or of bins). Groups whose rows fall into
the same cells are of one kind, and a draw of groups is one multinomial draw of the kinds' counts, whatever the number
of rows. Where every row is a group of its own the kinds are the cells themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from flows.core.groups import Groups

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

BLOCK = 2**23
"""So many numbers are drawn at a time: a draw of many kinds fits into memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Kinds:
    """How many groups there are of each kind, and the rows by cell (columns) of a group of that kind (rows).

    `rows` is None where every group is one row: the kinds are the cells then.
    """

    groups: Counts
    rows: csr_array | None

    @classmethod
    def of(cls, cells: Counts, groups: Groups | None, size: int) -> Kinds:
        """The kinds of the groups of rows that fall into these cells, of which there are `size`.

        Without `groups` every row is one. The kinds of a single row come first, in the order of their cells.
        """
        from scipy.sparse import csr_array, eye_array, vstack

        several = np.zeros(len(cells), dtype=bool) if groups is None else np.bincount(groups)[groups] > 1
        alone = np.bincount(cells[~several], minlength=size)
        if groups is None or not several.any():
            return cls(alone, None)
        members = np.unique(groups[several], return_inverse=True)[1]
        ones = np.ones(len(members), dtype=np.int64)
        table = csr_array((ones, (members, cells[several])), shape=(int(members.max()) + 1, size))
        table.sum_duplicates()
        # groups of one kind have one sum of random numbers, and those of two kinds the same once in 2**64
        weights = np.random.default_rng(0).integers(0, 2**64, size=size, dtype=np.uint64)
        sums = table.astype(np.uint64) @ weights
        _, first, counts = np.unique(sums, return_index=True, return_counts=True)
        held = np.flatnonzero(alone)
        single = eye_array(size, dtype=np.int64, format="csr")[held]
        return cls(np.concatenate([alone[held], counts]), csr_array(vstack([single, table[first]])))

    def draw(self, resamples: int, seed: int) -> Counts:
        """Rows by cell (columns) in every resample (rows): as many groups as there are, with replacement."""
        number = int(self.groups.sum())
        random, shares = np.random.default_rng(seed), self.groups / number
        return self._by_cell(random.multinomial(number, shares, size=size) for size in self._blocks(resamples))

    def deal(self, number: int, times: int, seed: int) -> Counts:
        """Rows by cell (columns) of `number` groups that are taken at random, without replacement, `times` times."""
        random = np.random.default_rng(seed)
        return self._by_cell(
            random.multivariate_hypergeometric(self.groups, number, size=size) for size in self._blocks(times)
        )

    def _by_cell(self, blocks: Iterator[Counts]) -> Counts:
        return np.concatenate([block if self.rows is None else block @ self.rows for block in blocks])

    def _blocks(self, times: int) -> Iterator[int]:
        """So many at a time; one after the other they are the same numbers as all at once."""
        largest = max(BLOCK // max(len(self.groups), 1), 1)
        for start in range(0, times, largest):
            yield min(largest, times - start)


def draw_rows(groups: Groups, resamples: int, seed: int) -> Iterator[Counts]:
    """How often each row stands in a resample of the groups, one resample after another."""
    random, number = np.random.default_rng(seed), int(groups.max()) + 1
    for _ in range(resamples):
        yield np.bincount(random.integers(0, number, number), minlength=number)[groups]


def draw_observations(rows: int, groups: Groups | None, resamples: int, seed: int) -> Iterator[Counts]:
    """The same, every row a group of its own where there are none.

    Raises ValueError where groups are not of these rows, or are one: that drawn anew is itself, and an interval of no
    width would seem sure.
    """
    members = np.arange(rows) if groups is None else groups
    if len(members) != rows:
        raise ValueError(f"not of the same rows: {rows} rows, and groups of {len(members)}")
    if rows and int(members.max()) == 0:
        raise ValueError(f"all {rows} rows are of one group, which is one observation: how sure it is cannot be said")
    return draw_rows(members, resamples, seed)


def draw_swaps(groups: int, times: int, seed: int) -> Iterator[Numbers]:
    """1 where a group (columns) stays and -1 where its two sides are swapped, in blocks of draws (rows)."""
    random, largest = np.random.default_rng(seed), max(BLOCK // max(groups, 1), 1)
    for start in range(0, times, largest):
        size = (min(largest, times - start), groups)
        yield 1 - 2 * random.integers(0, 2, size=size, dtype=np.int8).astype(np.float64)
