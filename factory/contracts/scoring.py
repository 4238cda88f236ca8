"""What scoring takes and gives back."""

from __future__ import annotations

from typing import ClassVar, Literal

from factory.contracts.base import MonthName, OfModel, Params, Period, WeekNumber
from factory.contracts.datasets import DatasetRef


class ScoreParams(Params):
    """Without `dataset` the snapshot of `week_number` is scored, else the newest.

    `week_number` is the number of a period, `period` the same as the use case's clock writes it, and `snapshot_month`
    too where that counts months.
    Of a use case with several models `model` names the one that answers.
    """

    often: ClassVar[tuple[str, ...]] = ("week_number", "snapshot_month")
    periods: ClassVar[frozenset[str]] = frozenset({"period"})

    use_case: str = "products"
    model: str | None = None
    dataset: DatasetRef | None = None
    week_number: WeekNumber | None = None
    period: Period | None = None
    snapshot_month: MonthName | None = None


class ScoreResult(OfModel):
    """`rows` counts the predictions that stand in the inference log for this week and this model version."""

    status: Literal["scored", "skipped"]
    reason: str
    week_number: int
    rows: int
    model_version: str | None
    mean_confidence: float | None

    def facts(self) -> dict[str, str]:
        return {"Scored": f"{self.rows:,}"}

    def reservations(self) -> list[str]:
        return []

    def news(self) -> list[str]:
        return [f"Scoring skipped: {self.reason}"] if self.status == "skipped" else []
