"""The data that steps read and write, under the names by which other tools of OpenLineage know them.

Pure but for what a file is looked at for, which is left to whoever sends. Owns the names
(https://openlineage.io/docs/spec/naming, as Airflow's provider makes them). Knows nothing of steps or of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from urllib.parse import urlsplit

from sqlalchemy import Table, make_url
from sqlalchemy.exc import ArgumentError

from factory.contracts import FileRef

ORIGIN = "origin"
"""The namespace of what was loaded and is no file: the sample, a simulation, or a name that a person gave."""
_SAME = {"s3a": "s3", "gcs": "gs"}
"""Protocols under which fsspec knows a store that OpenLineage names otherwise."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, in a sentence; `stops` where nothing may be done with the data."""

    name: str
    stops: bool
    said: str
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Data:
    """One dataset: `columns` are names and types, `rows` and `size_bytes` what was read of it or written to it.

    `look` is called before it is told of, and gives the same data with what only a look at it shows.
    """

    namespace: str
    name: str
    columns: tuple[tuple[str, str], ...] = ()
    version: str | None = None
    rows: int | None = None
    size_bytes: int | None = None
    findings: tuple[Finding, ...] = ()
    accepted: bool | None = None
    """The verdict of its check; None where it was not checked."""
    look: Look | None = field(default=None, compare=False, repr=False)


Look: TypeAlias = Callable[[Data], Data]


def of_address(uri: str) -> Data:
    """A file or folder by its fsspec address, as in `file` `/srv/weeks/r1.parquet`, or `s3://bucket` `weeks/r1`."""
    protocol, separator, rest = uri.partition("://")
    if not separator or protocol in ("file", "local"):
        return Data("file", rest if separator else uri)
    place, _, path = rest.partition("/")
    return Data(f"{_SAME.get(protocol, protocol)}://{place}", path or "/")


def of_file(ref: FileRef) -> Data:
    """A Parquet file of the store; its columns and size are looked up when it is told of."""
    named = of_address(ref.uri)
    return replace(named, version=ref.sha256, rows=ref.rows, look=lambda data: _with_shape(data, ref.uri))


def of_table(database_url: str, table: Table, rows: int | None = None) -> Data:
    """A table of the catalogue; of PostgreSQL as in `postgres://host:5432` `database.public.products`."""
    namespace, within = _database(database_url)
    columns = tuple((column.name, str(column.type)) for column in table.columns)
    return Data(namespace, f"{within}.{table.name}", columns, rows=rows)


def of_tables(database_url: str, tables: Iterable[Table]) -> tuple[Data, ...]:
    """Several of them."""
    return tuple(of_table(database_url, table) for table in tables)


def of_origin(name: str, rows: int | None = None) -> Data:
    """Where loaded rows came from: a file, by its whole path, or else the name that the catalogue keeps of it."""
    return replace(of_address(name) if name.startswith("/") else Data(ORIGIN, name), rows=rows)


def of_version(tracking_uri: str, model: str, number: str, *aliases: str) -> tuple[Data, ...]:
    """A registered version, as in `mlflow://host:5000` `models/products/versions/3`, and aliases under which it goes.

    A version has a name of its own, as a snapshot has: what was trained on what is told of each.
    """
    version = Data(_registry(tracking_uri), f"models/{model}/versions/{number}", version=number)
    return version, *(of_alias(tracking_uri, model, alias, number) for alias in aliases)


def of_alias(tracking_uri: str, model: str, alias: str, number: str) -> Data:
    """An alias of a registered model, as in `models/products@champion`; its version is whose it is."""
    return Data(_registry(tracking_uri), f"models/{model}@{alias}", version=number)


def _registry(tracking_uri: str) -> str:
    parts = urlsplit(tracking_uri)
    if parts.scheme in ("http", "https"):
        place = ":".join(filter(None, (parts.hostname, str(parts.port or ""))))
        return f"mlflow://{place}{parts.path.rstrip('/')}"
    return _database(tracking_uri)[0]


def _database(address: str) -> tuple[str, str]:
    """The namespace of a database, and what stands before the name of a table in it; never a password."""
    try:
        url = make_url(address)
    except ArgumentError:  # whoever opens it says so
        return "database", "unknown"
    if url.get_backend_name() == "sqlite":
        return f"sqlite://{url.database or ''}", "main"
    host = url.host or url.query.get("host") or "localhost"  # a socket's folder
    return f"postgres://{host}:{url.port or 5432}", f"{url.database}.public"


def _with_shape(data: Data, uri: str) -> Data:
    from factory.snapshots.store import read_shape

    schema, size_bytes = read_shape(uri)
    return replace(data, columns=tuple((each.name, str(each.type)) for each in schema), size_bytes=size_bytes)
