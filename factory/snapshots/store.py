"""Snapshots: Parquet files behind an fsspec URI, written whole or not at all and verified on every read.

Owns how a file is named, published and checked. Knows nothing of weeks or of the catalogue.
"""

from __future__ import annotations

import io
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from factory.contracts import FileRef
from factory.errors import SnapshotCorrupt
from factory.snapshots.names import NEUTRAL, OF_TABLES
from factory.storage.private_files import make_file, make_folder
from factory.storage.stores import explained, has_folders, identity, on_disk, open_store

ROW_GROUP_ROWS = 20_000
_READ_BYTES, _WRITE_BYTES = 2**20, 2**22
_PARTIAL = ".partial"
_verified: dict[str, tuple[object, ...]] = {}
"""By address, the checksum that this process found a file to have, with what tells that file from any other."""
_PARQUET: dict[str, Any] = {
    "compression": "zstd",
    "compression_level": 1,
    "use_dictionary": ["prdtypecode", "side"],  # the class bears that name where a file of before is written again
    "write_statistics": False,  # every reader wants every row
}


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


class _Hashing(io.RawIOBase):
    """Passes on what is written and keeps its checksum; Parquet is written front to back."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self.sha256 = sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        chunk = bytes(data)
        self.sha256.update(chunk)
        self._sink.write(chunk)
        return len(chunk)


def write_batches(folder_uri: str, stem: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> FileRef:
    """A snapshot of these rows; see `writing`. Raises SnapshotStoreUnusable."""
    with writing(folder_uri, stem, schema) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.ref


@contextmanager
def writing(
    folder_uri: str, stem: str, schema: pa.Schema, *, names: Mapping[str, str] | None = None
) -> Iterator[Writer]:
    """A writer of `<folder_uri>/<stem>-<checksum>.parquet`, published by one rename after the last byte.

    The same rows in the same order give the same bytes, whatever their batches were. The checksum in the name means
    that a published file is never replaced by another. `names` are what the file calls columns, where that is not what
    the schema calls them. At most three times ROW_GROUP_ROWS rows are held in memory.
    Only one process may write one stem at a time: what an interrupted one left behind is removed. Raises
    SnapshotStoreUnusable.
    """
    filesystem, folder = open_store(folder_uri)
    with explained(folder_uri, writing=True):
        on_this_machine = on_disk(filesystem)
        if on_this_machine:
            make_folder(Path(folder))
        elif has_folders(filesystem):
            filesystem.makedirs(folder, exist_ok=True)
        _remove_partial(filesystem, folder, stem)
        partial = f"{folder}/{stem}-{uuid4().hex}{_PARTIAL}"
        try:
            if on_this_machine:
                make_file(Path(partial))
            with filesystem.open(partial, "wb") as sink:
                hashing = _Hashing(sink)
                # few large writes: each waits until the thread that makes the rows lets go of the interpreter
                with pa.BufferedOutputStream(pa.PythonFile(hashing, "w"), _WRITE_BYTES) as buffered:
                    filed = _renamed(schema, names or {})
                    with pq.ParquetWriter(buffered, filed, **_PARQUET) as parquet, Writer(parquet, filed) as writer:
                        yield writer
                    buffered.flush()
                sink.flush()
                if on_this_machine:  # a power cut after the rename must not leave an empty file
                    os.fsync(sink.fileno())
        except BaseException:  # Ctrl-C included: an interrupted file is of no use to anybody
            if filesystem.exists(partial):  # else this would hide why it could not even be opened
                filesystem.rm_file(partial)
            raise
        checksum = hashing.sha256.hexdigest()
        final = f"{folder}/{stem}-{checksum[:12]}.parquet"
        filesystem.mv(partial, final)
        writer.ref = FileRef(uri=filesystem.unstrip_protocol(final), sha256=checksum, rows=writer.rows)


class Writer:
    """Takes rows in batches of any size. They are compressed in a thread of its own, while the next are made.

    Row groups are full whatever the batches were: the layout, and so the checksum, follows from the rows alone.
    """

    ref: FileRef
    """The published file, once the block of `writing` has ended."""

    def __init__(self, parquet: pq.ParquetWriter, schema: pa.Schema) -> None:
        self._parquet, self._schema = parquet, schema
        self._waiting: list[pa.RecordBatch] = []
        self._held_rows = self.rows = 0
        self._thread = ThreadPoolExecutor(1, "snapshot")
        self._written: Future[None] | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        """Take the rows."""
        self._waiting.append(batch.rename_columns(self._schema.names))
        self._held_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._held_rows < ROW_GROUP_ROWS:
            return
        table = pa.Table.from_batches(self._waiting, self._schema)
        whole = self._held_rows - self._held_rows % ROW_GROUP_ROWS
        for start in range(0, whole, ROW_GROUP_ROWS):
            self._compress(table.slice(start, ROW_GROUP_ROWS))
        self._waiting, self._held_rows = table.slice(whole).to_batches(), self._held_rows - whole

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None and self._held_rows:
                self._compress(pa.Table.from_batches(self._waiting, self._schema))
            if self._written is not None:
                self._written.result()
        finally:
            self._thread.shutdown()

    def _compress(self, group: pa.Table) -> None:
        if self._written is not None:
            self._written.result()
        whole = group.combine_chunks()
        self._written = self._thread.submit(self._parquet.write_table, whole, row_group_size=ROW_GROUP_ROWS)


def write_beside(ref: FileRef, ending: str, content: bytes) -> str:
    """A file about a snapshot beside it, its name that of the snapshot with another ending; gives its URI.

    It is replaced when it stands already. Raises SnapshotStoreUnusable.
    """
    uri = beside(ref, ending)
    filesystem, path = open_store(uri)
    with explained(uri, writing=True):
        filesystem.pipe_file(path, content)
    return uri


def beside(ref: FileRef, ending: str) -> str:
    """The URI that `write_beside` gives."""
    return f"{ref.uri.removesuffix('.parquet')}{ending}"


def read_beside(ref: FileRef, ending: str) -> bytes | None:
    """What `write_beside` wrote; None when there is nothing. Raises SnapshotStoreUnusable."""
    filesystem, path = open_store(beside(ref, ending))
    try:
        with explained(ref.uri):
            content: bytes = filesystem.cat_file(path)
    except FileNotFoundError:
        return None
    return content


def is_there(ref: FileRef) -> bool:
    """Whether the file stands where it was written; its checksum is not looked at. Raises SnapshotStoreUnusable."""
    filesystem, path = open_store(ref.uri)
    with explained(ref.uri):
        return bool(filesystem.exists(path))


def read_frame(ref: FileRef, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The file's rows, or the named columns of them, after its checksum was verified.

    Raises SnapshotCorrupt when it is missing or altered, SnapshotStoreUnusable when its store cannot be reached.
    """
    with _opened(ref) as file:
        own, today = _names_in(pq.read_schema(file))
        table = pq.read_table(file, columns=None if columns is None else [own.get(name, name) for name in columns])
        return table.rename_columns(_renamed(table.schema, today).names).to_pandas()


def read_batches(ref: FileRef, columns: Sequence[str] | None = None) -> Generator[pa.RecordBatch, None, None]:
    """The file's rows in batches of at most ROW_GROUP_ROWS, after its checksum was verified; raises as read_frame."""
    with _opened(ref) as file, pq.ParquetFile(file) as parquet:
        own, today = _names_in(parquet.schema_arrow)
        wanted = None if columns is None else [own.get(name, name) for name in columns]
        for group in range(parquet.num_row_groups):  # asked for all at once Arrow keeps every byte until the end
            for batch in parquet.iter_batches(ROW_GROUP_ROWS, row_groups=[group], columns=wanted):
                yield batch.rename_columns(_renamed(batch.schema, today).names)


def read_schema(ref: FileRef) -> pa.Schema:
    """The file's columns, under the names of today; raises as read_frame."""
    with _opened(ref) as file:
        found = pq.read_schema(file)
        _, today = _names_in(found)
        return _renamed(found, today)


def read_shape(uri: str) -> tuple[pa.Schema, int]:
    """A Parquet file's columns and its size in bytes; its checksum is not looked at.

    Raises FileNotFoundError and SnapshotStoreUnusable.
    """
    filesystem, path = open_store(uri)
    with explained(uri), filesystem.open(path, "rb") as file:
        return pq.read_schema(file), int(filesystem.size(path))


def _names_in(schema: pa.Schema) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """A file's own names of columns by those of today, and the other way round; empty where they are the same."""
    return ({}, {}) if "entity_id" in schema.names else (OF_TABLES, NEUTRAL)


def _renamed(schema: pa.Schema, names: Mapping[str, str]) -> pa.Schema:
    return pa.schema([field.with_name(names.get(field.name, field.name)) for field in schema])


@contextmanager
def _opened(ref: FileRef) -> Iterator[Any]:
    filesystem, path = open_store(ref.uri)
    try:
        with explained(ref.uri), filesystem.open(path, "rb") as file:
            told = identity(filesystem, path, file)
            if told is None or _verified.get(ref.uri) != (ref.sha256, *told):
                _verify(ref, file)
                file.seek(0)
                if told is not None:
                    _verified[ref.uri] = (ref.sha256, *told)
            yield file
    except FileNotFoundError as error:
        raise SnapshotCorrupt(
            f"{ref.uri} is missing: restore it, or cut the week again from the catalogue (`python -m factory cut`)"
        ) from error


def _verify(ref: FileRef, file: Any) -> None:
    digest = sha256()
    while content := file.read(_READ_BYTES):
        digest.update(content)
    found = digest.hexdigest()
    if found != ref.sha256:
        raise SnapshotCorrupt(
            f"{ref.uri} is not the file that was written (sha256 {found[:12]}…, recorded {ref.sha256[:12]}…): "
            "restore it; a snapshot must never be edited"
        )


def _remove_partial(filesystem: Any, folder: str, stem: str) -> None:
    found: list[str] = []
    with suppress(FileNotFoundError):  # a store without folders has none before its first file
        found = filesystem.ls(folder, detail=False, refresh=True)
    for path in found:
        name = path.rsplit("/", 1)[-1]
        if name.startswith(f"{stem}-") and name.endswith(_PARTIAL):
            filesystem.rm_file(path)
