"""Files that may be compressed: opened by what they are, not by what they are called."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

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


@contextmanager
def open_unpacked(path: Path) -> Iterator[tuple[BufferedReader, str | None]]:
    """The file's bytes as they were before they were compressed, and how they were; None where they were not.

    Raises SourceUnreadable where the file is not what its name says or is damaged, whenever that shows, and OSError
    where it cannot be read.
    """
    packing = _packing(path)
    if packing is None:
        with path.open("rb") as file:
            yield file, None
        return
    try:
        with BufferedReader(_unpacked(path, packing)) as file:
            yield file, packing
    except _DAMAGED as error:
        raise SourceUnreadable(
            f"{path} cannot be unpacked to its end ({packing}: {error}): it is damaged or cut off, fetch it again"
        ) from error


def _packing(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(_LONGEST_SIGNATURE)
    found = next((kind for signature, kind in _SIGNATURES.items() if start.startswith(signature)), None)
    named = _SUFFIXES.get(path.suffix.lower())
    if named is not None and found != named:
        raise SourceUnreadable(
            f"{path} is called {path.suffix} and is {found or 'not compressed'} (it begins with {start!r}): give it "
            "the name of what it is"
        )
    return found


def _unpacked(path: Path, packing: str) -> Any:
    if packing == "zip":
        return _member(path)
    if packing == "zstd":
        import pyarrow as pa

        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    openers: dict[str, Callable[[Path], Any]] = {"gzip": gzip.open, "bzip2": bz2.open, "xz": lzma.open}
    return openers[packing](path)


def _member(path: Path) -> Any:
    """The one file of an archive."""
    archive = zipfile.ZipFile(path)
    inside = [each for each in archive.infolist() if not each.is_dir()]
    if len(inside) != 1:
        there = ", ".join(each.filename for each in inside[:5]) or "none"
        raise SourceUnreadable(f"{path} must hold exactly one file, found: {there}: unpack it and name the one meant")
    try:
        return archive.open(inside[0])
    except (RuntimeError, NotImplementedError) as error:  # a password, or a method that Python does not know
        raise SourceUnreadable(f"{path} cannot be unpacked here ({error}): unpack it with its own program") from error
