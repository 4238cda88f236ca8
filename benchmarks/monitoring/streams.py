"""Weeks of predictions to look at: a model of the first week predicts what arrives in every later one.

Owns where the products come from: simulated ones, with or without a change of vocabulary, a real file of offers, or the
descriptions of packages that every Debian machine has.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from factory.settings import WeekPlan
from factory.snapshots.weeks import arrival_week
from factory.sources.simulation import Simulation, simulate
from factory.text import group_of, product_text
from flows.core import candidates, models

TEST_SHARE = 0.2
MAX_FEATURES = 5_000
OFFER_COLUMNS = ["productid", "designation", "merchant", "group_id", "cluster", "category", "prdtypecode"]


@dataclass(frozen=True)
class Stream:
    """A model's predictions: on its own test rows, and week by week on what arrived, with the true classes.

    `predict` gives the model's predictions of rows with text, group, source and label.
    """

    name: str
    reference: pd.DataFrame
    weeks: dict[int, pd.DataFrame]
    predict: Callable[[pd.DataFrame], pd.DataFrame]

    def until(self, week: int) -> Stream:
        """The stream without what arrived later."""
        return replace(self, weeks={number: rows for number, rows in self.weeks.items() if number <= week})

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


def offers(path: Path, plan: WeekPlan, group: str = "group_id") -> Stream:
    """A stream of real offers (the CSV of PriceRunner's aggregate), split by product cluster, or by `merchant`.

    Merchants are the sources.
    """
    frame = pd.read_csv(path, header=None, names=OFFER_COLUMNS, dtype=str)
    weeks = [arrival_week(productid, plan) for productid in frame["productid"]]
    texts = product_text(frame["designation"], pd.Series(None, index=frame.index, dtype=object))
    name = f"{path.name}: real offers by {'cluster' if group == 'group_id' else group}"
    return _stream(name, frame.assign(text=texts, group=frame[group], source=frame["merchant"], week=weeks))


def packages(plan: WeekPlan) -> Stream:
    """A stream of the packages that this machine's apt knows: description, section, and split by source package.

    The archive's parts (main, contrib, …) are the sources.
    """
    available = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    entries = [
        dict(line.split(": ", 1) for line in entry.splitlines() if line[:1] != " " and ": " in line)
        for entry in available.split("\n\n")
    ]
    rows = [entry for entry in entries if {"Package", "Description", "Section"} <= entry.keys()]
    frame = pd.DataFrame(
        {
            "productid": [entry["Package"] for entry in rows],
            "text": [entry["Description"] for entry in rows],
            "prdtypecode": [entry["Section"] for entry in rows],
            "group": [entry.get("Source", entry["Package"]).split(" ")[0] for entry in rows],
            "source": [entry.get("Filename", "pool/main").split("/")[1] for entry in rows],
        }
    ).drop_duplicates("productid")
    frame["week"] = [arrival_week(productid, plan) for productid in frame["productid"]]
    return _stream("Debian's packages by source", frame)


def _stream(name: str, products: pd.DataFrame) -> Stream:
    """Products hold text, prdtypecode, group, week and, where they come from several, source."""
    products = products.rename(columns={"prdtypecode": "label"})
    kept = [column for column in ("text", "label", "group", "source") if column in products]
    first, later = products[products["week"] == 1], products[products["week"] > 1]
    groups = np.sort(first["group"].unique())
    held = set(np.random.default_rng(42).choice(groups, int(TEST_SHARE * len(groups)), replace=False))
    test = first["group"].isin(held)
    train = first[~test]
    model = models.fit(train["text"], train["label"], candidates.recipe(MAX_FEATURES, None))

    def predict(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows[kept].reset_index(drop=True)
        return rows.join(models.predict(model, rows["text"])).assign(text_length=rows["text"].str.len())

    weeks: Iterator[tuple[int, pd.DataFrame]] = ((int(week), predict(rows)) for week, rows in later.groupby("week"))
    return Stream(name, predict(first[test]), dict(weeks), predict)
