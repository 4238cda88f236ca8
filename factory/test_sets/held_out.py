"""What is kept from every training, and what a frozen test set's file holds of it.

Owns the rule by which rows are held out. Knows nothing of weeks: the first set is written by
`factory.snapshots.cutting`, every later one by `factory.test_sets.freezing`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from factory.grouping.keys import Keys
from factory.settings import Settings, WeekPlan
from factory.snapshots.known_rows import Frozen
from factory.snapshots.names import OF_TABLES
from factory.snapshots.weeks import on_test_side

TEXTS = [("entity_id", pa.string()), ("designation", pa.string()), ("description", pa.string())]
KEYS = [("text_key", pa.int64()), ("group", pa.int64())]
TEST_SCHEMA = pa.schema([*TEXTS, ("target", pa.string()), *KEYS])


def snapshot_folder(settings: Settings, use_case: str) -> str:
    """The URI below which the use case's weeks and test sets lie."""
    return f"{settings.snapshot_uri.rstrip('/')}/{use_case}"


def held_out(texts: Keys, groups: Keys, frozen: Frozen, plan: WeekPlan) -> np.ndarray:
    """Which rows are not trained on, by the keys of their texts and groups.

    Groups that stay apart may share a text or have near ones, and a plan may change after a set was frozen: so `frozen`
    are the keys of its rows and of what is near them (`JoinedGroups.beside`).
    """
    held: np.ndarray = frozen.groups.among(groups) | frozen.texts.among(texts)
    held |= on_test_side(groups, seed=plan.seed, test_share=plan.test_share)
    return held


def shaped(batch: pa.RecordBatch, made: dict[str, Any], schema: pa.Schema) -> pa.RecordBatch:
    """The schema's columns, those that were `made` and else the batch's own, which is of the catalogue's tables."""
    columns = [made[name] if name in made else batch.column(OF_TABLES.get(name, name)) for name in schema.names]
    return pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=schema)
