"""Appending products and labels to the catalogue.

Owns what happens when a product is already there. Knows nothing of file formats (see sources) or of weeks.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from sqlalchemy import Connection, Engine, Table, select

from factory.catalogue.database import exclusive, upsert
from factory.catalogue.schema import labels, products, sources
from factory.errors import ForeignProducts, ProductConflict, SourceUnreadable
from factory.grouping.keys import text_keys
from factory.lineage.data import of_origin, of_table
from factory.lineage.steps import Account, step
from factory.snapshots.weeks import aware
from factory.sources.readers import COLUMNS
from factory.text import CLEANING

CATALOGUE_LOCK = "catalogue"
"""Held while products come in or a week is cut: no week holds half a load."""
_LOADED = pa.schema([(name, pa.string()) for name in COLUMNS])
_MOMENT = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many products came in, and how many were there already.

    `late` of the new ones are older than the first stock's end and came after it; `latest` is the last moment of any.
    """

    new: int
    known: int
    late: int = field(default=0, compare=False)
    latest: datetime | None = field(default=None, compare=False)


def account_of_load(loaded: Loaded | None, engine: Engine, origin: str, rows: Table, *known: Table) -> Account:
    """What a load into these tables tells of itself; None is one that has not ended, or was of no use."""
    url = engine.url.render_as_string()
    others = [of_table(url, each) for each in known]
    if loaded is None:
        return Account(f"load/{rows.name}", (of_origin(origin),), (of_table(url, rows), *others))
    read, written = of_origin(origin, loaded.new + loaded.known), of_table(url, rows, loaded.new)
    return Account(f"load/{rows.name}", (read,), (written, *others))


def _account_of_products(loaded: Loaded | None, engine: Engine, *_: object, source: str, **__: object) -> Account:
    return account_of_load(loaded, engine, source, products, labels)


@step(_account_of_products)
def load(
    engine: Engine,
    batches: Iterable[pd.DataFrame],
    *,
    source: str,
    created_at: datetime,
    append: bool = False,
    stock_until: datetime | None = None,
) -> Loaded:
    """The batches' products appended, all or none; one that is already there is left as it is and counted.

    `source` names where they come from: a catalogue takes more of its own source, another's only with `append`.
    `created_at` holds for batches that have no such column, and for rows of others up to `stock_until`: where that is
    given the first stock is complete, and what comes late joins whole with all else that comes now. When a product was
    created makes no other product of it. Raises ForeignProducts, ProductConflict when one id stands for two different
    products, SourceUnreadable.
    """
    new = known = late = 0
    latest: datetime | None = None
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        _claim(connection, source, append=append)
        for batch in batches:
            fresh, there = _sorted_out(connection, batch)
            if len(fresh):
                moments, moved = _joining(fresh, created_at, stock_until)
                _insert(connection, fresh, source, moments)
                late += moved
                latest = max(moments) if latest is None else max(latest, *moments)
            new += len(fresh)
            known += there
        if new + known == 0:
            raise SourceUnreadable(f"{source} holds no products")
        if new and connection.dialect.name == "postgresql":
            # until PostgreSQL has looked at the rows it sorts them all anew for the first cut
            connection.exec_driver_sql(f"ANALYZE {products.name}, {labels.name}")
    return Loaded(new=new, known=known, late=late, latest=latest)


def _claim(connection: Connection, source: str, *, append: bool) -> None:
    others = [name for name in connection.scalars(select(sources.c.name)) if name != source]
    unnamed = not others and _known(connection, source) is None and _any_product(connection)
    if (others or unnamed) and not append:
        raise ForeignProducts(
            f"the catalogue already holds the products of {', '.join(others) or 'an unnamed source'}, not of {source}: "
            "set DATABASE_URL (and SNAPSHOT_URI) to another catalogue, or append to this one with --append"
        )
    row = upsert(connection, sources).values(name=source, loaded_at=datetime.now(UTC))
    connection.execute(row.on_conflict_do_update(index_elements=["name"], set_={"loaded_at": row.excluded.loaded_at}))


def _joining(batch: pd.DataFrame, created_at: datetime, stock_until: datetime | None) -> tuple[list[datetime], int]:
    """When each row joins, and how many of them say that they are of the first stock, which is complete."""
    if "created_at" not in batch:
        return [aware(created_at)] * len(batch), 0
    said: list[datetime] = batch["created_at"].tolist()
    late = [stock_until is not None and each <= stock_until for each in said]
    # in UTC: where PYARROW_IGNORE_TIMEZONE is set, as some libraries do, Arrow drops a zone
    joining = [aware(created_at if moved else each) for each, moved in zip(said, late, strict=True)]
    return joining, sum(late)


def _known(connection: Connection, source: str) -> str | None:
    return connection.scalar(select(sources.c.name).where(sources.c.name == source))


def _any_product(connection: Connection) -> bool:
    return connection.scalar(select(products.c.productid).limit(1)) is not None


def _sorted_out(connection: Connection, batch: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The batch's rows that are new, and the number of those that are there already."""
    standing = _standing(connection, batch["productid"].tolist())
    if not standing and batch["productid"].is_unique:
        return batch, 0
    there = _existing(connection, standing)
    fresh: list[int] = []
    conflicts: list[str] = []
    for place, row in enumerate(batch[list(COLUMNS)].to_dict("records")):
        seen = there.get(row["productid"])
        if seen is None:
            there[row["productid"]] = row
            fresh.append(place)
        elif seen != row:
            conflicts.append(_difference(seen, row))
    if conflicts:
        raise ProductConflict(
            f"{len(conflicts)} products differ from those of the same id that are already there; nothing was loaded. "
            f"The first: {'; '.join(conflicts[:3])}. Give them ids of their own, mend the file, or correct the "
            "catalogue (`python -m factory relabel`, `update`, `delete`)."
        )
    return batch.iloc[fresh], len(batch) - len(fresh)


def _standing(connection: Connection, ids: list[str]) -> list[str]:
    return list(connection.scalars(select(products.c.productid).where(products.c.productid.in_(ids))))


def _existing(connection: Connection, ids: list[str]) -> dict[str, dict[str, Any]]:
    columns = [labels.c.prdtypecode if name == "prdtypecode" else products.c[name] for name in COLUMNS]
    query = select(*columns).select_from(products.outerjoin(labels)).where(products.c.productid.in_(ids))
    return {row["productid"]: dict(row) for row in connection.execute(query).mappings()}


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    column = next(name for name in COLUMNS if old[name] != new[name])
    return f"{new['productid']!r} has {column} {_short(old[column])} there and {_short(new[column])} here"


def _short(value: str | None) -> str:
    return repr(value if value is None or len(value) <= 40 else f"{value[:40]}…")


def _insert(connection: Connection, batch: pd.DataFrame, source: str, moments: list[datetime]) -> None:
    rows = pa.RecordBatch.from_pandas(batch, schema=_LOADED, preserve_index=False)
    keys = text_keys(rows.column("designation").to_pylist(), rows.column("description").to_pylist())
    cleaning = pa.array([CLEANING] * rows.num_rows)
    rows = rows.append_column("text_key", pa.array(keys)).append_column("text_cleaning", cleaning)
    rows = rows.append_column("created_at", pa.array(moments, _MOMENT))
    rows = rows.append_column("source", pa.array([source] * len(batch), pa.string()))
    of_product = rows.select([*(column.name for column in products.columns if column.name in rows.schema.names)])
    write = _copy if connection.dialect.name == "postgresql" else _insert_many
    write(connection, products.name, of_product)
    labelled = rows.filter(rows.column("prdtypecode").is_valid())
    write(connection, labels.name, labelled.select([column.name for column in labels.columns]))


def _copy(connection: Connection, table: str, rows: pa.RecordBatch) -> None:
    """PostgreSQL's COPY: ten times as fast as INSERT."""
    content = io.BytesIO()
    arrow_csv.write_csv(rows, content, arrow_csv.WriteOptions(include_header=False))
    content.seek(0)
    cursor: Any = connection.connection.cursor()
    cursor.copy_expert(f"COPY {table} ({', '.join(rows.schema.names)}) FROM STDIN (FORMAT csv)", content)


def _insert_many(connection: Connection, table: str, rows: pa.RecordBatch) -> None:
    """SQLite's driver, which takes plain tuples; moments as text, in UTC and without a zone."""
    names = rows.schema.names
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
    plain = (pc.strftime(each, "%Y-%m-%d %H:%M:%S") if each.type == _MOMENT else each for each in rows.columns)
    connection.exec_driver_sql(statement, list(zip(*(each.to_pylist() for each in plain), strict=True)))
