"""A file's lines as text: in the encoding that is named or that its mark tells, each with its number.

Bytes that are no text are refused, with the line. Knows nothing of records or of how a file is packed.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from pathlib import Path

from factory.errors import SourceUnreadable

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


class Lines:
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


def shown(text: str) -> str:
    """A text as a message quotes it: on one line, and not too long."""
    text = text.rstrip("\r\n")
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")
