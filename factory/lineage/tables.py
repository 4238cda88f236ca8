"""Which of the catalogue's tables hold what of a use case."""

from __future__ import annotations

from sqlalchemy import Table

from factory import use_cases
from factory.catalogue.entities import all_tables_of
from factory.catalogue.schema import inference_log, labels, predictions, products
from factory.use_cases.sources import Entities


def rows_of(use_case: str) -> tuple[Table, ...]:
    """Those that a cut reads: the rows, and what becomes known of them."""
    source = use_cases.get(use_case).source
    return all_tables_of(source) if isinstance(source, Entities) else (products, labels)


def predictions_of(use_case: str) -> Table:
    """That of the use case's predictions."""
    return predictions if isinstance(use_cases.get(use_case).source, Entities) else inference_log
