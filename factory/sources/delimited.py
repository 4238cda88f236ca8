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
from io import BufferedReader, TextIOWrapper
from pathlib import Path, PurePath
from typing import IO, Literal

import pandas as pd

from factory.errors import SourceUnreadable
from factory.sources.packed_files import open_unpacked

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
LONGEST_FIELD = 16 * 1024 * 1024
"""Characters; a quote that is never closed would take the rest of the file for one field."""
SHOWN = 120
_BYTE_ORDER_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xef\xbb\xbf": "utf-8-sig",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
_LONGEST_MARK = 4
_MARK = "\ufeff"
"""A byte order mark, decoded."""


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
        lines = _Lines(path, raw, dialect.encoding)
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


class _Lines:
    """The file's lines as text, with the number of the last one given and the lines since `begin`."""

    def __init__(self, path: Path | str, raw: BufferedReader, encoding: str | None) -> None:
        self._path, self._raw = path, raw
        start = raw.peek(_LONGEST_MARK)
        marked = (name for mark, name in _BYTE_ORDER_MARKS.items() if start.startswith(mark))
        self.encoding = encoding or next(marked, "utf-8")
        self.number = 0
        self.since: list[str] = []
        self._lines = self._unmarked(self._decoded())
        self._ahead: list[str] = []

    def peek(self) -> str:
        """The first line, which is still given afterwards; empty where there is none."""
        self._ahead = [line] if (line := next(self._lines, None)) is not None else []
        return self._ahead[0] if self._ahead else ""

    def begin(self) -> None:
        """A record begins with the next line."""
        self.since = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else next(self._lines)
        self.number += 1
        self.since.append(line)
        if "\x00" in line:
            raise SourceUnreadable(
                f"{self._path}, line {self.number}: a NUL character, which no text holds: {shown(line)}"
            )
        return line

    @property
    def begun(self) -> int:
        """The line on which the record begins that was read last."""
        return self.number - len(self.since) + 1

    @property
    def place(self) -> str:
        """That line and its file."""
        return f"{self._path}, line {self.begun}"

    def _unmarked(self, lines: Iterator[str]) -> Iterator[str]:
        """The lines without the mark that the file may begin with; one further on tells that files were joined."""
        for number, line in enumerate(lines, start=1):
            if number > 1 and line.startswith(_MARK):
                raise SourceUnreadable(
                    f"{self._path}, line {number}: a byte order mark, with which a file begins, stands here: were two "
                    f"files joined? {shown(line)}"
                )
            yield line.removeprefix(_MARK) if number == 1 else line

    def _decoded(self) -> Iterator[str]:
        encoding, number = self.encoding, 0
        try:
            if "\n".encode(encoding) != b"\n" and encoding != "utf-8-sig":  # its line ends are longer than a byte
                with TextIOWrapper(self._raw, encoding, newline="") as whole:
                    yield from whole
                return
            for number, line in enumerate(self._raw, start=1):
                # every further line would have its mark taken away as well
                yield line.decode(encoding if number == 1 or encoding != "utf-8-sig" else "utf-8")
        except LookupError as error:
            raise SourceUnreadable(f"there is no encoding {encoding!r}: name one that Python knows") from error
        except UnicodeDecodeError as error:
            place = f"{self._path}, line {number}" if number else str(self._path)
            bad = error.object[error.start : error.start + 4]
            raise SourceUnreadable(
                f"{place}: {bad!r} is no {encoding.upper()}: name the file's encoding (--encoding, such as cp1252 or "
                f"utf-16): {shown(error.object[: 4 * SHOWN].decode(encoding, 'replace'))}"
            ) from error


def _records(lines: _Lines, separator: str, dialect: Dialect) -> Iterator[list[str]]:
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
        lines: _Lines,
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
    path: Path | str, packing: str | None, lines: _Lines, separator: str, dialect: Dialect, table: _Table
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


def shown(text: str) -> str:
    """A text as a message quotes it: on one line, and not too long."""
    text = text.rstrip("\r\n")
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
