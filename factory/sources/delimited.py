"""Delimited text files, read strictly: what a lenient parser would repair is refused, with the line and its text.

Gives batches of records, every value text as it stands in the file. What was guessed of the file is told. Knows nothing
of products.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, Literal

import pandas as pd

from factory.errors import SourceUnreadable
from factory.sources.lines import Lines, shown
from factory.sources.packed_files import open_unpacked

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_FIELD = 16 * 1024 * 1024
"""Characters; a quote that is never closed would take the rest of the file for one field."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is written. What is None is guessed; `quote` is empty where no field is quoted.

    `line_breaks` lets a quoted field hold lines that look like records of their own.
    """

    separator: str | None = None
    encoding: str | None = None
    quote: str = '"'
    line_breaks: bool = False


def read_delimited(
    path: Path | str,
    dialect: Dialect,
    batch_rows: int,
    wanted: Sequence[str],
    *,
    names: Sequence[str] | None = None,
    headerless: bool = False,
    told: Callable[[str], None] = lambda _: None,
    stream: IO[bytes] | None = None,
) -> Iterator[pd.DataFrame]:
    """Batches of at most `batch_rows` records, columns as the header names them, or `names`, or c0, c1, …. A batch's
    index holds the lines on which its records begin.

    `wanted` are the columns that the reader needs, by which a header's separator is known; the first of them names the
    record. `told` is given one line about the file once it has been read. `stream` is the file where it is open
    already, and `path` its name. Raises SourceUnreadable.
    """
    with _explained(path), open_unpacked(path, stream) as (raw, packing):
        lines = Lines(path, raw, dialect.encoding)
        separator = dialect.separator or _guess_separator(lines.peek(), dialect, wanted, names)
        records = _records(lines, separator, dialect)
        first = next(records, None)
        if first is None:
            raise SourceUnreadable(f"{path} is empty")
        has_header = names is None and not headerless
        columns = _columns(path, first, names, has_header=has_header)
        table = _Table(lines, columns, separator, dialect, key=wanted[0], header=first if has_header else None)
        if not has_header:
            table.take(first)
        for record in records:
            table.take(record)
            if len(table.rows) == batch_rows:
                yield table.batch()
        if table.rows or not table.taken:
            yield table.batch()
        told(_account(path, packing, lines, separator, dialect, table))


@contextmanager
def _explained(path: Path | str) -> Iterator[None]:
    limit = csv.field_size_limit(LONGEST_FIELD)
    try:
        yield
    except OSError as error:
        raise SourceUnreadable(f"{path} cannot be read: {error}") from error
    finally:
        csv.field_size_limit(limit)


def _records(lines: Lines, separator: str, dialect: Dialect) -> Iterator[list[str]]:
    """Every record; empty lines stand at the end alone."""
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE
    reader = csv.reader(
        lines, delimiter=separator, quotechar=dialect.quote or None, quoting=quoting, doublequote=True, strict=True
    )
    empty: str | None = None
    try:
        for record in reader:
            if not record:
                empty = empty or lines.place
            elif empty:
                raise SourceUnreadable(f"{empty}: the line is empty, and rows follow: remove it")
            else:
                yield record
            lines.begin()
    except csv.Error as error:
        raise SourceUnreadable(
            f"{lines.place}: {_quoting_fault(str(error))}: {shown(''.join(lines.since))}. Within quotes a quote stands "
            'twice (""); where none means anything, say so: --quote ""'
        ) from error


def _quoting_fault(said: str) -> str:
    if "end of data" in said:
        return "a quote opens here and is never closed"
    if "field limit" in said:
        return f"a field that begins here is longer than {LONGEST_FIELD:,} characters: is a quote never closed?"
    if "new-line" in said:
        return "a carriage return stands in a field without quotes: give the file this system's line ends"
    if "expected after" in said:
        return "a quote stands where none may stand"
    return said


class _Table:
    """Takes records that fit the columns, and refuses the others."""

    def __init__(
        self,
        lines: Lines,
        columns: Sequence[str],
        separator: str,
        dialect: Dialect,
        key: str,
        header: list[str] | None,
    ) -> None:
        self._lines, self._columns, self._header = lines, list(columns), header
        self._named = [_name(each) for each in self._columns]
        self._separator, self._dialect = separator, dialect
        self._key = self._columns.index(key) if key in self._columns else 0
        self.rows: list[list[str]] = []
        self._numbers: list[int] = []
        self.taken = 0
        self.broken_lines = 0

    def take(self, record: list[str]) -> None:
        """Raises SourceUnreadable where the record does not fit."""
        if len(record) != len(self._columns):
            expected = "the header" if self._header is not None else "the first row, or the names given,"
            raise SourceUnreadable(
                f"{self._lines.place} has {len(record)} fields, {expected} {len(self._columns)}: "
                f"{shown(''.join(self._lines.since))}. A field that holds a {self._separator!r} stands in quotes; "
                "another separator is named by --separator"
            )
        if _name(record[0]) == self._named[0] and [_name(each) for each in record] == self._named:
            said = (
                "the header stands here again: were two files joined?"
                if self._header is not None
                else "the names of the columns stand here as a row, so the file has a header: leave out --columns"
            )
            raise SourceUnreadable(f"{self._lines.place}: {said}")
        if len(self._lines.since) > 1:
            self._look_within(record)
        self.rows.append(record)
        self._numbers.append(self._lines.begun)
        self.taken += 1

    def batch(self) -> pd.DataFrame:
        """What was taken since the last batch."""
        rows, self.rows = self.rows, []
        numbers, self._numbers = self._numbers, []
        return pd.DataFrame(rows, index=numbers, columns=self._columns, dtype=object)

    def _look_within(self, record: list[str]) -> None:
        """A quoted field holds line breaks: it may have swallowed records between two stray quotes."""
        self.broken_lines += len(self._lines.since) - 1
        if self._dialect.line_breaks:
            return
        shape = _shape(record[self._key])
        for distance, line in enumerate(self._lines.since[1:], start=1):
            if any(len(row) == len(self._columns) and _shape(row[self._key]) == shape for row in self._as_rows(line)):
                number = self._lines.begun + distance
                raise SourceUnreadable(
                    f"{self._lines.place}: a quoted field goes on to line {number}, which looks like a row of its own: "
                    f"{shown(line)}. Remove the stray quote, or say that fields hold such lines: --line-breaks"
                )

    def _as_rows(self, line: str) -> Iterator[list[str]]:
        """What the line would be as a record: with quotes as signs like any other, and with quoted fields."""
        bare = line.rstrip("\r\n")
        yield bare.split(self._separator)
        yield from csv.reader([bare.replace("\r", " ")], delimiter=self._separator, quotechar=self._dialect.quote)


def _name(cell: str) -> str:
    """A column's name, however it is written."""
    return cell.strip().casefold()


def _shape(value: str) -> str:
    """What an id looks like: its signs, and whether there are digits in what stands between them."""
    return re.sub(r"[^\W_]+", lambda run: "9" if any(map(str.isdigit, run[0])) else "a", value.strip())


def _columns(path: Path | str, first: list[str], names: Sequence[str] | None, *, has_header: bool) -> Sequence[str]:
    if names is not None:
        if len(names) != len(first):
            raise SourceUnreadable(f"{path} has {len(first)} columns, {len(names)} were named ({', '.join(names)})")
        if twice := _twice(names):
            raise SourceUnreadable(f"--columns names {twice} more than once: give each column a name of its own")
        return names
    if not has_header:
        return [f"c{number}" for number in range(len(first))]
    if twice := _twice(first):
        raise SourceUnreadable(
            f"{path}, line 1: the header names {twice} more than once: it is not known which is "
            "meant; give each column a name of its own, or name them all by --columns"
        )
    return first


def _twice(names: Sequence[str]) -> str:
    """The names that stand there more than once, as a message shows them."""
    return ", ".join(sorted({repr(name) for name in names if names.count(name) > 1}))


def _guess_separator(line: str, dialect: Dialect, wanted: Sequence[str], names: Sequence[str] | None) -> str:
    """The one by which the first line has the wanted columns, or as many as were named, else most fields."""

    def fields(separator: str) -> list[str]:
        found = [piece.strip() for piece in line.rstrip("\r\n").split(separator)]
        return [piece.strip(dialect.quote) if dialect.quote else piece for piece in found]

    def suits(separator: str) -> tuple[bool, bool, int]:
        found = fields(separator)
        return set(wanted) <= set(found), names is not None and len(found) == len(names), len(found)

    return max(SEPARATORS, key=suits)


def _account(
    path: Path | str, packing: str | None, lines: Lines, separator: str, dialect: Dialect, table: _Table
) -> str:
    """How the file was read, and that no line of it is missing."""
    name = SEPARATORS.get(separator, repr(separator))
    kind = f"{packing}, " if packing else ""
    quoting = f"quote {dialect.quote}" if dialect.quote else "no quotes"
    inside = f", {table.broken_lines:,} of them within quoted fields" if table.broken_lines else ""
    return (
        f"{PurePath(path).name}: read as {kind}{lines.encoding.upper()}, separator {name}, {quoting}; "
        f"{table.taken:,} rows of {lines.number:,} lines{inside}"
    )
