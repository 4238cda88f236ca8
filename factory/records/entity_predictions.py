"""The predictions of a table's entities: appended once each, and read back by windows of data time.

Owns the table `predictions`. What was scored is kept with each, as it stood then: a table's history goes on. Knows
nothing of models or of drift.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

import pandas as pd
from sqlalchemy import Engine, RowMapping, func, select

from factory.catalogue.database import transaction, upsert
from factory.catalogue.entities import read_outcomes
from factory.catalogue.histories import group_keys
from factory.catalogue.schema import predictions
from factory.errors import InferenceLogInvalid
from factory.records.predictions import MOST_ROWS, Window, draw_ids, within
from factory.use_cases import clock_of
from factory.use_cases.sources import Entities

KNOWN = ("prediction_id", "entity_id", "prediction", "score", "model_version", "timestamp")
"""What a window holds of each prediction, beside `label`, `group` and the columns that were scored."""
_WRITE_ROWS = 2_000


def append(engine: Engine, frame: pd.DataFrame, scored: list[str]) -> int:
    """The number of predictions that were not logged yet; one of the same prediction_id is left as it is.

    `frame` holds the table's columns, and those that were `scored`, which become its details. Raises
    InferenceLogInvalid.
    """
    if frame[list(KNOWN)].isna().any(axis=None):
        empty = ", ".join(name for name in KNOWN if frame[name].isna().any())
        raise InferenceLogInvalid(f"the predictions hold empty values in {empty}: score the week again")
    details = json.loads(frame[scored].to_json(orient="records"))
    rows = frame.drop(columns=scored)
    records = [
        {**row, "details": known} for row, known in zip(rows.astype(object).to_dict("records"), details, strict=True)
    ]
    new = 0
    with transaction(engine) as connection:
        insert = upsert(connection, predictions).on_conflict_do_nothing(index_elements=["prediction_id"])
        for start in range(0, len(records), _WRITE_ROWS):
            chunk = records[start : start + _WRITE_ROWS]
            new += len(connection.execute(insert.returning(predictions.c.prediction_id), chunk).all())
    return new


def newest_timestamp(engine: Engine, model: str) -> datetime | None:
    """The data time of the last prediction, in UTC; None when there is none."""
    query = select(func.max(predictions.c.timestamp)).where(predictions.c.model == model)
    with engine.connect() as connection:
        newest: datetime | None = connection.scalar(query)
    return newest


def count_versions(engine: Engine, model: str, until: datetime, days: float) -> Mapping[str, int]:
    """How many predictions of the window each version of the model made."""
    chosen = within(predictions, predictions.c.model == model, until, days)
    query = select(predictions.c.model_version, func.count()).where(*chosen).group_by(predictions.c.model_version)
    with engine.connect() as connection:
        return {str(version): int(count) for version, count in connection.execute(query)}


def read_window(
    engine: Engine,
    source: Entities,
    model: str,
    until: datetime,
    days: float,
    *,
    version: str | None = None,
    labelled: bool = False,
    most_rows: int = MOST_ROWS,
) -> Window:
    """The predictions of the `days` up to and including `until` (data time), of one version of the model or of all.

    Columns: KNOWN, `label` (the outcome where it was known by `until`), `group` and every feature as it was scored. Of
    more than `most_rows` those with the smallest hashes are drawn: a random sample, and the same one every time.
    """
    conditions = within(predictions, predictions.c.model == model, until, days)
    if version is not None:
        conditions.append(predictions.c.model_version == version)
    with engine.connect() as connection:
        ids, total = draw_ids(connection, select(predictions.c.prediction_id).where(*conditions), most_rows)
        rows: list[RowMapping] = []
        for start in range(0, len(ids), _WRITE_ROWS):
            drawn = predictions.c.prediction_id.in_(ids[start : start + _WRITE_ROWS])
            rows += connection.execute(select(predictions).where(drawn)).mappings().all()
        outcomes = read_outcomes(connection, source, until, clock_of(model))
    frame = pd.DataFrame([dict(row) for row in rows], columns=[column.name for column in predictions.columns])
    details = pd.DataFrame([row["details"] for row in rows], columns=[column.name for column in source.logged])
    for column in source.logged:
        kind = float if column.kind == "number" else object
        details[column.name] = details[column.name].astype(kind)
    found = frame[list(KNOWN)].copy()
    found["timestamp"] = pd.to_datetime(found["timestamp"], utc=True)
    found = found.assign(
        score=found["score"].astype(float),
        label=found["entity_id"].map(outcomes).astype(object),
        group=group_keys(found.join(details[[source.group.column]]) if source.group else found, source),
    )
    whole = pd.concat([found, details], axis=1)
    if labelled:
        whole = whole[whole["label"].notna()]
        total = len(whole) if total <= most_rows else round(total * len(whole) / max(len(ids), 1))
    return Window(whole.sort_values(["timestamp", "prediction_id"], kind="stable", ignore_index=True), total)
