"""Where files lie: any fsspec address, a folder here or a bucket elsewhere, and what their stores say when they fail.

Owns the differences between stores, and that a store which is away, full or forbidden is one message of cause and
remedy. Knows nothing of what the files hold.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fsspec.core import url_to_fs

from factory.errors import SnapshotStoreUnusable

_BUCKETS = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "oss")
"""Protocols of stores that have no folders: a name holds its slashes. To make one there would make a bucket."""
_UNREACHED = {
    "botocore.exceptions": "BotoCoreError",
    "aiohttp": "ClientError",
    "google.auth.exceptions": "GoogleAuthError",
    "azure.core.exceptions": "AzureError",
}
"""What the stores' own libraries raise when they are away or know no credentials, besides OSError; by module."""
_MARKS = ("ETag", "etag", "md5Hash")


def open_store(uri: str) -> tuple[Any, str]:
    """The address' filesystem and its path there. Raises SnapshotStoreUnusable."""
    try:
        # what was listed before may be gone, or made by another process
        filesystem, path = url_to_fs(uri, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise SnapshotStoreUnusable(
            f"{uri} cannot be opened: {error}. Set SNAPSHOT_URI to a folder, or install the filesystem it names."
        ) from error
    return filesystem, path.rstrip("/")


def on_disk(filesystem: Any) -> bool:
    """Whether it is this machine's own."""
    return "file" in _protocols(filesystem)


def has_folders(filesystem: Any) -> bool:
    """Whether a folder has to be made before its files."""
    return not set(_BUCKETS) & set(_protocols(filesystem))


def identity(filesystem: Any, path: str, file: Any) -> tuple[object, ...] | None:
    """What changes whenever the open file does; None where its store does not tell."""
    if on_disk(filesystem):
        told = os.fstat(file.fileno())
        return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns, told.st_ctime_ns
    told = filesystem.info(path)
    mark = next((told[name] for name in _MARKS if told.get(name)), None)
    return None if mark is None else (mark, told["size"])


@contextmanager
def explained(uri: str, *, writing: bool = False) -> Iterator[None]:
    """What a store raises as SnapshotStoreUnusable; FileNotFoundError stays as it is unless something is written."""
    try:
        yield
    except unreached() as error:
        raise SnapshotStoreUnusable(
            f"the snapshot store at {uri} does not answer: {error}. Start it, or look at its endpoint and credentials "
            "in this process' environment, or set SNAPSHOT_URI."
        ) from error
    except FileNotFoundError as error:
        if not writing:
            raise
        raise SnapshotStoreUnusable(
            f"the snapshot store at {uri} is not there: {error}. Make the bucket or folder, or set SNAPSHOT_URI."
        ) from error
    except OSError as error:
        raise SnapshotStoreUnusable(
            f"the snapshot store at {uri} refused: {error}. Look at its space and permissions, or set SNAPSHOT_URI."
        ) from error


def unreached() -> tuple[type[Exception], ...]:
    """What to catch for a store that is away, besides OSError: a library that is not loaded cannot have raised it."""
    return tuple(getattr(sys.modules[module], name) for module, name in _UNREACHED.items() if module in sys.modules)


def _protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
