"""Inspecting a week: its rows pass the checks once, and what they found gets its rows.

Owns the order of looking and what a report tells of the week as a whole. Knows nothing of the catalogue or of verdicts.
Memory is bounded by the batch, 80 bytes a row of the test set and 12 bytes a row of the week.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory import use_cases
from factory.contracts import DatasetRef, FileRef
from factory.errors import SnapshotCorrupt
from factory.quality.checks import Classes, Columns, Conflicts, Encoding, Labels, Leaks, Order, Untested, counted
from factory.quality.entity_inspection import EntityProfile, find_entity_faults, schemas
from factory.quality.findings import Check, Fault, Offenders
from factory.snapshots.known_rows import SortedIds, frozen_keys
from factory.snapshots.store import read_batches, read_schema
from factory.snapshots.text_rows import WEEK_SCHEMA
from factory.test_sets.held_out import TEST_SCHEMA
from factory.use_cases.sources import Entities

FROZEN = pa.schema([field for field in TEST_SCHEMA if field.name not in ("text_key", "group")])
"""What every test set has; keys came later, and are made where they are missing."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a week is like. Shares are 0 to 1, lengths are characters of the raw texts."""

    rows: int
    classes: dict[str, int]
    missing_descriptions: float
    repeated_texts: float
    mean_designation_length: float
    mean_description_length: float

    def facts(self) -> list[tuple[str, str]]:
        """What a person reads of it, beside the classes."""
        return [
            ("Without description", f"{self.missing_descriptions:.1%}"),
            ("Texts that repeat another", f"{self.repeated_texts:.1%}"),
            ("Mean length of designations", f"{self.mean_designation_length:.0f} characters"),
            ("Mean length of descriptions", f"{self.mean_description_length:.0f} characters"),
        ]


@dataclass(frozen=True, slots=True)
class Inspection:
    """The findings, and what the week is like; no profile where the columns are not those of a week."""

    faults: tuple[Fault, ...]
    profile: Profile | EntityProfile | None

    def sentences(self, *severities: str) -> list[str]:
        """What was found of the given severities."""
        return [fault.sentence for fault in self.faults if fault.severity in severities]


def inspect_week(dataset: DatasetRef, before: DatasetRef | None) -> Inspection:
    """Everything that is wrong with the week, most serious first. `before` is the newest accepted week before it.

    Raises SnapshotCorrupt.
    """
    use_case = use_cases.get(dataset.use_case)
    of_entities = isinstance(use_case.source, Entities)
    week_schema, test_schema = schemas(use_case) if of_entities else (WEEK_SCHEMA, FROZEN)
    if misshapen := [
        *_misshapen(dataset, week_schema, "the week"),
        *_misshapen(dataset.test, test_schema, "the test set"),
    ]:
        return Inspection(tuple(misshapen), None)
    if of_entities:
        found, profile = find_entity_faults(dataset, before)
        return Inspection(_by_weight([*found, *_shrunk(dataset, before)]), profile)
    earlier = _classes_of(before) if before else None
    tested = _classes_of(dataset.test)
    known = set(earlier) | set(tested) if earlier is not None else None
    conflicts, classes = Conflicts(use_case.label_conflict_alarm), Classes(use_case.min_class_rows, earlier)
    lengths = _Lengths()
    with closing(SortedIds(dataset.test)) as test_ids:
        leaks = Leaks(frozen_keys(dataset.test), test_ids)
        encoding, untested = Encoding(use_case.encoding_alarm), Untested(dataset.test_version, tested)
        checks: list[Check] = [Columns(known), Labels(), Order(), leaks, classes, conflicts, encoding, untested]
        for batch in read_batches(dataset):
            lengths.see(batch)
            for check in checks:
                check.see(batch)
    if lengths.rows != dataset.rows:
        raise SnapshotCorrupt(f"{dataset.uri} holds {lengths.rows} rows, {dataset.rows} were recorded: cut them again")
    faults = [fault for check in checks for fault in check.faults()]
    faults += _shrunk(dataset, before)
    _find_rows(faults, dataset, before)
    return Inspection(_by_weight(faults), lengths.profile(dict(classes.rows), conflicts.repeated_texts))


def _by_weight(faults: list[Fault]) -> tuple[Fault, ...]:
    weight = ("broken", "doubtful", "noted")
    return tuple(sorted(faults, key=lambda fault: weight.index(fault.severity)))


def _misshapen(ref: FileRef, wanted: pa.Schema, what: str) -> Iterator[Fault]:
    found = read_schema(ref)
    wrong = [field for field in wanted if field.name not in found.names or found.field(field.name).type != field.type]
    if wrong:
        have = ", ".join(f"{field.name} {field.type}" for field in found)
        want = ", ".join(f"{field.name} {field.type}" for field in wrong)
        yield Fault("columns", f"{what} lacks the columns {want}; there are {have}", "broken")


def _classes_of(ref: FileRef) -> Counter[str]:
    classes: Counter[str] = Counter()
    for batch in read_batches(ref, ["target"]):
        classes.update(counted(batch.column(0)))
    return classes


def _shrunk(dataset: DatasetRef, before: DatasetRef | None) -> Iterator[Fault]:
    """Products of the week before that the week does not hold any more."""
    if before is None:
        return
    gone = Offenders()
    with closing(SortedIds(dataset)) as present:
        for batch in read_batches(before):
            gone.add(batch, ~present.among(batch.column(0)))
    if gone.rows:
        what = "products" if "productid" in gone.records()[0] else "rows"
        said = f"{gone.rows} {what} of the week before are gone (such as {gone.named()}), {dataset.rows} rows are left"
        yield Fault("shrunk", said, "doubtful", gone)


def _find_rows(faults: list[Fault], dataset: DatasetRef, before: DatasetRef | None) -> None:
    """The rows of faults that were only known after all rows had passed: a second look, where there are any."""
    for source, late in ((dataset, False), (before, True)):
        wanted = [fault for fault in faults if fault.mask is not None and fault.in_week_before is late]
        if source is None or not wanted:
            continue
        for batch in read_batches(source):
            for fault in wanted:
                if fault.mask is not None:
                    fault.offenders.add(batch, fault.mask(batch))


class _Lengths:
    """Counts what the profile tells."""

    def __init__(self) -> None:
        self.rows = 0
        self._missing = 0
        self._characters = {"designation": 0, "description": 0}

    def see(self, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self._missing += batch.column("description").null_count
        for name in self._characters:
            self._characters[name] += int(np.nan_to_num(pc.sum(pc.utf8_length(batch.column(name))).as_py() or 0))

    def profile(self, classes: dict[str, int], repeated_texts: int) -> Profile:
        rows = max(self.rows, 1)
        return Profile(
            rows=self.rows,
            classes=dict(sorted(classes.items())),
            missing_descriptions=self._missing / rows,
            repeated_texts=repeated_texts / rows,
            mean_designation_length=self._characters["designation"] / rows,
            mean_description_length=self._characters["description"] / max(self.rows - self._missing, 1),
        )
