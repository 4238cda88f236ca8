"""The catalogue's products as Arrow batches in the order of productid; memory is bounded by the batch.

Owns how rows leave PostgreSQL and SQLite fast: COPY in its binary format, and the driver's plain tuples.
Knows nothing of weeks or snapshots.

Batches are handed to a function rather than given by a generator: psycopg2 writes what it copies into a file, a row at
a time. While a batch is decoded and taken in a second thread, the first one receives the next.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import Connection, Select, case, select

from factory.catalogue.copied_rows import decode
from factory.catalogue.schema import labels, products
from factory.text import CLEANING

Take: TypeAlias = Callable[[pa.RecordBatch], None]

BATCH_ROWS = 20_000
_FETCH_ROWS = 2_000  # SQLite's rows come fastest when they stay in the processor's cache

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
    ]
)
_FETCHED = pa.struct([field if pa.types.is_integer(field.type) else field.with_type(pa.binary()) for field in SCHEMA])


def read_products(connection: Connection, take: Take, until: datetime | None = None) -> None:
    """Hand over every product with its label, of those created until then: batches with SCHEMA, by id.

    `text_key` is the stored key, where it was made by this version of the cleaning.

    `take` may be called in another thread, one batch after another. What it raises is raised here, and then the
    transaction can only be rolled back. The connection can do nothing else meanwhile.
    """
    hand_over = _copied if connection.dialect.name == "postgresql" else _fetched
    hand_over(connection, _query(until), take)


def _query(until: datetime | None) -> Select[Any]:
    of_this_cleaning = case((products.c.text_cleaning == CLEANING, products.c.text_key)).label("text_key")
    columns = {**products.c, "prdtypecode": labels.c.prdtypecode, "text_key": of_this_cleaning}
    query = select(*(columns[name] for name in SCHEMA.names)).select_from(products.outerjoin(labels))
    if until is not None:
        query = query.where(products.c.created_at <= until)
    return query.order_by(products.c.productid)


def _fetched(connection: Connection, query: Select[Any], take: Take) -> None:
    driver: Any = connection.connection.driver_connection
    driver.text_factory = bytes  # Arrow wants UTF-8, as SQLite has it: text in between costs a third of the time
    try:
        cursor = connection.execute(query).cursor  # the driver's own: rows as SQLite gives them, moments as text
        while batches := [_batch(rows) for _ in range(BATCH_ROWS // _FETCH_ROWS) if (rows := _next(cursor))]:
            take(pa.concat_batches(batches))
    finally:
        driver.text_factory = str


def _next(cursor: Any) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = cursor.fetchmany(_FETCH_ROWS)
    return rows


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = pa.array(rows, _FETCHED).flatten()
    arrays = [_typed(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _typed(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(wanted):
        return pc.assume_timezone(column.cast(pa.string()).cast(pa.timestamp("us")), "UTC")
    # bytes to text a column at once: to check every value for itself takes longer than all else
    return column.cast(wanted)


def _copied(connection: Connection, query: Select[Any], take: Take) -> None:
    compiled = query.compile(dialect=connection.dialect)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, ThreadPoolExecutor(1, "rows") as thread:
        statement = cursor.mogrify(str(compiled), compiled.params).decode()
        messages = _Messages(take, thread)
        cursor.copy_expert(f"COPY ({statement}) TO STDOUT (FORMAT binary)", messages)
        messages.end()


class _Messages:
    """What COPY writes, a row at a time; decoded and handed over a batch at a time, in a thread beside.

    After a failure the rest passes unread: an error amid COPY would break the connection, and a cancellation that comes
    too late would hit whatever is asked next.
    """

    def __init__(self, take: Take, thread: ThreadPoolExecutor) -> None:
        self._take, self._thread = take, thread
        self._waiting: list[bytes] = []
        self._taken: Future[None] | None = None
        rows = self._rows()
        next(rows)
        self.write = rows.send  # called for every row: a generator takes it sooner than a method

    def end(self) -> None:
        """Hand over the rest; raises what went wrong on the way."""
        self._hand_over().result()

    def _rows(self) -> Generator[None, bytes, None]:
        while True:
            append = self._waiting.append
            for _ in range(BATCH_ROWS):
                append((yield))
            self._hand_over()

    def _hand_over(self) -> Future[None]:
        """Begin with these rows once those before them were taken, if they were."""
        rows, self._waiting = self._waiting, []
        if self._taken is None or self._taken.exception() is None:
            self._taken = self._thread.submit(self._take_rows, rows)
        return self._taken

    def _take_rows(self, rows: list[bytes]) -> None:
        batch = decode(rows, SCHEMA)
        if batch.num_rows:
            self._take(batch)
