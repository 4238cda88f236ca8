"""Documents that outlive the code that wrote them: JSON and tables in the catalogue and in MLflow.

Owns how a contract is written down and read again. On the wire between Airflow and Prefect a contract refuses what it
does not know, since both sides run one version; here a field that another version wrote is passed over, and every
document says by which schema it was made. Must not know which documents there are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from factory.errors import DocumentUnreadable

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2
"""Raised by whoever gives a stored field another meaning; a field more needs a default and no new number."""

SCHEMA_FIELD = "schema"

ANSWERS = {"predicted_class": "prediction", "confidence": "score"}
"""What an answer is called, by what it was called before schema 2; the table `inference_log` keeps the older names."""

_ANSWERS_RENAMED = 2

Document = TypeVar("Document", bound=BaseModel)


def dump(document: BaseModel) -> dict[str, Any]:
    """The document as JSON values, with its schema number."""
    return {SCHEMA_FIELD: SCHEMA, **document.model_dump(mode="json")}


def dump_json(document: BaseModel, *, indent: int | None = None) -> str:
    """The document as JSON text, with its schema number."""
    return json.dumps(dump(document), indent=indent)


def load(kind: type[Document], values: Mapping[str, Any]) -> Document:
    """The document, without the fields that this version does not know. Raises DocumentUnreadable."""
    try:
        return kind.model_validate(values, extra="ignore")
    except ValidationError as error:
        first, number = error.errors()[0], values.get(SCHEMA_FIELD, SCHEMA)
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        newer = isinstance(number, int) and number > SCHEMA
        remedy = "install the version that wrote it" if newer else "restore it from a copy"
        raise DocumentUnreadable(
            f"a stored {kind.__name__} cannot be read ({where}: {first['msg']}); it is of schema {number}, this "
            f"version writes {SCHEMA}: {remedy}"
        ) from error


def dump_table(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its schema number, which goes into a Parquet file with it."""
    marked = table.copy()
    marked.attrs[SCHEMA_FIELD] = SCHEMA
    return marked


def load_table(table: pd.DataFrame) -> pd.DataFrame:
    """A table of answers that was read from a file, under the names of today."""
    return table.rename(columns=answers_of(table.attrs))


def answers_of(document: Mapping[Any, Any]) -> Mapping[str, str]:
    """What answers are called today, by what the document calls them; empty where that is the same.

    A document without a number is of before there were any.
    """
    return ANSWERS if document.get(SCHEMA_FIELD, 0) < _ANSWERS_RENAMED else {}


def load_json(kind: type[Document], text: str | bytes) -> Document:
    """As `load`, of JSON text."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise DocumentUnreadable(f"a stored {kind.__name__} is not JSON ({error}): restore it from a copy") from error
    if not isinstance(values, dict):
        raise DocumentUnreadable(f"a stored {kind.__name__} is no JSON object: restore it from a copy")
    return load(kind, values)
