"""Weeks of predictions to look at: a model of the first week predicts what arrives in every later one.

Owns where the products come from: simulated ones, with or without a change of vocabulary, or a real file of offers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from factory.settings import WeekPlan
from factory.simulation import Simulation, simulate
from factory.text import group_of, product_text
from factory.weeks import arrival_week
from flows.core import candidates, models

TEST_SHARE = 0.2
MAX_FEATURES = 5_000
OFFER_COLUMNS = ["productid", "designation", "merchant", "group_id", "cluster", "category", "prdtypecode"]


@dataclass(frozen=True)
class Stream:
    """A model's predictions: on its own test rows, and week by week on what arrived, with the true classes."""

    name: str
    reference: pd.DataFrame
    weeks: dict[int, pd.DataFrame]

    def before(self, week: int, days: int = 23) -> pd.DataFrame:
        """What was predicted in the `days` before the week: the weeks' predictions bear their Mondays."""
        first = week - days // 7
        earlier = [frame for number, frame in self.weeks.items() if first <= number < week]
        return pd.concat(earlier, ignore_index=True) if earlier else self.reference.iloc[:0]


def simulated(simulation: Simulation, name: str) -> Stream:
    """A stream of simulated products, split by text as the factory splits them."""
    products = pd.concat(simulate(simulation), ignore_index=True)
    texts = product_text(products["designation"], products["description"])
    return _stream(name, products.assign(text=texts, group=texts.map(group_of)))


def offers(path: Path, plan: WeekPlan) -> Stream:
    """A stream of real offers (the CSV of PriceRunner's aggregate), split by product cluster."""
    frame = pd.read_csv(path, header=None, names=OFFER_COLUMNS, dtype=str)
    weeks = [arrival_week(productid, plan) for productid in frame["productid"]]
    texts = product_text(frame["designation"], pd.Series(None, index=frame.index, dtype=object))
    return _stream(f"{path.name}: real offers", frame.assign(text=texts, group=frame["group_id"], week=weeks))


def _stream(name: str, products: pd.DataFrame) -> Stream:
    first = products[products["week"] == 1]
    groups = np.sort(first["group"].unique())
    held = set(np.random.default_rng(42).choice(groups, int(TEST_SHARE * len(groups)), replace=False))
    test = first["group"].isin(held)
    train = first[~test]
    model = models.fit(train["text"], train["prdtypecode"], candidates.recipe(MAX_FEATURES, None))
    later = products[products["week"] > 1]

    def predicted(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.reset_index(drop=True)
        found = models.predict(model, rows["text"])
        return found.assign(text=rows["text"], text_length=rows["text"].str.len(), label=rows["prdtypecode"])

    weeks: Iterator[tuple[int, pd.DataFrame]] = ((int(week), predicted(rows)) for week, rows in later.groupby("week"))
    return Stream(name, predicted(first[test]), dict(weeks))
