"""Inspecting a week of entities: what its source declares of the columns, and what holds among rows.

Owns how declared rules become findings. What stands in single columns is checked by pandera. Reads the whole week: a
table of entities is held in memory by whoever cuts it, too. Knows nothing of the catalogue or of verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from factory import use_cases
from factory.contracts import DatasetRef
from factory.quality.findings import Fault, Offenders, Severity, some
from factory.snapshots.entity_rows import ARRIVED, ENTITY_ID, GROUP, MOMENT, SIDE, TARGET, test_schema, week_schema
from factory.snapshots.store import read_frame
from factory.use_cases.columns import NO, YES, Column, Product
from factory.use_cases.sources import Entities, Series
from factory.use_cases.tasks import Binary, Regression, Task
from factory.use_cases.use_case import UseCase

SIDES = ("train", "test", "held_out")
NEVER_NULL = (ENTITY_ID, MOMENT, GROUP, SIDE, ARRIVED)


@dataclass(frozen=True, slots=True)
class EntityProfile:
    """What a week is like: its rows, those of each class, and the share of missing values (0 to 1) by column."""

    rows: int
    classes: dict[str, int]
    missing: Mapping[str, float]

    def facts(self) -> list[tuple[str, str]]:
        """What a person reads of it, beside the classes."""
        lacking = [(f"{name} missing", f"{share:.1%}") for name, share in self.missing.items() if 0 < share < 1]
        absent = ", ".join(name for name, share in self.missing.items() if share == 1)
        return [*lacking, *([("Columns without a value", absent)] if absent else [])]


def find_entity_faults(dataset: DatasetRef, before: DatasetRef | None) -> tuple[list[Fault], EntityProfile]:
    """Everything that is wrong with the rows, and what they are like; raises SnapshotCorrupt."""
    use_case = use_cases.get(dataset.use_case)
    source, rows = use_case.entities, read_frame(dataset)
    earlier = read_frame(before, [TARGET])[TARGET] if before else None
    faults = [
        *_columns(rows, source),
        *_order(rows),
        *(_outcomes(rows, use_case, earlier) if source.has_outcomes else ()),
        *(fault for rule in source.rules for fault in _rule(rows, rule)),
        *_sides(rows, dataset),
        *(_gaps(rows, source, dataset.as_of) if isinstance(source, Series) else ()),
    ]
    told = rows[TARGET].value_counts().sort_index() if _of_classes(use_case) else pd.Series(dtype=int)
    counts = {str(name): int(count) for name, count in told.items()}
    missing = {column.name: float(rows[column.name].isna().mean()) for column in source.columns}
    return faults, EntityProfile(len(rows), counts, missing)


def schemas(use_case: UseCase) -> tuple[pa.Schema, pa.Schema]:
    """What a week and its test set have to hold."""
    return week_schema(use_case.entities), test_schema(use_case.entities)


def _columns(rows: pd.DataFrame, source: Entities) -> Iterator[Fault]:
    """Missing values and values beyond what is declared, a finding a column and rule."""
    import pandera.pandas as pandera
    from pandera.errors import SchemaErrors

    rules = {name: pandera.Column(nullable=False) for name in NEVER_NULL}
    rules[SIDE] = pandera.Column(nullable=False, checks=pandera.Check.isin(SIDES, error="sides"))
    for column in source.columns:
        rules[column.name] = pandera.Column(nullable=column.nullable, checks=list(_checks(column)))
    try:
        pandera.DataFrameSchema(rules).validate(rows, lazy=True)
    except SchemaErrors as error:
        for (column, check), cases in error.failure_cases.groupby(["column", "check"]):
            mask = np.zeros(len(rows), dtype=bool)
            mask[cases["index"].astype(int)] = True
            found, said = _offenders(rows, mask, column), some(cases["failure_case"])
            if check == "not_nullable":
                sentence = f"{found.rows:,} rows have no {column} (such as {found.named()})"
            else:
                sentence = f"{found.rows:,} rows have {column} {check}: {said} (such as {found.named()})"
            yield Fault(f"{column}: {check}", sentence, "broken", found)


def _checks(column: Column) -> Iterator[Any]:
    import pandera.pandas as pandera

    if column.least is not None:
        yield pandera.Check.ge(column.least, error=f"below {column.least:g}")
    if column.most is not None:
        yield pandera.Check.le(column.most, error=f"above {column.most:g}")
    if column.values:
        yield pandera.Check.isin(column.values, error=f"other than {', '.join(column.values)}")


def _order(rows: pd.DataFrame) -> Iterator[Fault]:
    """Ids ascend strictly: none stands there twice, and weeks can be compared in passing."""
    twice = rows[ENTITY_ID].duplicated(keep=False).to_numpy()
    if twice.any():
        found = _offenders(rows, twice)
        yield Fault(
            "twice", f"{found.rows:,} rows share their id with another (such as {found.named()})", "broken", found
        )
    ids = [name.encode() for name in rows[ENTITY_ID].fillna("")]
    astray = np.array([now < then for now, then in zip(ids, [b"", *ids[:-1]], strict=True)], dtype=bool)
    if astray.any():
        found = _offenders(rows, astray)
        yield Fault("order", f"{found.rows:,} rows do not follow the order of ids: cut them again", "broken", found)


def _outcomes(rows: pd.DataFrame, use_case: UseCase, earlier: pd.Series | None) -> Iterator[Fault]:
    """Outcomes of another kind, too few to learn from, or lost since the week before."""
    target = rows[TARGET]
    for task in _tasks(use_case):
        if wanted := _strange(target, task):
            other, what = wanted
            found = _offenders(rows, other)
            said = f"{found.rows:,} outcomes are {what}: {some(target[other])}"
            yield Fault("outcomes", f"{said} (such as {found.named()})", "broken", found)
    without = (rows[SIDE].isin(["train", "test"]) & target.isna()).to_numpy()
    if without.any():
        found = _offenders(rows, without)
        yield Fault(
            "no outcome", f"{found.rows:,} rows to learn from have no outcome ({found.named()})", "broken", found
        )
    counts = target[rows[SIDE] == "train"].value_counts()
    least = use_case.min_class_rows if _of_classes(use_case) else 1
    few = {str(name): int(count) for name, count in counts.items() if count < least}
    if len(counts) < 2 or few:
        there = ", ".join(f"{name!r} {count:,}" for name, count in counts.items()) or "none"
        said = f"outcomes to train on are too few ({there}); at least {least} of two are needed"
        yield Fault("few outcomes", said, "broken")
    if earlier is not None and target.notna().sum() < earlier.notna().sum():
        known = f"the {use_case.clock.noun} before knew {earlier.notna().sum():,}"
        said = f"{target.notna().sum():,} outcomes are known, {known}"
        yield Fault("lost outcomes", said, "doubtful")
    waiting = int(target.isna().sum())
    if waiting:
        yield Fault("no outcome yet", f"{waiting:,} rows have no outcome yet: they are scored, not trained on", "noted")


def _tasks(use_case: UseCase) -> list[Task]:
    """Those that learn what becomes of an entity."""
    return [model.task for model in use_case.models if model.task.target and model.task.target == use_case.outcome]


def _of_classes(use_case: UseCase) -> bool:
    """Whether that is one of a few classes."""
    return any(task.of_classes for task in _tasks(use_case))


def _strange(target: pd.Series, task: Task) -> tuple[np.ndarray, str] | None:
    """Where outcomes are of another kind than the task learns, and what they are; None where none is."""
    if isinstance(task, Binary):
        other, what = ~target.isin([YES, NO]), f"neither {YES} nor {NO}"
    elif isinstance(task, Regression):
        other, what = ~np.isfinite(pd.to_numeric(target, errors="coerce").astype(float)), "no numbers"
    else:
        return None
    strange = (target.notna() & other).to_numpy()
    return (strange, what) if strange.any() else None


def _rule(rows: pd.DataFrame, rule: Product) -> Iterator[Fault]:
    """Rows in which the product of the factors is too far from the whole."""
    expected = rows[list(rule.factors)].prod(axis=1, skipna=False)
    whole = rows[rule.whole]
    known = (expected.notna() & whole.notna()).to_numpy()
    off = known & ((whole - expected).abs() > rule.within * np.maximum(whole.abs(), expected.abs())).to_numpy()
    share = off.sum() / max(known.sum(), 1)
    if share <= rule.allowed:
        return
    found = _offenders(rows, off, rule.whole)
    severity: Severity = "doubtful"
    said = (
        f"in {found.rows:,} rows ({share:.1%}, {rule.allowed:.0%} may be) {rule.whole} is more than {rule.within:.0%} "
        f"away from {' times '.join(rule.factors)} (such as {found.named()})"
    )
    yield Fault(f"{rule.whole}: inconsistent", said, severity, found)


def _sides(rows: pd.DataFrame, dataset: DatasetRef) -> Iterator[Fault]:
    """Groups of the frozen test set that are trained on; where it rolls on, rows that are no older than it."""
    if use_cases.get(dataset.use_case).rolling:
        begin = read_frame(dataset.test, [MOMENT])[MOMENT].min()
        late = ((rows[SIDE] == "train") & (rows[MOMENT] >= begin)).to_numpy()
        if late.any():
            found = _offenders(rows, late)
            said = f"{found.rows:,} rows to train on are no older than the test set (such as {found.named()})"
            yield Fault("leaks", said, "broken", found)
        return
    frozen = set(read_frame(dataset.test, [GROUP])[GROUP])
    leaked = ((rows[SIDE] == "train") & rows[GROUP].isin(frozen)).to_numpy()
    if leaked.any():
        found = _offenders(rows, leaked)
        said = f"{found.rows:,} rows to train on are of groups of the frozen test set (such as {found.named()})"
        yield Fault("leaks", said, "broken", found)


def _gaps(rows: pd.DataFrame, source: Series, as_of: datetime) -> Iterator[Fault]:
    """Bars that are followed by more days without one than a closed market explains: to the next, or to the end."""
    most = timedelta(days=source.longest_gap_days)
    symbols = rows[ENTITY_ID].str.rpartition("@")[0]
    following = rows[MOMENT].groupby(symbols).shift(-1)
    stale = (following.isna() & (as_of - rows[MOMENT] > most)).to_numpy()
    if stale.any():
        found, last = _offenders(rows, stale), rows.loc[stale, MOMENT].min()
        said = f"no bar after {found.named()} for {(as_of - last).days} days: collect newer ones, or load a file"
        yield Fault("stale", said, "doubtful", found)
    wide = (following - rows[MOMENT] > most).to_numpy()
    if wide.any():
        found = _offenders(rows, wide)
        said = f"{found.rows:,} bars are followed by none for more than {most.days} days (such as {found.named()})"
        yield Fault("gaps", said, "noted", found)


def _offenders(rows: pd.DataFrame, mask: np.ndarray, column: str | None = None) -> Offenders:
    found = Offenders()
    names = list(dict.fromkeys([ENTITY_ID, *([column] if column else []), TARGET]))
    texts = {name: pa.array([None if pd.isna(value) else str(value) for value in rows[name]]) for name in names}
    found.add(pa.RecordBatch.from_pydict(texts), mask)
    return found
