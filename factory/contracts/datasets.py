"""References to data: a file behind an address, and a week's snapshot."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from factory.contracts.base import Contract, Result
from factory.use_cases import clock_of


class FileRef(Contract):
    """A Parquet file behind an fsspec URI; `sha256` is verified on every read."""

    uri: str
    sha256: str
    rows: int = Field(ge=0)


class TestSpan(Contract):
    """Periods by their numbers: the test set's `first` and `last`, and the last one that rows to train on are of."""

    __test__ = False  # no test, whatever pytest makes of the name

    first: int = Field(ge=1)
    last: int = Field(ge=1)
    trained_until: int = Field(ge=0)


class DatasetRef(FileRef, Result):
    """One period's snapshot: all of its rows, both sides of the split, and the test set beside it.

    `week` is the period's number by the use case's clock. `rows` counts the whole of it; `train_rows` those that may be
    trained on; `arrivals` those that are new in it.
    """

    use_case: str
    week: int = Field(ge=1)
    as_of: datetime
    revision: int = Field(default=1, ge=1)
    train_rows: int = Field(ge=0)
    arrivals: int = Field(ge=0)
    classes: int = Field(ge=0)
    test: FileRef
    test_version: str
    span: TestSpan | None = None
    """Of a test set that rolls on with the clock."""

    @property
    def period(self) -> str:
        """The period within a sentence."""
        return clock_of(self.use_case).words(self.week)

    def facts(self) -> dict[str, str]:
        clock = clock_of(self.use_case)
        return {
            clock.noun.capitalize(): clock.written(self.week),
            "Rows": f"{self.rows:,}",
            "Classes": str(self.classes),
        }
