"""Candles from files.

Gives candles as `factory.series.bars` takes them. Knows nothing of the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from factory.errors import SourceUnreadable
from factory.series.bars import CANDLE
from factory.sources.delimited import Dialect, read_delimited
from factory.sources.packed_files import open_unpacked
from factory.sources.readers import BATCH_ROWS, parquet_chunks


def read_candles(path: Path, told: Callable[[str], None]) -> pd.DataFrame:
    """The candles of a CSV (plain or compressed, with a header or in the order of CANDLE without) or Parquet file.

    Raises SourceUnreadable.
    """
    if not path.is_file():
        raise SourceUnreadable(f"{path}: there is no such file")
    if path.suffix.lower() in (".parquet", ".pq"):
        return pd.concat(list(parquet_chunks(path, None)))
    names = None if _has_header(path) else CANDLE
    found = pd.concat(list(read_delimited(path, Dialect(), BATCH_ROWS, CANDLE, names=names, told=told)))
    return found.rename(columns={name: name.strip().lower() for name in found.columns})


def _has_header(path: Path) -> bool:
    with open_unpacked(path) as (file, _):
        return not file.readline()[:1].strip(b'"').isdigit()
