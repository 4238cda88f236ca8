"""How much the catalogue holds of a use case, whatever its rows are."""

from __future__ import annotations

from sqlalchemy import Connection, func, select

from factory.catalogue.entities import is_empty, tables_of
from factory.catalogue.schema import products
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import UseCase


def count_rows(connection: Connection, use_case: UseCase) -> int:
    """Products, or states of entities."""
    source = use_case.source
    if isinstance(source, Entities):
        if is_empty(connection, source):
            return 0
        rows = connection.scalar(select(func.count()).select_from(tables_of(source)[0]))
    else:
        rows = connection.scalar(select(func.count()).select_from(products))
    return int(rows or 0)
