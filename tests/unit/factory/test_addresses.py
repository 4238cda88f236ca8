"""A parameter names files below the data roots and the store, and nothing else that a worker can reach."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from factory.errors import AddressRefused
from factory.settings import Settings, read_settings
from factory.storage.addresses import admitted


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with one file, in a working directory and a home that are none."""
    root = tmp_path / "data"
    root.mkdir()
    (root / "log.csv").write_text("timestamp\n")
    (tmp_path / "secret.csv").write_text("a secret\n")
    (tmp_path / "database").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return root


def settings(root: object, store: str = "s3://bucket/snapshots") -> Settings:
    return read_settings({"DATA_ROOTS": str(root), "SNAPSHOT_URI": store})


@pytest.mark.parametrize("form", ["{}/log.csv", "file://{}/log.csv", "local://{}/log.csv", "{}/../data/./log.csv"])
def test_a_file_below_a_root_is_opened_however_it_is_written(root: Path, form: str) -> None:
    assert admitted(settings(root), form.format(root)) == str(root / "log.csv")


@pytest.mark.parametrize("address", ["data/log.csv", "./data/log.csv", "~/data/log.csv"])
def test_a_path_from_here_or_from_home_is_where_it_leads(root: Path, address: str) -> None:
    assert admitted(settings(root), address) == str(root / "log.csv")


def test_a_file_that_is_not_there_yet_is_not_refused(root: Path) -> None:
    assert admitted(settings(root), f"{root}/later.parquet") == f"{root}/later.parquet"


@pytest.mark.parametrize(
    "address",
    [
        "{root}/../secret.csv",
        "file://{root}/../secret.csv",
        "{root}-beside/log.csv",
        "{root}",
        "//server/share/log.csv",
        "/etc/passwd",
        "file:/etc/passwd",
        "file:///etc/passwd",
        "file://server/share/log.csv",
        r"\\server\share\log.csv",
        "secret.csv",
        "~/secret.csv",
        "~root/.bashrc",
        "$HOME/secret.csv",
        "{root}/link.csv",
        "{root}/linked/secret.csv",
        "{root}/pipe.csv",
        "{root}/log.csv\0.parquet",
        "http://127.0.0.1:4200/api/admin",
        "https://example.org/log.csv",
        "HTTP://127.0.0.1/log.csv",
        "http:/127.0.0.1/log.csv",
        "ftp://example.org/log.csv",
        "sftp://example.org/log.csv",
        "smb://server/share/log.csv",
        "data:text/csv;base64,dGltZXN0YW1w",
        "memory://log.csv",
        "github://someone:repository@main/log.csv",
        "simplecache::http://127.0.0.1/log.csv",
        "simplecache::file://{root}/log.csv",
        "zip://log.csv::file://{root}/log.zip",
        "zip://log.csv::http://127.0.0.1/log.zip",
        "reference://::http://127.0.0.1/log.json",
        "s3://another/snapshots/log.csv",
        "s3://bucket/snapshots-of-others/log.csv",
        "s3://bucket/snapshots",
        "s3://bucket/snapshots/../secret.csv",
        "s3://bucket/snapshots/%2e%2e/secret.csv",
        "s3://bucket/snapshots/..%2fsecret.csv",
        "s3://someone@bucket/snapshots/log.csv",
        "gs://bucket/snapshots/log.csv",
        "",
    ],
)
def test_whatever_else_is_named_is_refused(root: Path, address: str) -> None:
    (root / "link.csv").symlink_to(root.parent / "secret.csv")
    (root / "linked").symlink_to(root.parent)
    os.mkfifo(root / "pipe.csv")
    with pytest.raises(AddressRefused, match="is refused"):
        admitted(settings(root), address.format(root=root))


def test_a_refusal_names_the_address_the_places_and_the_setting(root: Path) -> None:
    with pytest.raises(AddressRefused) as refusal:
        admitted(settings(root), "http://me:word@127.0.0.1/\x1b[2Jlog.csv")
    said = str(refusal.value)
    assert r"'http://…@127.0.0.1/\x1b[2Jlog.csv'" in said
    assert f"{root}, s3://bucket/snapshots" in said
    assert "DATA_ROOTS" in said


def test_what_lies_in_the_store_is_opened(root: Path) -> None:
    for store in ("s3://bucket/snapshots", "s3a://bucket/snapshots/"):
        for address in ("s3://bucket/snapshots/products/r1.parquet", "s3a://bucket/snapshots/r1.parquet"):
            assert admitted(settings(root, store), address) == address
    inside = f"file://{root.parent}/store/r1.parquet"
    assert admitted(settings(root, f"file://{root.parent}/store"), inside) == f"{root.parent}/store/r1.parquet"


def test_a_root_that_is_a_link_is_as_good_as_its_folder(root: Path) -> None:
    (root.parent / "named").symlink_to(root)
    for named in (f"{root.parent}/named", str(root)):
        for address in (f"{root.parent}/named/log.csv", f"{root}/log.csv"):
            assert admitted(settings(named), address) == str(root / "log.csv")


def test_a_root_may_be_an_address_of_another_store(root: Path) -> None:
    both = settings(f"{root}, https://logs.example.org:8443/products/ ,")
    address = "https://logs.example.org:8443/products/week-3.csv"
    assert admitted(both, address) == address
    for other in (
        "https://logs.example.org/products/week-3.csv",
        "http://logs.example.org:8443/products/week-3.csv",
        "https://logs.example.org:8443/products/../admin",
        "https://logs.example.org:8443@evil.example/products/week-3.csv",
    ):
        with pytest.raises(AddressRefused):
            admitted(both, other)


def test_without_a_setting_the_stacks_and_the_checkouts_data_folders_are_the_roots(root: Path) -> None:
    checkout = Path(__file__).parents[3]
    mine = read_settings({"STACK_HOME": str(root.parent), "SNAPSHOT_URI": "s3://bucket"})
    assert mine.data_roots == (str(root), str(checkout / "data"))
    assert admitted(mine, f"{root}/log.csv") == str(root / "log.csv")
    assert read_settings({}).data_roots == (str(checkout / ".stack" / "data"), str(checkout / "data"))
