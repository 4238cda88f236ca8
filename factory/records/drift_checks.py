"""What was seen of drift, check by check, and which retrainings it set off: the tables `drift_looks` and `retrainings`.

Owns their rows, and the rule that one drift episode sets off one retraining. Knows nothing of how drift is measured or
of how a model is trained. A page can draw its sparkline from `read_drift_checks` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Engine, RowMapping, select, update

from factory.catalogue.database import exclusive, transaction, upsert
from factory.catalogue.schema import drift_looks, retrainings
from factory.contracts import ColumnDrift, LiveQuality, Trend
from factory.records import stored
from factory.use_cases import clock_of
from factory.use_cases.clock import aware

ONE_DAY = timedelta(days=1)
LOST_AFTER = timedelta(hours=6)
"""A retraining that has not ended after so long died with its process; it stands in nobody's way."""


class DriftCheck(BaseModel):
    """One check for drift. `until` is the data time at which its windows end, `samples` the predictions in the last.

    `shares` says what came by in these: by language, source and prediction each value's share (0 to 1). Looks of
    before they were kept have none.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    model: str
    until: datetime
    looked_at: datetime
    model_version: str
    samples: int
    level: Literal["stable", "warning", "alert", "critical"]
    drift_score: float
    alarm: bool
    columns: dict[str, ColumnDrift]
    live: LiveQuality | None = None
    slices: dict[str, ColumnDrift] = Field(default_factory=dict)
    shares: dict[str, dict[str, float]] = Field(default_factory=dict)
    trends: dict[str, Trend] = Field(default_factory=dict)


class Retraining(BaseModel):
    """A retraining that drift set off at the data time `until`; `outcome` is a sentence, once it has ended.

    `claimed_by` names the flow run that started it.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    until: datetime
    claimed_by: str
    started_at: datetime
    ended_at: datetime | None = None
    status: Literal["started", "done", "failed"]
    outcome: str | None = None


def record_drift_check(engine: Engine, check: DriftCheck) -> None:
    """Write the check; an earlier one at the same data time gives way to it."""
    row = check.model_dump() | {
        "until": aware(check.until),
        "looked_at": aware(check.looked_at),
        **{name: _documents(getattr(check, name)) for name in ("columns", "slices", "trends")},
        "live": stored.dump(check.live) if check.live else None,
    }
    with transaction(engine) as connection:
        insert = upsert(connection, drift_looks).values(row)
        replaced = {name: insert.excluded[name] for name in row if name not in ("model", "until")}
        connection.execute(insert.on_conflict_do_update(index_elements=["model", "until"], set_=replaced))


def read_drift_checks(
    engine: Engine, model: str, *, until: datetime | None = None, limit: int = 400
) -> list[DriftCheck]:
    """The last `limit` checks of the model, those up to `until` where it is given, the oldest first."""
    query = select(drift_looks).where(drift_looks.c.model == model)
    if until is not None:
        query = query.where(drift_looks.c.until <= aware(until))
    with engine.connect() as connection:
        found = connection.execute(query.order_by(drift_looks.c.until.desc()).limit(limit)).mappings().all()
    return [_check(row) for row in reversed(found)]


def read_periods_before(engine: Engine, model: str, until: datetime, periods: int) -> list[DriftCheck]:
    """The newest check of each of at most so many periods before the one that ends then, the oldest first.

    A day of a week may stand in two of them: a DAG does not always come at the same minute.
    """
    chosen: list[DriftCheck] = []
    clock = clock_of(model)
    reached = until = aware(until)
    for check in reversed(read_drift_checks(engine, model, until=until)):
        a_period = reached - clock.back(reached, 1)
        slack = min(ONE_DAY, a_period / 7)
        if reached - check.until >= a_period - slack and check.until >= clock.back(until, periods):
            chosen.append(check)
            reached = check.until
    return chosen[::-1]


def by_period(checks: Sequence[DriftCheck]) -> list[DriftCheck]:
    """The last check of every period of the use case's clock, counted back from the newest; the oldest first."""
    if not checks:
        return []
    latest_first = sorted(checks, key=lambda check: check.until, reverse=True)
    newest, clock, periods = latest_first[0], clock_of(latest_first[0].model), 1
    chosen = [newest]
    for check in latest_first:
        if check.until <= clock.back(newest.until, periods):
            chosen.append(check)
        while check.until <= clock.back(newest.until, periods):
            periods += 1
    return chosen[::-1]


def episode_start(checks: Sequence[DriftCheck]) -> datetime | None:
    """When the drift episode began that the last check stands in: the first of its unbroken row of alarms."""
    start = None
    for check in sorted(checks, key=lambda check: check.until, reverse=True):
        if not check.alarm:
            break
        start = check.until
    return start


def claim_retraining(
    engine: Engine, model: str, until: datetime, cooldown_days: float, *, claimed_by: str, force: bool = False
) -> Retraining | None:
    """Claim the episode's one retraining: None when it is the caller's now, else the one that stands in the way.

    One stands in the way that runs, whatever its data time, or that ended well at `until` or less than `cooldown_days`
    of data time before or after. One that failed or was lost does not, nor does one that `claimed_by` itself started: a
    flow run that was interrupted goes on. `force` takes no notice of others. Of two callers at once one gets it.
    """
    now, until = datetime.now(UTC), aware(until)
    with exclusive(engine, f"retraining/{model}") as connection:
        query = select(retrainings).where(retrainings.c.model == model).order_by(retrainings.c.until)
        others = [_retraining(row) for row in connection.execute(query).mappings()]
        cooldown = timedelta(days=cooldown_days)
        standing = [other for other in others if _runs(other, now, claimed_by) or _ended_near(other, until, cooldown)]
        if standing and not force:
            return standing[-1]
        values = {"claimed_by": claimed_by, "started_at": now, "ended_at": None, "status": "started", "outcome": None}
        row = upsert(connection, retrainings).values(model=model, until=until, **values)
        connection.execute(row.on_conflict_do_update(index_elements=["model", "until"], set_=values))
    return None


def settle_retraining(
    engine: Engine, model: str, until: datetime, *, claimed_by: str, done: bool, outcome: str
) -> None:
    """Write how the retraining that `claimed_by` holds ended, in a sentence; a failed one may be tried again.

    Nothing is written where another holds the claim by now.
    """
    claim = (retrainings.c.model == model) & (retrainings.c.until == aware(until))
    mine = claim & (retrainings.c.claimed_by == claimed_by)
    status = "done" if done else "failed"
    with transaction(engine) as connection:
        connection.execute(
            update(retrainings).where(mine).values(status=status, outcome=outcome, ended_at=datetime.now(UTC))
        )


def read_retrainings(engine: Engine, model: str) -> list[Retraining]:
    """All retrainings that drift set off, the oldest first."""
    query = select(retrainings).where(retrainings.c.model == model).order_by(retrainings.c.until)
    with engine.connect() as connection:
        return [_retraining(row) for row in connection.execute(query).mappings()]


def _documents(found: Mapping[str, BaseModel]) -> dict[str, dict[str, object]]:
    return {name: stored.dump(document) for name, document in found.items()}


def _runs(other: Retraining, now: datetime, claimed_by: str) -> bool:
    lost = now - other.started_at >= LOST_AFTER
    return other.status == "started" and not lost and other.claimed_by != claimed_by


def _ended_near(other: Retraining, until: datetime, cooldown: timedelta) -> bool:
    return other.status == "done" and (other.until == until or abs(until - other.until) < cooldown)


def _check(row: RowMapping) -> DriftCheck:
    """A check as it stands in its row, whose documents say by which schema they were made."""
    known = {name: value for name, value in row.items() if value is not None}
    names = stored.answers_of(next(iter(known["columns"].values()), {}))
    by_name = {kind: known.get(kind, {}) for kind in ("columns", "shares", "trends")}
    renamed = {kind: {names.get(name, name): each for name, each in held.items()} for kind, held in by_name.items()}
    return stored.load(DriftCheck, known | renamed)


def _retraining(row: RowMapping) -> Retraining:
    return stored.load(Retraining, dict(row))
