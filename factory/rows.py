"""The catalogue's products as a stream of Arrow batches in the order of productid; memory is bounded by the batch.

Owns how rows leave PostgreSQL and SQLite fast: COPY into Arrow's own CSV reader, and the driver's plain tuples. Knows
nothing of weeks or snapshots.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from threading import Thread
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from sqlalchemy import BigInteger, Connection, Select, cast, extract, select

from factory.catalogue import labels, products

FETCH_ROWS = 20_000
_CSV_BLOCK_BYTES = 4 * 2**20

SCHEMA = pa.schema(
    [
        ("productid", pa.string()),
        ("designation", pa.string()),
        ("description", pa.string()),
        ("imageid", pa.string()),
        ("created_at", pa.timestamp("us", tz="UTC")),
        ("prdtypecode", pa.string()),
        ("group_id", pa.string()),
        ("text_key", pa.int64()),
        ("text_mark", pa.int64()),
    ]
)


def read_products(connection: Connection, until: datetime | None = None) -> Iterator[pa.RecordBatch]:
    """Every product with its label and stored keys, of those created until then: batches with SCHEMA, by productid.

    The connection can do nothing else meanwhile; end or close the iterator first.
    """
    query = _query(connection, until)
    read = _copied if connection.dialect.name == "postgresql" else _fetched
    yield from read(connection, query)


def _query(connection: Connection, until: datetime | None) -> Select[Any]:
    created: Any = products.c.created_at
    if connection.dialect.name == "postgresql":  # a number, whatever the session's time zone
        created = cast(extract("epoch", created) * 1_000_000, BigInteger).label("created_at")
    columns = {**products.c, "created_at": created, "prdtypecode": labels.c.prdtypecode}
    query = select(*(columns[name] for name in SCHEMA.names)).select_from(products.outerjoin(labels))
    if until is not None:
        query = query.where(products.c.created_at <= until)
    return query.order_by(products.c.productid)


def _fetched(connection: Connection, query: Select[Any]) -> Iterator[pa.RecordBatch]:
    cursor = connection.execute(query).cursor  # the driver's own: rows as SQLite gives them, moments as text
    while rows := cursor.fetchmany(FETCH_ROWS):
        columns = zip(*rows, strict=True)
        arrays = [_array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _array(values: tuple[Any, ...], wanted: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(wanted):
        return pc.assume_timezone(pa.array(values, pa.string()).cast(pa.timestamp("us")), "UTC")
    return pa.array(values, wanted)


def _copied(connection: Connection, query: Select[Any]) -> Iterator[pa.RecordBatch]:
    compiled = query.compile(dialect=connection.dialect)
    cursor: Any = connection.connection.cursor()
    statement = cursor.mogrify(str(compiled), compiled.params).decode()
    with _piped(cursor, f"COPY ({statement}) TO STDOUT (FORMAT csv)") as source:
        types = {field.name: pa.int64() if field.name == "created_at" else field.type for field in SCHEMA}
        try:
            batches = arrow_csv.open_csv(
                source,
                read_options=arrow_csv.ReadOptions(column_names=SCHEMA.names, block_size=_CSV_BLOCK_BYTES),
                parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=types,
                    null_values=[""],
                    strings_can_be_null=True,
                    quoted_strings_can_be_null=False,  # COPY tells an empty text from none by its quotes
                ),
            )
        except pa.ArrowInvalid as error:
            if "Empty CSV file" in str(error):
                return
            raise
        for batch in batches:
            if batch.num_rows:
                yield batch.cast(SCHEMA)


@contextmanager
def _piped(cursor: Any, statement: str) -> Iterator[IO[bytes]]:
    """What the statement copies out, to be read while a thread of its own fetches it."""
    taking, giving = os.pipe()
    failed: list[BaseException] = []

    def copy() -> None:
        try:
            with os.fdopen(giving, "wb", _CSV_BLOCK_BYTES) as sink:
                cursor.copy_expert(statement, sink)
        except BrokenPipeError:
            return  # the reader has gone: it knows why
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            failed.append(error)

    thread = Thread(target=copy, name="copy-out", daemon=True)
    thread.start()
    try:
        with os.fdopen(taking, "rb") as source:
            yield source
    finally:
        thread.join()
    if failed:
        raise failed[0]
