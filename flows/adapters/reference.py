"""Rows of a period as a version answers them: what later predictions are compared with, in place of its test set.

Owns which rows these are. Judges nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from factory.contracts import DatasetRef
from factory.errors import WeekUnknown
from factory.settings import Settings
from factory.snapshots import cutting
from factory.snapshots.entity_rows import ARRIVED, MOMENT
from factory.snapshots.store import read_frame
from factory.use_cases.sources import Entities
from factory.use_cases.use_case import Declared
from flows.adapters import datasets, registry
from flows.adapters.registry import Version
from flows.core.entities.base import EntityLogic
from flows.core.logic import logic_of

if TYPE_CHECKING:
    from mlflow import MlflowClient

SEED = 42


@dataclass(frozen=True, slots=True)
class Reference:
    """The drawn rows with the version's answers to them, the snapshot that they stand in, and how many there were."""

    dataset: DatasetRef
    rows: pd.DataFrame
    available: int


def draw_reference(
    settings: Settings, declared: Declared, client: MlflowClient, version: Version, period: int, most_rows: int
) -> Reference:
    """At most so many rows of the period, the same ones every time, as `flows.adapters.windows` compares them.

    Rows of a period are those that came to be in it, where the test set rolls on with the clock, else those that its
    snapshot has and the one before had not. Raises WeekUnknown where the period was not accepted or has no row, and
    ValueError for texts, which are compared with the test set alone.
    """
    logic, clock = logic_of(declared), declared.use_case.clock
    if not isinstance(logic, EntityLogic) or not isinstance(declared.source, Entities):
        raise ValueError(f"{declared.use_case.name} is made of texts: leave reference_period out")
    dataset = cutting.find_week(settings, declared.use_case.name, period)
    if dataset is None:
        raise WeekUnknown(
            f"{clock.words(period)} of {declared.use_case.name} was not accepted yet, so that nothing can be compared "
            f"with it: `python -m factory cut --{clock.noun} {clock.written(period)} --use-case "
            f"{declared.use_case.name}`"
        )
    rows = read_frame(datasets.admit(settings, dataset))
    begin, end = clock.start(period), clock.end(period)
    inside = (rows[MOMENT] >= begin) & (rows[MOMENT] < end) if declared.use_case.rolling else rows[ARRIVED]
    found = rows[inside]
    if found.empty:
        raise WeekUnknown(f"no row of {declared.use_case.name} is of {clock.words(period)}: name another {clock.noun}")
    drawn = found.sample(min(len(found), most_rows), random_state=SEED).sort_index().reset_index(drop=True)
    model = registry.load_model(client, version, settings.data_roots, trusted=logic.trusted)
    return Reference(dataset, logic.reference(drawn, logic.answer(model, drawn)), len(found))
