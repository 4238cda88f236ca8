"""The rows that the trainings are measured on: simulated products at the published size, or the PriceRunner file.

Owns the sources. They are loaded, cut and read as in any week, so that the split is the product's own. Knows no model.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from factory import use_cases
from factory.catalogue import loading
from factory.catalogue.database import open_catalogue
from factory.settings import read_settings
from factory.snapshots import cutting
from factory.sources import readers, simulation
from factory.sources.readers import ColumnMapping
from flows.adapters.datasets import Sides, read_sides

PRICERUNNER = ColumnMapping(
    id="id",
    text="title",
    label="category",
    group="cluster_id",
    columns=("id", "title", "merchant_id", "cluster_id", "cluster", "category_id", "category"),
)
"""UCI Machine Learning Repository, data set 837: offers without a header, split by product cluster."""


@dataclass(frozen=True)
class Rows:
    """Both sides of the split, with entity_id, text, target and group, and what they are."""

    title: str
    train: pd.DataFrame
    test: pd.DataFrame


def simulated(rows: int) -> Rows:
    """Simulated products with the published class counts."""
    batches = (batch[list(readers.COLUMNS)] for batch in simulation.simulate(simulation.Simulation(rows=rows)))
    return _cut(f"{rows:,} simulated products (not real)", batches)


def pricerunner(path: Path) -> Rows:
    """The offers of the PriceRunner file."""
    return _cut("PriceRunner, split by product cluster", readers.read_file(path, PRICERUNNER))


def _cut(title: str, batches: Iterator[pd.DataFrame]) -> Rows:
    """The whole catalogue as week 1."""
    with tempfile.TemporaryDirectory(prefix="bench-training-") as folder:
        home = Path(folder)
        settings = read_settings(
            {
                "DATABASE_URL": f"sqlite:///{home / 'catalogue.sqlite'}",
                "SNAPSHOT_URI": (home / "snapshots").as_uri(),
                "WEEK_FIRST_SHARE": "1",
            }
        )
        epoch = settings.weeks.epoch
        loading.load(open_catalogue(settings.database_url), batches, source="benchmark", created_at=epoch)
        week = cutting.cut_week(settings, "products", as_of=epoch, week=1)
        sides: Sides = read_sides(settings, week, use_cases.get_model("products"))
        return Rows(title, sides.train, sides.test)
