"""What acquiring a period's data takes, and drawing reference data of one; an acquisition gives back the snapshot."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from factory.contracts.base import AtLeastOne, MonthName, OfModel, Params, Period, WeekNumber
from factory.contracts.datasets import FileRef
from factory.use_cases import clock_of


class AcquisitionParams(Params):
    """The period that is cut and checked: by its number, as the clock writes it, or by its month; else the due one."""

    often: ClassVar[tuple[str, ...]] = ("week_number", "snapshot_month", "period")
    periods: ClassVar[frozenset[str]] = frozenset({"period"})

    use_case: str = "products"
    week_number: WeekNumber | None = None
    period: Period | None = None
    snapshot_month: MonthName | None = None


class ReferenceParams(Params):
    """`sample_size` rows of `reference_period`, answered by the champion of `model`."""

    often: ClassVar[tuple[str, ...]] = ("reference_period", "sample_size")
    periods: ClassVar[frozenset[str]] = frozenset({"reference_period"})

    reference_period: Period
    sample_size: AtLeastOne = 1_000
    use_case: str = "products"
    model: str | None = None


class ReferenceResult(OfModel):
    """The rows as a file, and which version answered them; `available` counts those that they were drawn from."""

    reference_period: str
    file: FileRef
    available: int = Field(ge=0)
    model_version: str

    def facts(self) -> dict[str, str]:
        return {
            "Reference": f"{clock_of(self.use_case).noun} {self.reference_period}, v{self.model_version}",
            "Rows": f"{self.file.rows:,} of {self.available:,}",
        }
