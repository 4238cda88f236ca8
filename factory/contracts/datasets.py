"""References to data: a file behind an address, and a week's snapshot."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from factory.contracts.base import Contract, Result


class FileRef(Contract):
    """A Parquet file behind an fsspec URI; `sha256` is verified on every read."""

    uri: str
    sha256: str
    rows: int = Field(ge=0)


class DatasetRef(FileRef, Result):
    """One week's snapshot: every product of the week, both sides of the split, and the frozen test set beside it.

    `rows` counts the whole week; `train_rows` those that may be trained on; `arrivals` those that are new this week.
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

    def facts(self) -> dict[str, str]:
        return {"Week": str(self.week), "Rows": f"{self.rows:,}", "Classes": str(self.classes)}
