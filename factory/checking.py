"""Checking a week before anything is trained on it: a bad week stops here.

Owns what makes a week bad and records the verdict. Knows nothing of models; how alike two texts may be is the
training's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd
import pyarrow as pa

from factory import ledger, use_cases
from factory.catalogue import exclusive, open_catalogue
from factory.contracts import DatasetRef
from factory.cutting import TEST_SCHEMA, WEEK_SCHEMA
from factory.errors import SnapshotCorrupt, WeekRejected, WeekUnknown
from factory.loading import CATALOGUE_LOCK
from factory.settings import Settings
from factory.snapshots import read_frame

SIDES = frozenset({"train", "test", "held_out"})
_NEVER_NULL = ("productid", "designation", "created_at", "prdtypecode", "group", "side", "arrived")


def check_week(settings: Settings, dataset: DatasetRef, *, overrule: bool = False) -> DatasetRef:
    """The same dataset, once its week is recorded as accepted; one that was accepted before is not looked at again.

    `overrule` accepts what a person has judged to be meant: new, vanished or small classes and a week that shrank.
    Raises WeekRejected with every finding, after recording it; WeekUnknown; SnapshotCorrupt.
    """
    engine = open_catalogue(settings.database_url)
    name = ledger.batch_name(dataset.use_case, dataset.week, dataset.revision)
    with engine.connect() as connection:
        entries = ledger.read_entries(connection, dataset.use_case)
    entry = next((entry for entry in entries if entry.batch_name == name), None)
    if entry is None or entry.dataset is None or entry.dataset.sha256 != dataset.sha256:
        raise WeekUnknown(f"the catalogue did not cut {name} with checksum {dataset.sha256[:12]}…: cut the week again")
    if entry.status == "accepted":
        return dataset
    before = ledger.newest([other for other in entries if other.week < dataset.week], "accepted")
    broken, doubtful = find_faults(dataset, before)
    rejected = bool(broken or (doubtful and not overrule))
    with exclusive(engine, CATALOGUE_LOCK) as connection:
        ledger.record_verdict(connection, dataset, "rejected" if rejected else "accepted", [*broken, *doubtful])
    if rejected:
        raise WeekRejected(name, [*broken, *doubtful])
    return dataset


def find_faults(dataset: DatasetRef, before: DatasetRef | None) -> tuple[list[str], list[str]]:
    """What is wrong with the week: what nobody can accept, and what a person may overrule. One sentence a finding.

    `before` is the newest accepted week before this one. Raises SnapshotCorrupt.
    """
    week, test = read_frame(dataset), read_frame(dataset.test)
    broken = [*_schema(week, WEEK_SCHEMA, "the week"), *_schema(test, TEST_SCHEMA, "the test set")]
    if broken:
        return broken, []
    if len(week) != dataset.rows:
        raise SnapshotCorrupt(f"{dataset.uri} holds {len(week)} rows, {dataset.rows} were recorded: cut the week again")
    earlier = read_frame(before, ["productid", "prdtypecode"]) if before else None
    broken = [*_nulls(week), *_duplicates(week), *_sides(week, test), *_leaks(week, test)]
    doubtful = [*_classes(week, test, earlier), *_small_classes(week, dataset.use_case), *_shrunk(week, earlier)]
    return broken, doubtful


def _schema(frame: pd.DataFrame, schema: pa.Schema, what: str) -> Iterator[str]:
    if list(frame.columns) != schema.names:
        yield f"{what} has the columns {', '.join(frame.columns)} instead of {', '.join(schema.names)}"


def _nulls(week: pd.DataFrame) -> Iterator[str]:
    for column in _NEVER_NULL:
        if rows := int(week[column].isna().sum()):
            yield f"{rows} rows have no {column} (such as {_some(week.loc[week[column].isna(), 'productid'])})"


def _duplicates(week: pd.DataFrame) -> Iterator[str]:
    twice = week.loc[week["productid"].duplicated(), "productid"]
    if len(twice):
        yield f"{len(twice)} products stand there twice (such as {_some(twice)})"


def _sides(week: pd.DataFrame, test: pd.DataFrame) -> Iterator[str]:
    if unknown := set(week["side"].dropna()) - SIDES:
        yield f"unknown sides of the split: {_some(unknown)}"
    if test.empty:
        yield "the frozen test set is empty: the catalogue is too small to be split"
    if not (week["side"] == "train").any():
        yield "no row may be trained on"


def _leaks(week: pd.DataFrame, test: pd.DataFrame) -> Iterator[str]:
    train = week[week["side"] == "train"]
    for what, ours, theirs in (
        ("products", train["productid"], test["productid"]),
        ("groups", train["group"], test["group"]),
        ("texts", train["text_key"], test["text_key"]),
    ):
        if shared := (set(ours.dropna()) & set(theirs.dropna())) - {""}:
            yield f"{len(shared)} {what} stand on both sides, to train on and in the test set (such as {_some(shared)})"


def _classes(week: pd.DataFrame, test: pd.DataFrame, earlier: pd.DataFrame | None) -> Iterator[str]:
    if earlier is None:
        return
    here, there = set(week["prdtypecode"].dropna()), set(earlier["prdtypecode"].dropna())
    if unknown := here - there - set(test["prdtypecode"].dropna()):
        yield f"{len(unknown)} classes were never seen before: {_some(unknown)}"
    if vanished := there - here:
        yield f"{len(vanished)} classes of the week before have vanished: {_some(vanished)}"


def _small_classes(week: pd.DataFrame, use_case: str) -> Iterator[str]:
    least = use_cases.get(use_case).min_class_rows
    train = week.loc[week["side"] == "train", "prdtypecode"]
    counts = train.value_counts().reindex(sorted(week["prdtypecode"].dropna().unique()), fill_value=0)
    if len(small := counts[counts < least]):
        listed = ", ".join(f"{name!r} ({rows})" for name, rows in small.head(5).items())
        yield f"{len(small)} classes have fewer than {least} rows to train on: {listed}"


def _shrunk(week: pd.DataFrame, earlier: pd.DataFrame | None) -> Iterator[str]:
    if earlier is None:
        return
    gone = set(earlier["productid"]) - set(week["productid"])
    if gone:
        yield f"{len(gone)} products of the week before are gone (such as {_some(gone)}), {len(week)} rows are left"


def _some(values: Iterable[object]) -> str:
    texts = sorted({str(value) for value in values})
    return ", ".join(repr(text[:60]) for text in texts[:3])
