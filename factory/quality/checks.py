"""The checks of a week: each sees the rows pass in batches and says at the end what it found.

Owns what is looked for and how it is put; which findings a person may overrule is said by each. Knows nothing of the
catalogue, of files or of verdicts. What stands in single columns is checked by pandera; what holds between rows, here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from factory.grouping.keys import contains, key_of
from factory.quality.findings import Fault, Mask, Offenders, Severity, some
from factory.snapshots.known_rows import Frozen, SortedIds
from factory.snapshots.names import OF_TABLES
from factory.test_sets.frozen_rows import cover

PART_ROWS = 1_000_000
"""Keys of so many rows are sorted at once."""
SIDES = ("train", "test", "held_out")
NEVER_NULL = ("entity_id", "designation", "moment", "text_key", "group", "side", "arrived")
MOST_UNLABELLED = 0.5
"""Share of the rows; beyond it a person should say that labels are meant to be missing."""
_EMPTY_TEXT = key_of("")
_HALF = np.uint64(32)
# What UTF-8 that was read as Latin-1 or Windows-1252 leaves behind, or what could not be read at all; ftfy decides.
_SUSPICIOUS = "[ÂÃâðÅÄ\u0080-\u009f\ufffd]"


class Columns:
    """Missing values, unknown sides and classes that neither the week before nor the test set knows."""

    def __init__(self, known_classes: set[str] | None) -> None:
        import pandera.pandas as pandera

        rules: dict[str, list[Any]] = {"side": [pandera.Check.isin(SIDES, error="side")]}
        if known_classes is not None:
            rules["target"] = [pandera.Check.isin(sorted(known_classes), error="class")]
        columns = {name: pandera.Column(nullable=False, checks=rules.get(name)) for name in NEVER_NULL}
        columns["target"] = pandera.Column(nullable=True, checks=rules.get("target"))
        self._schema = pandera.DataFrameSchema(columns)
        self._found: dict[tuple[str, str], Offenders] = {}
        self._values: dict[str, set[object]] = {"side": set(), "class": set()}

    def see(self, batch: pa.RecordBatch) -> None:
        """Validate the rows, all rules at once."""
        import pandera.errors

        try:
            self._schema.validate(batch.select([*NEVER_NULL, "target"]).to_pandas(), lazy=True)
        except pandera.errors.SchemaErrors as error:
            for (column, check), cases in error.failure_cases.groupby(["column", "check"]):
                mask = np.zeros(batch.num_rows, dtype=bool)
                mask[cases["index"].astype(int)] = True
                self._found.setdefault((column, check), Offenders()).add(batch, mask)
                if check in self._values:
                    self._values[check].update(cases["failure_case"])

    def faults(self) -> Iterator[Fault]:
        """One finding a column and rule."""
        for (column, check), found in self._found.items():
            if check == "not_nullable":
                name = OF_TABLES.get(column, column)
                said = f"{found.rows} rows have no {name} (such as {found.named()})"
                yield Fault(f"no {name}", said, "broken", found)
            elif check == "side":
                yield Fault("sides", f"unknown sides of the split: {some(self._values['side'])}", "broken", found)
            else:
                new = self._values["class"]
                said = f"{len(new)} classes were never seen before: {some(new)} ({found.rows} rows)"
                yield Fault("unknown classes", said, "doubtful", found)


class Labels:
    """Every product that is trained on or tested with has a label; one without is only scored."""

    def __init__(self) -> None:
        self._lost, self._without = Offenders(), Offenders()
        self._rows = 0

    def see(self, batch: pa.RecordBatch) -> None:
        """Look at the rows without label."""
        self._rows += batch.num_rows
        without = np.array(batch.column("target").is_null())
        held_out = np.array(pc.fill_null(pc.equal(batch.column("side"), "held_out"), fill_value=False))
        self._lost.add(batch, without & ~held_out)
        self._without.add(batch, without & held_out)

    def faults(self) -> Iterator[Fault]:
        """Labels that are lost, and products that never had one."""
        if rows := self._lost.rows:
            label = OF_TABLES["target"]
            said = f"{rows} rows have no {label} (such as {self._lost.named()})"
            yield Fault(f"no {label}", said, "broken", self._lost)
        if rows := self._without.rows:
            share = rows / self._rows
            said = f"{rows} products have no label ({share:.2%}): they are scored and not trained on"
            severity: Severity = "doubtful" if share > MOST_UNLABELLED else "noted"
            yield Fault("no label yet", f"{said} (such as {self._without.named()})", severity, self._without)


class Order:
    """Ids ascend strictly: none stands there twice, and weeks can be compared in passing."""

    def __init__(self) -> None:
        self._last = b""
        self._twice, self._astray = Offenders(), Offenders()

    def see(self, batch: pa.RecordBatch) -> None:
        """Compare every id with the one before it."""
        ids = [(name or "").encode() for name in batch.column("entity_id").to_pylist()]
        before = [self._last, *ids[:-1]]
        self._last = ids[-1] if ids else self._last
        pairs = list(zip(ids, before, strict=True))
        self._twice.add(batch, np.array([now == then for now, then in pairs], dtype=bool))
        self._astray.add(batch, np.array([now < then for now, then in pairs], dtype=bool))

    def faults(self) -> Iterator[Fault]:
        """Duplicate ids, and ids out of order, behind which duplicates may hide."""
        if rows := self._twice.rows:
            said = f"{rows} products stand there twice (such as {self._twice.named()})"
            yield Fault("duplicate ids", said, "broken", self._twice)
        if rows := self._astray.rows:
            said = f"{rows} products stand after one of a higher id (such as {self._astray.named()})"
            yield Fault("order", said, "broken", self._astray)


class Leaks:
    """Training rows share no product, group or text with the frozen test set."""

    def __init__(self, frozen: Frozen, tested: SortedIds) -> None:
        self._frozen, self._tested = frozen, tested
        self._found = {"products": Offenders(), "groups": Offenders(), "texts": Offenders()}
        self._train_rows = 0

    def see(self, batch: pa.RecordBatch) -> None:
        """Look the training rows up."""
        train = batch.filter(pc.equal(batch.column("side"), "train"))
        self._train_rows += train.num_rows
        if not train.num_rows:
            return
        texts, groups = (np.array(pc.fill_null(train.column(name), 0)) for name in ("text_key", "group"))
        self._found["products"].add(train, self._tested.among(pc.fill_null(train.column("entity_id"), "")))
        self._found["groups"].add(train, self._frozen.groups.among(groups) & (groups != _EMPTY_TEXT))
        self._found["texts"].add(train, self._frozen.texts.among(texts) & (texts != _EMPTY_TEXT))

    def faults(self) -> Iterator[Fault]:
        """What stands on both sides, and sides without rows."""
        if not len(self._frozen.texts):
            yield Fault("test set", "the frozen test set is empty: the catalogue is too small to be split", "broken")
        if not self._train_rows:
            yield Fault("training rows", "no row may be trained on", "broken")
        for what, found in self._found.items():
            if found.rows:
                said = f"{found.rows} {what} stand on both sides, to train on and in the test set"
                yield Fault(f"leaking {what}", f"{said} (such as {found.named()})", "broken", found)


class Classes:
    """No class of the week before has vanished, and each has enough rows to train on."""

    def __init__(self, least: int, earlier: Counter[str] | None) -> None:
        self._least, self._earlier = least, earlier
        self.rows: Counter[str] = Counter()
        self._train: Counter[str] = Counter()

    def see(self, batch: pa.RecordBatch) -> None:
        """Count the rows by class."""
        labels = batch.column("target")
        self.rows.update(counted(labels))
        self._train.update(counted(labels.filter(pc.equal(batch.column("side"), "train"))))

    def faults(self) -> Iterator[Fault]:
        """Vanished classes and small ones."""
        if vanished := sorted(set(self._earlier or ()) - set(self.rows)):
            said = f"{len(vanished)} classes of the week before have vanished: {some(vanished)}"
            yield Fault("vanished classes", said, "doubtful", mask=_labelled(vanished), in_week_before=True)
        if small := {name: self._train[name] for name in sorted(self.rows) if self._train[name] < self._least}:
            listed = ", ".join(f"{name!r} ({rows})" for name, rows in list(small.items())[:5])
            said = f"{len(small)} classes have fewer than {self._least} rows to train on: {listed}"
            yield Fault("small classes", said, "doubtful", mask=_labelled(list(small)))


class Untested:
    """Every class to train on has a row in the test set, and every test row a class to train on: else it is told."""

    def __init__(self, version: str, tested: Counter[str]) -> None:
        self._version, self._tested = version, tested
        self._train: Counter[str] = Counter()
        self._held_out: Counter[str] = Counter()

    def see(self, batch: pa.RecordBatch) -> None:
        """Count the rows to train on and those held out by class."""
        labels, sides = batch.column("target"), batch.column("side")
        self._train.update(counted(labels.filter(pc.equal(sides, "train"))))
        self._held_out.update(counted(labels.filter(pc.equal(sides, "held_out"))))

    def faults(self) -> Iterator[Fault]:
        """What no number on the test set will tell."""
        coverage = cover(self._version, trained=self._train, tested=self._tested)
        waiting = sum(self._held_out[name] for name in coverage.untested)
        for said in replace(coverage, waiting=waiting).sentences():
            yield Fault("coverage", said, "noted")


class Conflicts:
    """Products of one text bear one label; 12 bytes a row are kept until the end, and compared in parts."""

    def __init__(self, alarm: float) -> None:
        self._alarm = alarm
        self._keys: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []
        self._numbers: dict[str | None, int] = {}
        self.repeated_texts = 0

    def see(self, batch: pa.RecordBatch) -> None:
        """Remember each text's key and label."""
        labels = batch.column("target").dictionary_encode()
        numbers = np.array(
            [self._numbers.setdefault(name, len(self._numbers)) for name in labels.dictionary.to_pylist()]
        )
        known = np.array(labels.is_valid()) & np.array(batch.column("text_key").is_valid())
        places = np.array(pc.fill_null(labels.indices, 0))[known]
        self._keys.append(np.array(batch.column("text_key"))[known].astype(np.int64))
        self._labels.append(numbers[places].astype(np.int32) if len(numbers) else np.empty(0, np.int32))

    def faults(self) -> Iterator[Fault]:
        """Texts with several labels."""
        found: list[np.ndarray] = []
        rows = 0
        for keys, labels in self._parts():
            order = np.argsort(keys, kind="stable")
            keys, labels = keys[order], labels[order]
            same = keys[1:] == keys[:-1]
            self.repeated_texts += int(same.sum())
            several = np.unique(keys[1:][same & (labels[1:] != labels[:-1])])
            several = several[several != _EMPTY_TEXT]
            rows += int(contains(several, keys).sum())
            found.append(several)
        told = np.sort(np.concatenate(found))
        if not len(told):
            return
        share = rows / sum(map(len, self._keys))
        said = f"{len(told)} texts bear more than one class ({rows} rows, {share:.2%}; alarm above {self._alarm:.2%})"
        severity: Severity = "doubtful" if share > self._alarm else "noted"
        yield Fault("label conflicts", said, severity, mask=lambda batch: contains(told, _keys(batch)))

    def _parts(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Keys and labels of some PART_ROWS rows at a time; every row of a text stands in one part."""
        parts = np.uint64(1 + sum(map(len, self._keys)) // PART_ROWS)
        for part in range(int(parts)):
            inside = [((keys.view(np.uint64) >> _HALF) * parts >> _HALF) == part for keys in self._keys]
            pairs = ((self._keys, np.int64), (self._labels, np.int32))
            keys, labels = (
                np.concatenate([np.empty(0, kind), *(held[mine] for held, mine in zip(stored, inside, strict=True))])
                for stored, kind in pairs
            )
            yield keys, labels


class Encoding:
    """Texts were decoded as what they were encoded in: ftfy knows the marks of those that were not."""

    def __init__(self, alarm: float) -> None:
        self._alarm, self._rows, self._found = alarm, 0, Offenders()

    def see(self, batch: pa.RecordBatch) -> None:
        """Look at the texts that hold one of the characters without which nothing can be wrong."""
        from ftfy.badness import is_bad

        self._rows += batch.num_rows
        texts = pc.binary_join_element_wise(
            batch.column("designation"), batch.column("description"), " ", null_handling="skip"
        )
        mask = np.array(pc.fill_null(pc.match_substring_regex(texts, _SUSPICIOUS), fill_value=False))
        for row in np.flatnonzero(mask):
            text = texts[int(row)].as_py()
            mask[row] = "\ufffd" in text or is_bad(text)
        self._found.add(batch, mask)

    def faults(self) -> Iterator[Fault]:
        """Texts in a wrong encoding."""
        if not (rows := self._found.rows):
            return
        share = rows / self._rows
        said = f"{rows} texts were read in a wrong encoding ({share:.2%}; alarm above {self._alarm:.2%})"
        severity: Severity = "doubtful" if share > self._alarm else "noted"
        yield Fault("encoding", f"{said} (such as {self._found.named()})", severity, self._found)


def counted(labels: pa.Array) -> dict[str, int]:
    """Rows by class; rows without one are left out."""
    found = pc.value_counts(labels.drop_null())
    return dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True))


def _labelled(names: list[str]) -> Mask:
    wanted = pa.array(names, pa.string())
    return lambda batch: np.array(pc.is_in(batch.column("target"), wanted))


def _keys(batch: pa.RecordBatch) -> np.ndarray:
    return np.array(pc.fill_null(batch.column("text_key"), _EMPTY_TEXT))
