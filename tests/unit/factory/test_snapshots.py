"""Snapshots are whole, verified, and the same bytes for the same rows."""

from __future__ import annotations

import stat
import tracemalloc
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from factory.contracts import FileRef
from factory.errors import SnapshotCorrupt, SnapshotStoreUnusable
from factory.snapshots import store
from factory.snapshots.store import (
    ROW_GROUP_ROWS,
    is_there,
    read_batches,
    read_beside,
    read_frame,
    write_batches,
    write_beside,
)
from tests.live_s3 import BUCKET, live_s3

SCHEMA = pa.schema([("entity_id", pa.string()), ("number", pa.int64())])


def rows(count: int, batch_rows: int = 3) -> Iterator[pa.RecordBatch]:
    numbers = list(range(count))
    for start in range(0, count, batch_rows):
        some = numbers[start : start + batch_rows]
        yield pa.RecordBatch.from_pydict({"entity_id": [f"{n:03d}" for n in some], "number": some}, schema=SCHEMA)


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A store that speaks S3, as a process' environment names it."""
    if find_spec("moto") is None:
        pytest.skip("the server of the S3 protocol is in the other environment")
    with live_s3() as variables:
        yield variables


@pytest.fixture
def bucket(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of its bucket, which this process finds."""
    for name, value in s3.items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}"


@pytest.fixture(params=["file", "memory", "s3"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "s3":
        yield f"{request.getfixturevalue('bucket')}/deep/{tmp_path.name}"
        return
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
    if not filesystem.exists(path):
        return []
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
    monkeypatch.setattr(store, "ROW_GROUP_ROWS", 4)
    refs = [write_batches(folder, "r1", SCHEMA, rows(11, batch_rows=size)) for size in (1, 3, 4, 9, 11)]
    assert refs == refs[:1] * 5


def test_batches_are_read_one_after_another(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_ROWS", 4)
    ref = write_batches(folder, "r1", SCHEMA, rows(10))
    batches = list(read_batches(ref, ["number"]))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert batches[0].schema.names == ["number"]


def test_memory_is_bounded_by_row_groups(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "ROW_GROUP_ROWS", 4)
    ref = write_batches(folder, "r1", SCHEMA, rows(10))
    filesystem, path = fsspec.core.url_to_fs(ref.uri)
    with filesystem.open(path) as file:
        metadata = pa.parquet.ParquetFile(file).metadata
        assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4, 4, 2]


def test_an_empty_snapshot_still_has_its_columns(folder: str) -> None:
    frame = read_frame(write_batches(folder, "r1", SCHEMA, rows(0)))
    assert frame.columns.tolist() == ["entity_id", "number"]
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


@pytest.mark.parametrize("folder", ["file", "memory"], indirect=True)  # the store is in this process as well
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


class Hashes:
    """Counts the files whose bytes are looked at."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made = 0
        verify = store._verify

        def counted(*given: object) -> None:
            self.made += 1
            verify(*given)

        monkeypatch.setattr(store, "_verify", counted)


@pytest.mark.parametrize("folder", ["file", "s3"], indirect=True)
def test_a_process_hashes_a_file_once_and_again_when_it_was_changed(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = write_batches(folder, "r1", SCHEMA, rows(5))
    hashes = Hashes(monkeypatch)
    for _ in range(3):
        read_frame(ref)
        list(read_batches(ref))
    assert hashes.made == 1
    filesystem, path = fsspec.core.url_to_fs(ref.uri, use_listings_cache=False)
    content = bytearray(filesystem.cat_file(path))
    content[20] ^= 1  # as many bytes as before
    filesystem.pipe_file(path, bytes(content))
    with pytest.raises(SnapshotCorrupt, match="not the file that was written"):
        read_frame(ref)
    content[20] ^= 1
    filesystem.pipe_file(path, bytes(content))
    assert len(read_frame(ref)) == 5
    with pytest.raises(SnapshotCorrupt, match="not the file that was written"):
        read_frame(ref.model_copy(update={"sha256": "0" * 64}))


def test_a_bucket_that_is_not_there_is_said_and_not_made(bucket: str) -> None:
    with pytest.raises(SnapshotStoreUnusable, match=r"s3://typo/x is not there.*Make the bucket"):
        write_batches("s3://typo/x", "r1", SCHEMA, rows(5))
    with pytest.raises(SnapshotStoreUnusable, match="Make the bucket"):
        write_batches("s3://typo/x", "r1", SCHEMA, rows(5))


def test_what_another_process_did_in_a_bucket_is_seen(bucket: str) -> None:
    ref = write_batches(f"{bucket}/seen", "r1", SCHEMA, rows(5))
    assert is_there(ref)
    fsspec.filesystem("s3", skip_instance_cache=True).rm_file(ref.uri)
    assert not is_there(ref)
    with pytest.raises(SnapshotCorrupt, match=r"is missing.*cut the week again"):
        read_frame(ref)


def test_a_store_that_is_away_is_one_message_of_cause_and_remedy(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    ref = FileRef(uri=f"{bucket}/r1.parquet", sha256="0" * 64, rows=5)
    try:
        for act in (
            lambda: write_batches(bucket, "r1", SCHEMA, rows(5)),
            lambda: write_beside(ref, ".html", b"x"),
            lambda: read_frame(ref),
            lambda: read_beside(ref, ".html"),
            lambda: is_there(ref),
        ):
            with pytest.raises(SnapshotStoreUnusable, match=r"does not answer.*127\.0\.0\.1:1.*Start it, or look at"):
                act()
    finally:
        fsspec.get_filesystem_class("s3").clear_instance_cache()
