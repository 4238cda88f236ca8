"""Which rows are one observation: those of one group, and those of equal texts.

Pure. The one place where groups are made; `flows.core.resampling` draws them. Must not know what is measured on them.

A product that was entered three times under three ids is one observation. Counted as three, every interval would be
too narrow by the square root of three, and every test too sure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from factory.text import group_of

Groups: TypeAlias = NDArray[np.int64]
"""A number for every row, from 0 on; rows of one number are one observation."""

TEXT_KEY = "text_key"
"""The column in which `with_text_keys` leaves what equal texts share."""

LARGEST_JOINED = 0.5
"""One group that holds more of the rows than this was chained together by texts that many groups share."""


def groups_of(rows: pd.DataFrame) -> Groups:
    """The groups of rows that may hold `group` and `text`; rows with neither are each for themselves.

    Texts are equal whatever their case, accents and punctuation. A missing group and an empty text join nothing.
    """
    keys: list[Sequence[Any] | pd.Series] = []
    if "group" in rows.columns:
        keys.append(rows["group"])
    if TEXT_KEY in rows.columns:
        keys.append(rows[TEXT_KEY])
    elif "text" in rows.columns:
        keys.append(_text_keys(rows["text"]))
    return join_groups(*keys) if keys else np.arange(len(rows))


def with_text_keys(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with TEXT_KEY, for whoever asks for the groups of many of their parts: a text is folded once."""
    return rows.assign(**{TEXT_KEY: _text_keys(rows["text"])}) if "text" in rows.columns else rows


def sampled_groups(rows: pd.DataFrame) -> Groups:
    """The groups of rows as `groups_of` makes them; by `group` alone where equal texts chain most rows into one.

    Merchants sell the same product under the same words: joined over these nearly all would be one observation, and
    nothing could be told of it.
    """
    joined = groups_of(rows)
    if "group" in rows.columns and len(rows) and np.bincount(joined).max() > LARGEST_JOINED * len(rows):
        return join_groups(rows["group"])
    return joined


def _text_keys(texts: pd.Series) -> list[str | None]:
    return [group_of(text) or None if isinstance(text, str) else None for text in texts]


def join_groups(*keys: Sequence[Any] | pd.Series) -> Groups:
    """Rows that share a value in any of the equally long keys, directly or over other rows, are one group.

    Groups are numbered in the order of their first rows. A missing value is shared with nobody.
    """
    columns = [_codes(key) for key in keys]
    if len(columns) == 1 or all(int(codes.max(initial=-1)) + 1 == len(codes) for codes in columns):
        return columns[0]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows, places, met = len(columns[0]), [], len(columns[0])
    for codes in columns:  # one graph of rows and values; two rows are connected over a value that both have
        places.append(met + codes)
        met += int(codes.max(initial=-1)) + 1
    ends = np.tile(np.arange(rows), len(columns)), np.concatenate(places)
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(met, met))
    parts = connected_components(graph, directed=False)[1][:rows]
    return _numbered(parts)


def _codes(key: Sequence[Any] | pd.Series) -> Groups:
    """A number for every value in the order of first rows, and one of its own for every missing value."""
    values = key.to_numpy(dtype=object, na_value=None) if isinstance(key, pd.Series) else np.array(key, dtype=object)
    codes = _numbered(values)
    missing = np.flatnonzero(codes < 0)
    if len(missing):
        codes[missing] = int(codes.max(initial=-1)) + 1 + np.arange(len(missing))
        codes = _numbered(codes)
    return codes


def _numbered(values: NDArray[Any]) -> Groups:
    codes: Groups = pd.factorize(values)[0].astype(np.int64)
    return codes
