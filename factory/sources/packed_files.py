"""Files that may be compressed: opened by what they are, not by what they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import SEEK_SET, BufferedReader, RawIOBase
from pathlib import Path, PurePath
from typing import IO, Any

from factory.errors import SourceUnreadable

_SIGNATURES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
}
_LONGEST_SIGNATURE = 6
_SUFFIXES = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
_DAMAGED = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
_READ_BYTES = 2**16


@contextmanager
def open_unpacked(path: Path | str, stream: IO[bytes] | None = None) -> Iterator[tuple[BufferedReader, str | None]]:
    """The file's bytes as they were before they were compressed, and how they were; None where they were not.

    `stream` is the file where it is open already; `path` names it then. Raises SourceUnreadable where the file is not
    what its name says or is damaged, whenever that shows, and OSError where it cannot be read.
    """
    with _opened(path, stream) as file:
        packing = _packing(path, file)
        if packing is None:
            yield file, None
            return
        try:
            with BufferedReader(_unpacked(path, packing, file)) as unpacked:
                yield unpacked, packing
        except _DAMAGED as error:
            raise SourceUnreadable(
                f"{path} cannot be unpacked to its end ({packing}: {error}): it is damaged or cut off, fetch it again"
            ) from error


def _opened(path: Path | str, stream: IO[bytes] | None) -> BufferedReader:
    return Path(path).open("rb") if stream is None else BufferedReader(_Passed(stream))


def _packing(path: Path | str, file: BufferedReader) -> str | None:
    start = file.peek(_LONGEST_SIGNATURE)[:_LONGEST_SIGNATURE]
    found = next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)
    suffix = PurePath(path).suffix
    named = _SUFFIXES.get(suffix.lower())
    if named is not None and found != named:
        raise SourceUnreadable(
            f"{path} is called {suffix} and is {found or 'not compressed'} (it begins with {start!r}): give it the "
            "name of what it is"
        )
    return found


def _unpacked(path: Path | str, packing: str, file: BufferedReader) -> Any:
    if packing == "zip":
        return _member(path, file)
    if packing == "zstd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    if packing == "gzip":
        return gzip.GzipFile(fileobj=file)
    streams: dict[str, Callable[[], Any]] = {"bzip2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}
    return _Streams(file, streams[packing])


def _member(path: Path | str, file: BufferedReader) -> Any:
    """The one file of an archive."""
    archive = zipfile.ZipFile(file)
    inside = [each for each in archive.infolist() if not each.is_dir()]
    if len(inside) != 1:
        there = ", ".join(each.filename for each in inside[:5]) or "none"
        raise SourceUnreadable(f"{path} must hold exactly one file, found: {there}: unpack it and name the one meant")
    try:
        return archive.open(inside[0])
    except (RuntimeError, NotImplementedError) as error:  # a password, or a method that Python does not know
        raise SourceUnreadable(f"{path} cannot be unpacked here ({error}): unpack it with its own program") from error


class _Passed(RawIOBase):
    """A stream that another opened and will close."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._stream.seekable()

    def readinto(self, buffer: Any, /) -> int:
        content = self._stream.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = SEEK_SET, /) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


class _Streams(RawIOBase):
    """Compressed streams, one after another to the file's end; Python's own readers pass in silence over what follows
    the first and is none. Zeros are padding."""

    def __init__(self, file: BufferedReader, begin: Callable[[], Any]) -> None:
        self._file, self._begin, self._stream = file, begin, begin()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        content = b""
        while not content:
            if self._stream.eof:
                if not (begun := self._after(self._stream.unused_data)):
                    return 0
                self._stream = self._begin()
            elif not self._stream.needs_input:
                begun = b""
            elif not (begun := self._file.read(_READ_BYTES)):
                raise EOFError("it ends within a compressed stream")
            content = self._stream.decompress(begun, len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _after(self, rest: bytes) -> bytes:
        """What follows a stream, without padding; empty at the file's end."""
        while not (rest := rest.lstrip(b"\x00")) and (more := self._file.read(_READ_BYTES)):
            rest = more
        return rest
