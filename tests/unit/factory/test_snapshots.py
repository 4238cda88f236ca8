"""Snapshots are whole, verified, and the same bytes for the same rows."""

from __future__ import annotations

import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from factory import snapshots
from factory.contracts import FileRef
from factory.errors import SnapshotCorrupt, SnapshotStoreUnusable
from factory.snapshots import ROW_GROUP_ROWS, read_batches, read_frame, write_batches

SCHEMA = pa.schema([("productid", pa.string()), ("number", pa.int64())])


def rows(count: int, batch_rows: int = 3) -> Iterator[pa.RecordBatch]:
    numbers = list(range(count))
    for start in range(0, count, batch_rows):
        some = numbers[start : start + batch_rows]
        yield pa.RecordBatch.from_pydict({"productid": [f"{n:03d}" for n in some], "number": some}, schema=SCHEMA)


@pytest.fixture(params=["file", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "file":
        yield (tmp_path / "snapshots").as_uri()
        return
    uri = f"memory://snapshots-{tmp_path.name}"
    yield uri
    filesystem = fsspec.filesystem("memory")
    if filesystem.exists(uri):
        filesystem.rm(uri, recursive=True)


def names(folder: str) -> list[str]:
    filesystem, path = fsspec.core.url_to_fs(folder)
    return sorted(name.rsplit("/", 1)[-1] for name in filesystem.ls(path, detail=False))


def test_what_was_written_is_read_back_on_any_filesystem(folder: str) -> None:
    ref = write_batches(folder, "r1", SCHEMA, rows(5))
    assert ref.rows == 5
    assert read_frame(ref).values.tolist() == [[f"{n:03d}", n] for n in range(5)]
    assert read_frame(ref, ["number"]).columns.tolist() == ["number"]


def test_the_same_rows_give_the_same_file(folder: str) -> None:
    first, second = write_batches(folder, "r1", SCHEMA, rows(5)), write_batches(folder, "r1", SCHEMA, rows(5))
    assert first == second
    assert names(folder) == [f"r1-{first.sha256[:12]}.parquet"]


def test_other_rows_never_replace_a_published_file(folder: str) -> None:
    first = write_batches(folder, "r1", SCHEMA, rows(5))
    write_batches(folder, "r1", SCHEMA, rows(6))
    assert len(read_frame(first)) == 5


def test_the_sources_batches_do_not_show_in_the_file(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "ROW_GROUP_ROWS", 4)
    refs = [write_batches(folder, "r1", SCHEMA, rows(11, batch_rows=size)) for size in (1, 3, 4, 9, 11)]
    assert refs == refs[:1] * 5


def test_batches_are_read_one_after_another(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "ROW_GROUP_ROWS", 4)
    ref = write_batches(folder, "r1", SCHEMA, rows(10))
    batches = list(read_batches(ref, ["number"]))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert batches[0].schema.names == ["number"]


def test_memory_is_bounded_by_row_groups(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "ROW_GROUP_ROWS", 4)
    ref = write_batches(folder, "r1", SCHEMA, rows(10))
    filesystem, path = fsspec.core.url_to_fs(ref.uri)
    with filesystem.open(path) as file:
        metadata = pa.parquet.ParquetFile(file).metadata
        assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 4, 2]


def test_an_empty_snapshot_still_has_its_columns(folder: str) -> None:
    frame = read_frame(write_batches(folder, "r1", SCHEMA, rows(0)))
    assert frame.columns.tolist() == ["productid", "number"]
    assert frame.empty


def test_a_source_that_fails_leaves_no_file(folder: str) -> None:
    def broken() -> Iterator[pa.RecordBatch]:
        yield from rows(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_batches(folder, "r1", SCHEMA, broken())
    assert names(folder) == []


def test_what_a_killed_writer_left_is_removed_by_the_next(folder: str) -> None:
    filesystem, path = fsspec.core.url_to_fs(folder)
    filesystem.makedirs(path, exist_ok=True)
    for left in ("r1-0a.partial", "r2-0b.partial"):
        filesystem.pipe_file(f"{path}/{left}", b"half")
    ref = write_batches(folder, "r1", SCHEMA, rows(2))
    assert names(folder) == [f"r1-{ref.sha256[:12]}.parquet", "r2-0b.partial"]


def test_a_file_is_read_in_batches_without_being_kept(folder: str) -> None:
    schema = pa.schema([(f"c{number}", pa.int64()) for number in range(8)])
    draw = np.random.default_rng(0).integers
    groups = [[draw(2**62, size=ROW_GROUP_ROWS) for _ in schema] for _ in range(20)]
    ref = write_batches(folder, "r1", schema, (pa.RecordBatch.from_arrays(group, schema=schema) for group in groups))
    filesystem, path = fsspec.core.url_to_fs(ref.uri)

    tracemalloc.start()
    rows = sum(batch.num_rows for batch in read_batches(ref))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert rows == 20 * ROW_GROUP_ROWS
    assert peak_bytes < filesystem.size(path) / 4  # a group or two of twenty; all of them where Arrow keeps the bytes


def test_an_altered_file_is_refused(folder: str) -> None:
    ref = write_batches(folder, "r1", SCHEMA, rows(5))
    filesystem, path = fsspec.core.url_to_fs(ref.uri)
    content = filesystem.cat_file(path)
    filesystem.pipe_file(path, content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SnapshotCorrupt, match="is not the file that was written"):
        read_frame(ref)


def test_a_missing_file_is_named(folder: str) -> None:
    with pytest.raises(SnapshotCorrupt, match=r"gone\.parquet is missing"):
        read_frame(FileRef(uri=f"{folder}/gone.parquet", sha256="0", rows=1))


def test_a_plain_path_serves_and_the_reference_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ref = write_batches("here", "r1", SCHEMA, rows(1))
    assert ref.uri.startswith((tmp_path / "here").as_uri())


def test_a_store_that_cannot_be_opened_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SnapshotStoreUnusable, match="SNAPSHOT_URI"):
        write_batches("nosuch://bucket/x", "r1", SCHEMA, rows(1))
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotStoreUnusable, match="SNAPSHOT_URI"):
        write_batches(f"{tmp_path}/file/folder", "r1", SCHEMA, rows(1))


def test_a_snapshot_is_its_writers_alone_and_a_folder_that_was_there_stays_as_it_was(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    write_batches((tmp_path / "products" / "week").as_uri(), "r1", SCHEMA, rows(5))

    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*") if path.is_dir()}
    [snapshot] = tmp_path.rglob("*.parquet")
    assert modes == {0o700}
    assert stat.S_IMODE(snapshot.stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
