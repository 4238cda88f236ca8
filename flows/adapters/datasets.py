"""Which snapshot a run works on, and its rows as the models want them.

Owns the order in which a dataset is looked for. Cutting, checking and reading belong to `factory`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from factory import checking, cutting, quality, weeks
from factory.contracts import DatasetRef, FileRef
from factory.settings import Settings
from factory.snapshots import read_frame
from factory.text import product_text

if TYPE_CHECKING:
    from mlflow import MlflowClient

TEST_COLUMNS = ("productid", "designation", "description", "prdtypecode", "group")


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows to train on and the frozen test set: productid, text, prdtypecode, group and described."""

    train: pd.DataFrame
    test: pd.DataFrame


def find_dataset(
    settings: Settings, client: MlflowClient, use_case: str, week: int, *, dataset_run_id: str | None = None
) -> DatasetRef:
    """The dataset that an MLflow run logged, else the week's accepted snapshot, else the week cut and checked now."""
    if dataset_run_id is not None:
        from flows.adapters.runs import read_dataset

        return read_dataset(client, dataset_run_id)
    return find_week(settings, use_case, week)


def find_week(settings: Settings, use_case: str, week: int) -> DatasetRef:
    """The week's accepted snapshot, cut and checked now where there is none."""
    if found := cutting.find_week(settings, use_case, week):
        return found
    as_of = weeks.start_of(week, settings.weeks.epoch)
    return checking.check_week(settings, cutting.cut_week(settings, use_case, as_of=as_of, week=week))


def read_sides(dataset: DatasetRef) -> Sides:
    """Training rows and frozen test set; checksums are verified. Rows without a label are of no use to either."""
    rows = read_frame(dataset, columns=[*TEST_COLUMNS, "side"])
    return Sides(train=_labelled(rows[rows["side"] == "train"]), test=read_test(dataset.test))


def read_test(test: FileRef) -> pd.DataFrame:
    """The frozen test set: productid, text, prdtypecode, group and described (whether there is a description)."""
    return _labelled(read_frame(test, columns=TEST_COLUMNS))


def read_arrivals(dataset: DatasetRef) -> pd.DataFrame:
    """The products that are new in this week: productid and text."""
    rows = read_frame(dataset, columns=["productid", "designation", "description", "arrived"])
    new = rows[rows["arrived"]].reset_index(drop=True)
    return new.assign(text=product_text(new["designation"], new["description"]))[["productid", "text"]]


def read_quality(dataset: DatasetRef) -> dict[str, bytes]:
    """The data-quality report of the week by file name (quality.html, quality.json); empty when none was written."""
    return quality.read_report(dataset)


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    known = rows[rows["prdtypecode"].notna()].reset_index(drop=True)
    texts = known.assign(
        text=product_text(known["designation"], known["description"]),
        described=known["description"].fillna("").str.strip() != "",
    )
    return texts[["productid", "text", "prdtypecode", "group", "described"]].astype({"prdtypecode": str})
