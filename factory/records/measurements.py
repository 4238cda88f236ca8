"""What a version was measured at when it was judged: `measurements`, one row a version and the rival it met.

Owns the table's rows. All numbers are of the frozen test set; must not know how they are measured. They stand here
besides on the version's model card, so that two versions can be laid side by side without their models or MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import Connection, RowMapping, select

from factory.catalogue.database import upsert
from factory.catalogue.schema import measurements
from factory.contracts.base import named
from factory.records import stored


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True)


class Interval(_Record):
    """A number and its 95 % interval, which is None where there was too little to draw one from."""

    value: float
    low: float | None = None
    high: float | None = None


class ClassScore(_Record):
    """One class: test rows, F1, and beside a rival that one's F1 and the chance (0 to 1) of a fall like this one."""

    name: str
    rows: int
    f1: Interval
    rival_f1: float | None = None
    fall_chance: float | None = None


class CurvePoint(_Record):
    """Of the answers given with about that confidence, the share that was right, with its 95 % interval (0 to 1)."""

    confidence: float
    right: Interval
    rows: int


class NearRows(_Record):
    """How many test rows nearly equal a training row, and weighted F1 on these and on the others."""

    rows: int
    near: Interval | None = None
    far: Interval | None = None


class Measurement(_Record):
    """A version on the frozen test set; `gains` are what it has over the rival on the same rows."""

    model: str
    version: str
    rival: str | None
    measured_at: datetime
    test_version: str
    test_rows: int
    metrics: Mapping[str, Interval]
    gains: Mapping[str, Interval] = Field(default_factory=dict)
    classes: tuple[ClassScore, ...] = ()
    curve: tuple[CurvePoint, ...] = ()
    calibration_error: Interval | None = None
    probe: NearRows | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_the_model(cls, document: Any) -> Any:
        return named(document)


def record(connection: Connection, measured: Measurement) -> None:
    """Write the measurement; an earlier one of the same version beside the same rival gives way to it."""
    row = upsert(connection, measurements).values(
        model=measured.model,
        version=measured.version,
        rival=measured.rival or "",
        measured_at=measured.measured_at,
        measured=stored.dump(measured),
    )
    keys = ["model", "version", "rival"]
    changed = {"measured_at": row.excluded.measured_at, "measured": row.excluded.measured}
    connection.execute(row.on_conflict_do_update(index_elements=keys, set_=changed))


def read_measurements(connection: Connection, model: str) -> list[Measurement]:
    """All of the model's versions, the newest first."""
    query = select(measurements).where(measurements.c.model == model).order_by(measurements.c.measured_at.desc())
    return [_measurement(row) for row in connection.execute(query).mappings()]


def _measurement(row: RowMapping) -> Measurement:
    return stored.load(Measurement, row["measured"])
