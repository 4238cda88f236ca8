"""What a check says: its findings, how grave they are, and the rows that show them.

Owns their form and how rows are listed. Knows nothing of what is looked for (`factory.quality.checks`) or of verdicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import pyarrow as pa

from factory.snapshots.names import OF_TABLES

Severity = Literal["broken", "doubtful", "noted"]
"""Broken weeks nobody can accept; a doubtful one a person may; what is noted stands in the report alone."""
Mask: TypeAlias = "Callable[[pa.RecordBatch], np.ndarray]"

LISTED_ROWS = 1_000
"""So many of a fault's rows are kept."""
SHOWN = {name: OF_TABLES.get(name, name) for name in ("entity_id", "designation", "description", "target")}
"""What is shown of a product, under the names of the table in which it is mended, by those in the snapshot."""


@dataclass(slots=True)
class Offenders:
    """How many rows a fault has, and the first of them: the columns SHOWN of a product, else all."""

    rows: int = 0
    listed: list[pa.RecordBatch] = field(default_factory=list)

    def add(self, batch: pa.RecordBatch, mask: np.ndarray) -> None:
        """The batch's rows under the mask."""
        if not (count := int(mask.sum())):
            return
        self.rows += count
        room = LISTED_ROWS - sum(part.num_rows for part in self.listed)
        if room > 0:
            names = SHOWN if SHOWN.keys() <= set(batch.schema.names) else {name: name for name in batch.schema.names}
            shown = batch.select(list(names)).rename_columns(list(names.values()))
            self.listed.append(shown.filter(pa.array(mask)).slice(0, room))

    def records(self) -> list[dict[str, Any]]:
        """The listed rows."""
        return [row for part in self.listed for row in part.to_pylist()]

    def named(self) -> str:
        """The first three rows' ids."""
        return some(next(iter(row.values())) for row in self.records()[:3])


@dataclass(slots=True)
class Fault:
    """One finding. A fault with a `mask` gets its rows in a second look, at the week or at the week before."""

    name: str
    sentence: str
    severity: Severity
    offenders: Offenders = field(default_factory=Offenders)
    mask: Mask | None = None
    in_week_before: bool = False


class Check(Protocol):
    """What `factory.quality.inspection` drives."""

    def see(self, batch: pa.RecordBatch) -> None:
        """Look at the next rows."""

    def faults(self) -> Iterator[Fault]:
        """What was found, once all rows were seen."""


def some(values: Iterable[object]) -> str:
    """Three of the values, sorted, as a sentence shows them."""
    texts = sorted({str(value) for value in values})
    return ", ".join(repr(text[:60]) for text in texts[:3])
