"""The ledger of periods: `data_loads`, one row a period and revision, and how it is read.

Owns the table's rows and their states (running -> cut -> accepted | rejected). Knows nothing of files or products.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Connection, RowMapping, select, update

from factory.catalogue.database import upsert
from factory.catalogue.schema import data_loads
from factory.contracts import DatasetRef
from factory.records import stored
from factory.use_cases import clock_of

Status = Literal["running", "cut", "accepted", "rejected"]
STANDING: tuple[Status, ...] = ("cut", "accepted")


@dataclass(frozen=True, slots=True)
class Entry:
    """One revision of the period of the number `week`. `share` is the configured fraction of the catalogue (0 to 1)."""

    batch_name: str
    week: int
    revision: int
    share: float
    status: Status
    started_at: datetime
    completed_at: datetime | None
    total_rows: int | None
    dataset: DatasetRef | None
    findings: tuple[str, ...]

    @property
    def period(self) -> str:
        """The period within a sentence."""
        return clock_of(self.batch_name.partition("/")[0]).words(self.week)


def batch_name(use_case: str, week: int, revision: int) -> str:
    """The name of a period's revision, unique in the ledger: `products/week-03/r1`, `deals/month-2017-06/r1`."""
    clock = clock_of(use_case)
    return f"{use_case}/{clock.noun}-{clock.key(week)}/r{revision}"


def read_entries(connection: Connection, use_case: str, week: int | None = None) -> list[Entry]:
    """The use case's entries, of one period or of all, by period and revision."""
    beginning = f"{use_case}/{clock_of(use_case).noun}-"
    query = select(data_loads).where(data_loads.c.batch_name.startswith(beginning, autoescape=True))
    if week is not None:
        query = query.where(data_loads.c.week == week)
    entries = [_entry(row) for row in connection.execute(query).mappings()]
    return sorted(entries, key=lambda entry: (entry.week, entry.revision))


def highest_cut(connection: Connection, use_case: str) -> int | None:
    """The highest period that was ever cut, whatever the checks said of it; None when there is none."""
    cut = [entry.week for entry in read_entries(connection, use_case) if entry.status != "running"]
    return max(cut, default=None)


def newest(entries: Sequence[Entry], *statuses: Status) -> DatasetRef | None:
    """The dataset of the last entry that has one of the states; None when there is none."""
    found = [entry.dataset for entry in entries if entry.status in statuses and entry.dataset is not None]
    return found[-1] if found else None


def next_revision(entries: Sequence[Entry]) -> int:
    """The revision to cut for a period: one after the last that was rejected."""
    return max((entry.revision for entry in entries if entry.status == "rejected"), default=0) + 1


def announce(connection: Connection, name: str, week: int, share: float) -> None:
    """An entry in state running, unless one of that name stands already."""
    row = upsert(connection, data_loads).values(
        batch_name=name, week=week, percentage=_percentage(share), started_at=datetime.now(UTC), status="running"
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=["batch_name"]))


def record_cut(connection: Connection, dataset: DatasetRef, share: float) -> None:
    """The entry in state cut, with the dataset."""
    now = datetime.now(UTC)
    done = {
        "percentage": _percentage(share),
        "total_rows": dataset.rows,
        "completed_at": now,
        "status": "cut",
        "metadata": _metadata(dataset, ()),
    }
    name = batch_name(dataset.use_case, dataset.week, dataset.revision)
    row = upsert(connection, data_loads).values(batch_name=name, week=dataset.week, started_at=now, **done)
    connection.execute(row.on_conflict_do_update(index_elements=["batch_name"], set_=done))


def record_verdict(connection: Connection, dataset: DatasetRef, status: Status, findings: Sequence[str]) -> None:
    """The entry in state accepted or rejected, with what the checks found."""
    name = batch_name(dataset.use_case, dataset.week, dataset.revision)
    verdict = {"status": status, "metadata": _metadata(dataset, findings)}
    connection.execute(update(data_loads).where(data_loads.c.batch_name == name).values(verdict))


def _metadata(dataset: DatasetRef, findings: Sequence[str]) -> dict[str, Any]:
    return {"dataset": stored.dump(dataset), "findings": list(findings)}


def _percentage(share: float) -> float:
    return round(share * 100, 6)


def _entry(row: RowMapping) -> Entry:
    document: dict[str, Any] = row["metadata"] or {}
    dataset = document.get("dataset")
    return Entry(
        batch_name=row["batch_name"],
        week=row["week"],
        revision=int(row["batch_name"].rpartition("/r")[2]),
        share=row["percentage"] / 100,
        status=row["status"],
        started_at=row["started_at"],
        completed_at=row["completed_at"],
        total_rows=row["total_rows"],
        dataset=stored.load(DatasetRef, dataset) if dataset else None,
        findings=tuple(document.get("findings", ())),
    )
