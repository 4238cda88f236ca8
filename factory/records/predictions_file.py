"""A file that stands in the inference log's place (INFERENCE_LOG_PATH): CSV or Parquet, read piece by piece.

Owns reading and typing the file's rows, at any fsspec address, in memory that does not grow with the file. Knows
nothing of windows, models or the catalogue.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterator
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pandas as pd
import pyarrow.parquet as pq

from factory.errors import InferenceLogInvalid, SourceUnreadable
from factory.sources.delimited import Dialect, read_delimited
from factory.sources.readers import NULLS
from factory.storage.stores import unreached

FILE_COLUMNS = ("timestamp", "predicted_class", "confidence", "text_length")
"""What a file must hold; the table's other columns, `text` and `label` (the true class) may stand there too."""
PIECE_ROWS = 50_000
_NULLS = {spelling.casefold() for spelling in NULLS}


def read_pieces(path: str, use_case: str, columns: Collection[str] | None = None) -> Iterator[pd.DataFrame]:
    """The file's rows of the use case, typed, at most PIECE_ROWS at a time; all columns, or those of `columns` it has.

    A file without the column `use_case` is all of this use case. The index counts the file's rows. Raises
    InferenceLogInvalid. A CSV file may be compressed, and is read as strictly as one of products.
    """
    try:
        with fsspec.open(path, "rb") as file:
            parquet = PurePosixPath(path).suffix in (".parquet", ".pq")
            pieces = _parquet_pieces(file, path, columns) if parquet else _csv_pieces(file, path, columns)
            with closing(pieces):  # before the file
                for piece in map(_without_nulls, pieces):
                    ours = piece[piece["use_case"] == use_case] if "use_case" in piece.columns else piece
                    yield _dated(typed(ours, path), path)
    except InferenceLogInvalid:
        raise
    except SourceUnreadable as error:
        raise InferenceLogInvalid(
            f"{error}. Mend the file: an inference log is read as it stands. Look at INFERENCE_LOG_PATH."
        ) from error
    except _unreadable() as error:
        raise InferenceLogInvalid(
            f"{path} cannot be read as an inference log (CSV or Parquet): {error}. Look at INFERENCE_LOG_PATH."
        ) from error


def typed(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    """The frame with moments in UTC, numbers and text in their columns; raises InferenceLogInvalid naming `origin`."""
    frame = frame.copy()
    try:
        for column in {"timestamp", "scored_at"} & set(frame.columns):
            frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
        for column in {"confidence", "text_length"} & set(frame.columns):
            frame[column] = pd.to_numeric(frame[column])
    except (ValueError, TypeError) as error:
        raise InferenceLogInvalid(f"{origin} hold a value in {column!r} that cannot be used: {error}") from error
    for column in {"predicted_class", "model_version"} & set(frame.columns):
        frame[column] = frame[column].astype("str")
    return frame


def require(columns: Collection[str], wanted: Collection[str], origin: str) -> None:
    """Raises InferenceLogInvalid when one of the wanted columns is not among them."""
    if missing := [name for name in wanted if name not in columns]:
        raise InferenceLogInvalid(f"{origin} lack the columns {', '.join(missing)}")


def _unreadable() -> tuple[type[Exception], ...]:
    return (OSError, ValueError, ImportError, *unreached())


def _dated(rows: pd.DataFrame, path: str) -> pd.DataFrame:
    """The rows, each of which has a moment; raises InferenceLogInvalid."""
    if len(undated := rows.index[rows["timestamp"].isna()]):
        raise InferenceLogInvalid(
            f"{path}: {len(undated)} predictions have no timestamp, the first is row {undated[0] + 1}: no window would "
            "hold them. Complete or remove them"
        )
    return rows


def _without_nulls(piece: pd.DataFrame) -> pd.DataFrame:
    """The rows with None for every text that stands for a missing value."""
    piece = piece.copy()
    for name in piece.select_dtypes(["object", "str"]).columns:
        spelled = piece[name].astype("str").str.strip().str.casefold()
        piece[name] = piece[name].astype(object).where(~spelled.isin(_NULLS), None)
    return piece


def _csv_pieces(file: Any, path: str, columns: Collection[str] | None) -> Generator[pd.DataFrame, None, None]:
    first = 0
    for piece in read_delimited(path, Dialect(), PIECE_ROWS, FILE_COLUMNS, stream=file):
        require(piece.columns, FILE_COLUMNS, path)
        piece.index = pd.RangeIndex(first, first + len(piece))
        first += len(piece)
        yield piece if columns is None else piece[[name for name in piece.columns if name in columns]]


def _parquet_pieces(file: Any, path: str, columns: Collection[str] | None) -> Generator[pd.DataFrame, None, None]:
    stored = pq.ParquetFile(file)
    names = stored.schema_arrow.names
    require(names, FILE_COLUMNS, path)
    wanted = names if columns is None else [name for name in names if name in columns]
    first = 0
    for batch in stored.iter_batches(PIECE_ROWS, columns=wanted):
        piece = batch.to_pandas()
        piece.index = pd.RangeIndex(first, first + len(piece))
        first += len(piece)
        yield piece
