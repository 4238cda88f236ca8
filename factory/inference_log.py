"""The inference log: predictions appended once each, and read back by windows of data time.

Owns the table `inference_log` and the file that may stand in its place (INFERENCE_LOG_PATH). Knows nothing of models
or of drift.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

import fsspec
import pandas as pd
from sqlalchemy import Engine, func, select

from factory.catalogue import inference_log, products, upsert
from factory.errors import InferenceLogInvalid
from factory.text import product_text
from factory.weeks import aware

COLUMNS = tuple(column.name for column in inference_log.columns)
FILE_COLUMNS = ("timestamp", "predicted_class", "confidence", "text_length")
"""What a file must hold; the others of COLUMNS and `text` may stand there too."""
_WRITE_ROWS = 5_000


def append(engine: Engine, frame: pd.DataFrame) -> int:
    """The number of predictions that were not logged yet; one of the same prediction_id is left as it is.

    `frame` holds COLUMNS, of which `scored_at` is now where it is missing. Raises InferenceLogInvalid.
    """
    rows = _rows(frame)
    new = 0
    with engine.begin() as connection:
        insert = upsert(connection, inference_log).on_conflict_do_nothing(index_elements=["prediction_id"])
        for start in range(0, len(rows), _WRITE_ROWS):
            chunk = rows[start : start + _WRITE_ROWS]
            new += len(connection.execute(insert.returning(inference_log.c.prediction_id), chunk).all())
    return new


def newest_timestamp(engine: Engine | None, use_case: str, path: str | None = None) -> datetime | None:
    """The data time of the last prediction, in UTC; None when there is none. Raises InferenceLogInvalid."""
    if path is not None:
        stamps = _read_file(path, use_case)["timestamp"]
        return None if stamps.empty else aware(stamps.max().to_pydatetime())
    query = select(func.max(inference_log.c.timestamp)).where(inference_log.c.use_case == use_case)
    with _required(engine).connect() as connection:
        newest: datetime | None = connection.scalar(query)
    return newest


def read_window(
    engine: Engine | None, use_case: str, until: datetime, days: float, path: str | None = None
) -> pd.DataFrame:
    """The predictions of the `days` up to and including `until` (data time), oldest first.

    Columns: those of the table and `text`, the product's text as the models see it. With `path` (CSV or Parquet,
    any fsspec address) the file's own columns instead, at least FILE_COLUMNS. Raises InferenceLogInvalid.
    """
    until = aware(until)
    since = until - timedelta(days=days)
    if path is not None:
        frame = _read_file(path, use_case)
        inside = (frame["timestamp"] > since) & (frame["timestamp"] <= until)
        return frame[inside].sort_values("timestamp", kind="stable").reset_index(drop=True)
    log = inference_log.c
    query = (
        select(inference_log, products.c.designation, products.c.description)
        .select_from(inference_log.outerjoin(products, products.c.productid == log.productid))
        .where(log.use_case == use_case, log.timestamp > since, log.timestamp <= until)
        .order_by(log.timestamp, log.prediction_id)
    )
    with _required(engine).connect() as connection:
        result = connection.execute(query)
        frame = pd.DataFrame(result.mappings().all(), columns=list(result.keys()))
    frame["text"] = product_text(frame["designation"], frame["description"])
    return _typed(frame.drop(columns=["designation", "description"]), "the inference log")


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    if "scored_at" not in frame.columns:
        frame = frame.assign(scored_at=datetime.now(UTC))
    _require(frame, COLUMNS, "the predictions")
    rows = _typed(frame[list(COLUMNS)], "the predictions")
    if rows.drop(columns="productid").isna().any(axis=None):
        empty = ", ".join(rows.columns[rows.isna().any()])
        raise InferenceLogInvalid(f"the predictions hold empty values in {empty}: score the products again")
    rows = rows.astype({"timestamp": object, "scored_at": object, "text_length": int})
    productid = rows["productid"].astype(object)
    rows["productid"] = productid.where(productid.notna(), None)
    return [{**row, "text_length": int(row["text_length"])} for row in rows.to_dict("records")]


def _read_file(path: str, use_case: str) -> pd.DataFrame:
    try:
        with fsspec.open(path, "rb", compression="infer") as file:
            parquet = PurePosixPath(path).suffix in (".parquet", ".pq")
            frame = pd.read_parquet(file) if parquet else pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, ValueError, ImportError) as error:
        raise InferenceLogInvalid(
            f"{path} cannot be read as an inference log (CSV or Parquet): {error}. Look at INFERENCE_LOG_PATH."
        ) from error
    _require(frame, FILE_COLUMNS, path)
    if "use_case" in frame.columns:
        frame = frame[frame["use_case"] == use_case]
    return _typed(frame.reset_index(drop=True), path)


def _typed(frame: pd.DataFrame, origin: str) -> pd.DataFrame:
    typed = frame.copy()
    try:
        for column in {"timestamp", "scored_at"} & set(typed.columns):
            typed[column] = pd.to_datetime(typed[column], utc=True, format="ISO8601").astype("datetime64[us, UTC]")
        for column in {"confidence", "text_length"} & set(typed.columns):
            typed[column] = pd.to_numeric(typed[column])
    except (ValueError, TypeError) as error:
        raise InferenceLogInvalid(f"{origin} hold a value in {column!r} that cannot be used: {error}") from error
    typed["predicted_class"] = typed["predicted_class"].astype("str")
    return typed


def _require(frame: pd.DataFrame, columns: tuple[str, ...], origin: str) -> None:
    if missing := [name for name in columns if name not in frame.columns]:
        raise InferenceLogInvalid(f"{origin} lack the columns {', '.join(missing)}")


def _required(engine: Engine | None) -> Engine:
    if engine is None:
        raise InferenceLogInvalid("there is neither a catalogue nor a file to read predictions from")
    return engine
