"""The inference log: predictions appended once each, and read back by windows of data time.

Owns the table `inference_log`, and what of a window is drawn where it holds more rows than anybody needs. A file may
stand in the table's place (`factory.records.predictions_file`). Knows nothing of models or of drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import ColumnElement, Connection, Engine, Select, Table, func, select

from factory.catalogue.database import transaction, upsert
from factory.catalogue.schema import inference_log, labels, products
from factory.errors import InferenceLogInvalid
from factory.grouping.keys import key_of
from factory.records.predictions_file import FILE_COLUMNS, read_pieces, require, typed
from factory.records.stored import ANSWERS
from factory.snapshots.weeks import aware
from factory.text import product_text

SCORED = ("text", "group_key", "source")
"""What was scored, as it stood then; unknown in logs of before it was kept, and where a caller does not say it."""
COLUMNS = tuple(column.name for column in inference_log.columns if column.name not in SCORED)
MOST_ROWS = 20_000
"""At most so many rows of a window are read: a share in them is within 0.7 points of the window's, 19 times in 20."""
_LOGGED = {"entity_id": "productid", **{today: logged for logged, today in ANSWERS.items()}}
"""The log's own names, which whoever reads the table knows, by those of today."""
_WRITE_ROWS = 5_000
_STREAM_ROWS = 50_000
_HASH_KEY = "inference-log/01"  # sixteen characters, as pandas wants them; another key draws another sample

__all__ = [
    "COLUMNS",
    "FILE_COLUMNS",
    "MOST_ROWS",
    "SCORED",
    "Window",
    "add_groups",
    "append",
    "count_versions",
    "draw_ids",
    "merge_samples",
    "newest_timestamp",
    "read_window",
    "within",
]


@dataclass(frozen=True, slots=True)
class Window:
    """Predictions of a span of data time, oldest first: those that were drawn, and how many there are in `total`."""

    rows: pd.DataFrame
    total: int


def append(engine: Engine, frame: pd.DataFrame) -> int:
    """The number of predictions that were not logged yet; one of the same prediction_id is left as it is.

    `frame` holds COLUMNS, of which `scored_at` is now where it is missing and `productid` may be named `entity_id`, the
    answer `prediction` and `score`, and may hold SCORED. Raises InferenceLogInvalid.
    """
    rows = _checked(frame.rename(columns=_LOGGED))
    new = 0
    with transaction(engine) as connection:
        insert = upsert(connection, inference_log).on_conflict_do_nothing(index_elements=["prediction_id"])
        for start in range(0, len(rows), _WRITE_ROWS):
            chunk = _records(rows.iloc[start : start + _WRITE_ROWS])
            new += len(connection.execute(insert.returning(inference_log.c.prediction_id), chunk).all())
    return new


def newest_timestamp(engine: Engine | None, use_case: str, path: str | None = None) -> datetime | None:
    """The data time of the last prediction, in UTC; None when there is none. Raises InferenceLogInvalid."""
    if path is not None:
        pieces = read_pieces(path, use_case, ("timestamp", "use_case"))
        stamps = [piece["timestamp"].max() for piece in pieces if len(piece)]
        return aware(max(stamps).to_pydatetime()) if stamps else None
    query = select(func.max(inference_log.c.timestamp)).where(inference_log.c.use_case == use_case)
    with _required(engine).connect() as connection:
        newest: datetime | None = connection.scalar(query)
    return newest


def count_versions(
    engine: Engine | None, use_case: str, until: datetime, days: float, path: str | None = None
) -> Mapping[str, int]:
    """How many predictions of the window each model version made; those that name none stand under "".

    Raises InferenceLogInvalid.
    """
    if path is not None:
        counts: Counter[str] = Counter()
        for piece in read_pieces(path, use_case, ("timestamp", "use_case", "model_version")):
            counts.update(_versions(piece[_inside(piece, until, days)]).value_counts().to_dict())
        return counts
    log = inference_log.c
    query = (
        select(log.model_version, func.count())
        .where(*within(inference_log, inference_log.c.use_case == use_case, until, days))
        .group_by(log.model_version)
    )
    with _required(engine).connect() as connection:
        return {str(version): int(count) for version, count in connection.execute(query)}


def read_window(
    engine: Engine | None,
    use_case: str,
    until: datetime,
    days: float,
    path: str | None = None,
    *,
    version: str | None = None,
    labelled: bool = False,
    most_rows: int = MOST_ROWS,
) -> Window:
    """The predictions of the `days` up to and including `until` (data time), of one model version or of all.

    Columns: COLUMNS, of which the answer is named `prediction` and `score`, `text` as it was scored (of a log of before
    it was kept, the product's of today, as the models see it), `source` where it was logged, and `label`, its true
    class where it is known by now; `labelled` asks for those alone that have one. With `path` (CSV or Parquet, any
    fsspec address) the file's own columns instead, at least FILE_COLUMNS, of which the same holds; its rows that name
    no version count as any version's. Of more than `most_rows` predictions those with the smallest hashes are drawn: a
    random sample, and the same one every time. Raises InferenceLogInvalid.
    """
    if path is not None:
        asked = _Asked(until, days, version, labelled)
        return _draw_from_file(path, use_case, asked, most_rows)
    conditions = within(inference_log, inference_log.c.use_case == use_case, until, days)
    if version is not None:
        conditions.append(inference_log.c.model_version == version)
    if labelled:
        conditions.append(
            inference_log.c.productid.in_(select(labels.c.productid).where(labels.c.prdtypecode.is_not(None)))
        )
    ids = select(inference_log.c.prediction_id).where(*conditions)
    with _required(engine).connect() as connection:
        counted = select(func.count()).select_from(ids.limit(most_rows + 1).subquery())
        total = connection.scalar(counted) or 0
        if total <= most_rows:
            parts = [_read(connection, _rows_query().where(*conditions))]
        else:
            drawn, total = draw_ids(connection, ids, most_rows)
            chunks = [drawn[start : start + _WRITE_ROWS] for start in range(0, len(drawn), _WRITE_ROWS)]
            chosen = inference_log.c.prediction_id
            parts = [_read(connection, _rows_query().where(chosen.in_(chunk))) for chunk in chunks]
    frame = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    unknown = frame["text"].isna()
    frame["text"] = frame["text"].astype(object)
    frame.loc[unknown, "text"] = product_text(frame["designation"][unknown], frame["description"][unknown])
    frame["label"] = frame.pop("prdtypecode")
    frame = frame.sort_values(["timestamp", "prediction_id"], kind="stable", ignore_index=True)
    found = typed(frame.drop(columns=["designation", "description"]), "the inference log")
    return Window(found.rename(columns=ANSWERS), total)


def add_groups(engine: Engine, window: Window) -> Window:
    """The window with `group`: the key that was scored with, else that of the product's group, None without either."""
    ids = window.rows["prediction_id"].tolist()
    log, known = inference_log.c, dict[str, int | None]()
    told = inference_log.outerjoin(products, products.c.productid == log.productid)
    with engine.connect() as connection:
        for start in range(0, len(ids), _WRITE_ROWS):
            query = select(log.prediction_id, log.group_key, products.c.group_id).select_from(told)
            for name, key, group in connection.execute(
                query.where(log.prediction_id.in_(ids[start : start + _WRITE_ROWS]))
            ):
                known[name] = key_of(group) if key is None and group is not None else key
    found = pd.Series([known.get(name) for name in ids], window.rows.index, dtype="object")
    return Window(window.rows.assign(group=found), window.total)


def merge_samples(*windows: Window) -> Window:
    """One random sample of windows of the table that share no row: every row of theirs is as likely to be in it.

    Of each window the rows with the smallest hashes are kept, at the rate of the one that was drawn most thinly.
    """
    rate = min((len(window.rows) / window.total for window in windows if window.total), default=1.0)
    parts = []
    for window in windows:
        order = np.argsort(_hashes(window.rows["prediction_id"].to_numpy(dtype=object)), kind="stable")
        parts.append(window.rows.iloc[np.sort(order[: round(rate * window.total)])])
    return Window(pd.concat(parts, ignore_index=True), sum(window.total for window in windows))


def within(table: Table, whose: ColumnElement[bool], until: datetime, days: float) -> list[Any]:
    """What the rows of a log's window meet; `whose` tells whose predictions are meant."""
    log, until = table.c, aware(until)
    return [whose, log.timestamp > until - timedelta(days=days), log.timestamp <= until]


def _rows_query() -> Select[Any]:
    told = inference_log.outerjoin(products, products.c.productid == inference_log.c.productid)
    told = told.outerjoin(labels, labels.c.productid == inference_log.c.productid)
    logged = [inference_log.c[name] for name in (*COLUMNS, "text", "source")]
    columns = (*logged, products.c.designation, products.c.description, labels.c.prdtypecode)
    return select(*columns).select_from(told)


def _read(connection: Connection, query: Select[Any]) -> pd.DataFrame:
    result = connection.execute(query)
    return pd.DataFrame(result.mappings().all(), columns=list(result.keys()))


def draw_ids(connection: Connection, query: Select[Any], most: int) -> tuple[list[str], int]:
    """The ids with the smallest hashes, in memory that does not grow with the table, and how many there are."""
    kept, hashes, total = np.empty(0, dtype=object), np.empty(0, dtype=np.uint64), 0
    result = connection.execution_options(yield_per=_STREAM_ROWS).execute(query)
    for part in result.scalars().partitions():
        ids = np.array(part, dtype=object)
        total += len(ids)
        kept, hashes = np.concatenate([kept, ids]), np.concatenate([hashes, _hashes(ids)])
        if len(kept) > most:
            smallest = np.argpartition(hashes, most)[:most]
            kept, hashes = kept[smallest], hashes[smallest]
    return sorted(kept.tolist()), total


@dataclass(frozen=True, slots=True)
class _Asked:
    """Which rows of a file are asked for."""

    until: datetime
    days: float
    version: str | None
    labelled: bool

    def of(self, piece: pd.DataFrame) -> pd.DataFrame:
        mine = piece[_inside(piece, self.until, self.days)]
        if self.version is not None:
            mine = mine[_versions(mine).isin([self.version, ""])]
        if self.labelled:
            mine = mine[mine["label"].fillna("") != ""] if "label" in mine.columns else mine.iloc[:0]
        return mine


def _draw_from_file(path: str, use_case: str, asked: _Asked, most: int) -> Window:
    total, kept, hashes = 0, [], np.empty(0, dtype=np.uint64)
    for piece in read_pieces(path, use_case):
        mine = asked.of(piece)
        total += len(mine)
        names = mine["prediction_id"] if "prediction_id" in mine.columns else mine.index.to_series()
        kept.append(mine)
        hashes = np.concatenate([hashes, _hashes(names.astype(str).to_numpy(dtype=object))])
        if len(hashes) > most + _STREAM_ROWS:
            kept, hashes = _smallest(kept, hashes, most)
    if len(hashes) > most:
        kept, hashes = _smallest(kept, hashes, most)
    frame = pd.concat(kept) if kept else pd.DataFrame(columns=list(FILE_COLUMNS))
    frame = frame.drop(columns=list(ANSWERS.values()), errors="ignore").rename(columns=ANSWERS)
    return Window(frame.sort_index().sort_values("timestamp", kind="stable", ignore_index=True), total)


def _smallest(
    frames: list[pd.DataFrame], hashes: np.ndarray[Any, Any], most: int
) -> tuple[list[pd.DataFrame], np.ndarray[Any, Any]]:
    chosen = np.argpartition(hashes, most)[:most]
    return [pd.concat(frames).iloc[chosen]], hashes[chosen]


def _inside(frame: pd.DataFrame, until: datetime, days: float) -> pd.Series:
    until = aware(until)
    return (frame["timestamp"] > until - timedelta(days=days)) & (frame["timestamp"] <= until)


def _versions(frame: pd.DataFrame) -> pd.Series:
    """The model version of each row, "" where none is named."""
    if "model_version" not in frame.columns:
        return pd.Series("", index=frame.index, dtype="str")
    return frame["model_version"].fillna("").astype("str")


def _hashes(names: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    hashes: np.ndarray[Any, Any] = pd.util.hash_array(names, hash_key=_HASH_KEY, categorize=False)
    return hashes


def _checked(frame: pd.DataFrame) -> pd.DataFrame:
    if "scored_at" not in frame.columns:
        frame = frame.assign(scored_at=datetime.now(UTC))
    require(frame.columns, COLUMNS, "the predictions")
    rows = typed(frame[list(COLUMNS)], "the predictions")
    needed = rows.drop(columns="productid")
    if needed.isna().any(axis=None):
        empty = ", ".join(needed.columns[needed.isna().any()])
        raise InferenceLogInvalid(f"the predictions hold empty values in {empty}: score the products again")
    return rows.assign(**{name: frame[name] if name in frame.columns else None for name in SCORED})


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    rows = rows.astype({"timestamp": object, "scored_at": object, "text_length": int})
    for name in ("productid", *SCORED):
        values = rows[name].astype(object)
        rows[name] = values.where(values.notna(), None)
    records: list[dict[str, Any]] = rows.to_dict("records")
    for row in records:
        row["text_length"], key = int(row["text_length"]), row["group_key"]
        row["group_key"] = None if key is None else int(key)
    return records


def _required(engine: Engine | None) -> Engine:
    if engine is None:
        raise InferenceLogInvalid("there is neither a catalogue nor a file to read predictions from")
    return engine
