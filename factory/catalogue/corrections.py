"""Correcting the catalogue: labels, texts and products are changed on record, and the next cut sees it.

Owns the table `corrections`. Knows nothing of weeks: a snapshot that stands stays as it was cut.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from factory.catalogue.database import exclusive, upsert
from factory.catalogue.loading import CATALOGUE_LOCK
from factory.catalogue.schema import corrections, labels, products
from factory.errors import ProductUnknown
from factory.sources.readers import NULLS

TEXTS = ("designation", "description", "group_id")
CHUNK = 500
"""Ids in one statement; SQLite takes no more than some thousand values."""

Kind = Literal["relabel", "delete", "update"]


@dataclass(frozen=True, slots=True)
class Correction:
    """One product's change. `before` and `after` hold the columns that changed; `after` is empty for a deletion."""

    productid: str
    kind: Kind
    before: Mapping[str, str | None]
    after: Mapping[str, str | None]
    corrected_at: datetime
    corrected_by: str


def relabel(engine: Engine, ids: Sequence[str], label: str, by: str) -> int:
    """Give the products the label; says how many bore another one, or none.

    Raises ProductUnknown, and ValueError for a label that is empty or spelled as a missing one.
    """
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        return _relabel(connection, _standing(connection, ids), label, by)


def merge_class(engine: Engine, old: str, new: str, by: str) -> int:
    """Give every product of the class `old` the label `new`; says how many.

    Raises ProductUnknown where none has it, and ValueError as `relabel`.
    """
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        ids = list(connection.scalars(select(labels.c.productid).where(labels.c.prdtypecode == old)))
        if not ids:
            raise ProductUnknown(f"no product bears the label {old!r}: see `python -m factory show`")
        return _relabel(connection, _standing(connection, ids), new, by)


def remove(engine: Engine, ids: Sequence[str], by: str) -> int:
    """Delete the products and their labels; says how many. Raises ProductUnknown."""
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        standing = _standing(connection, ids)
        _record(connection, "delete", [(row, _values(row), {}) for row in standing], by)
        for chunk in _chunks([row["productid"] for row in standing]):
            connection.execute(delete(labels).where(labels.c.productid.in_(chunk)))
            connection.execute(delete(products).where(products.c.productid.in_(chunk)))
        return len(standing)


def change(engine: Engine, productid: str, columns: Mapping[str, str | None], by: str) -> bool:
    """Give a product other texts or another group, `columns` by name of TEXTS (blank: none); False where it had them.

    Raises ProductUnknown, and ValueError for another column or an empty designation.
    """
    if unknown := set(columns) - set(TEXTS):
        raise ValueError(f"{', '.join(sorted(unknown))} cannot be changed: {', '.join(TEXTS)} can")
    columns = {name: value if value and value.strip() else None for name, value in columns.items()}
    if columns.get("designation", "") is None:
        raise ValueError("a product's designation cannot be empty")
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        [row] = _standing(connection, [productid])
        changed = {name: value for name, value in columns.items() if row[name] != value}
        if changed:
            _record(connection, "update", [(row, {name: row[name] for name in changed}, changed)], by)
            connection.execute(update(products).where(products.c.productid == productid).values(**changed))
        return bool(changed)


def read_corrections(connection: Connection, limit: int | None = None) -> list[Correction]:
    """What was corrected, the newest first, at most `limit` products."""
    query = select(corrections).order_by(corrections.c.corrected_at.desc(), corrections.c.productid).limit(limit)
    names = Correction.__dataclass_fields__
    return [Correction(**{name: row[name] for name in names}) for row in connection.execute(query).mappings()]


def _relabel(connection: Connection, standing: Sequence[RowMapping], label: str, by: str) -> int:
    label = label.strip()  # as a file's
    if not label:
        raise ValueError("a label cannot be empty: `python -m factory delete` removes a product")
    known = select(labels.c.productid).where(labels.c.prdtypecode == label).limit(1)
    if label.casefold() in map(str.casefold, NULLS) and connection.scalar(known) is None:
        raise ValueError(f"{label!r} stands for a missing label and is no class here: name one")
    changed = [row for row in standing if row["prdtypecode"] != label]
    column = "prdtypecode"
    _record(connection, "relabel", [(row, {column: row[column]}, {column: label}) for row in changed], by)
    for chunk in _chunks([row["productid"] for row in changed]):
        row = upsert(connection, labels).values([{"productid": each, column: label} for each in chunk])
        connection.execute(
            row.on_conflict_do_update(index_elements=["productid"], set_={column: row.excluded.prdtypecode})
        )
    return len(changed)


def _standing(connection: Connection, ids: Sequence[str]) -> list[RowMapping]:
    """The products of the ids, each once; raises ProductUnknown where one is not there, and then nothing was done."""
    wanted = list(dict.fromkeys(ids))
    columns = [products.c.productid, *(products.c[name] for name in TEXTS), labels.c.prdtypecode]
    query = select(*columns).select_from(products.outerjoin(labels))
    found = [
        row
        for chunk in _chunks(wanted)
        for row in connection.execute(query.where(products.c.productid.in_(chunk))).mappings()
    ]
    if missing := set(wanted) - {row["productid"] for row in found}:
        named = ", ".join(repr(each) for each in sorted(missing)[:3])
        raise ProductUnknown(f"{len(missing)} products are not in the catalogue ({named}): nothing was changed")
    return found


def _values(row: RowMapping) -> dict[str, str | None]:
    return {name: row[name] for name in (*TEXTS, "prdtypecode")}


def _record(
    connection: Connection,
    kind: Kind,
    changes: Sequence[tuple[RowMapping, Mapping[str, str | None], Mapping[str, str | None]]],
    by: str,
) -> None:
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = [
        {
            "correction_id": uuid4().hex,
            "productid": row["productid"],
            "kind": kind,
            "before": dict(before),
            "after": dict(after),
            "corrected_at": now,
            "corrected_by": by,
        }
        for row, before, after in changes
    ]
    if rows:
        connection.execute(insert(corrections), rows)


def _chunks(ids: Sequence[str]) -> list[Sequence[str]]:
    return [ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK)]
