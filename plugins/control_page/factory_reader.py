"""What the factory's own tables say of a model: the weeks of its use case, decisions on champions, checks for drift.

Reads only. Blocks; call it in a thread. Settings are read at the first question, as at an entry point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from time import monotonic

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from factory.catalogue.database import open_catalogue
from factory.catalogue.entities import read_sources
from factory.errors import CatalogueUnreachable, FactoryError
from factory.records.decisions import Decision, find_promotion, read_decisions
from factory.records.drift_checks import DriftCheck, by_period, read_drift_checks
from factory.records.ledger import Entry, read_entries
from factory.records.measurements import Measurement, read_measurements
from factory.settings import read_settings
from factory.use_cases import get_model
from factory.use_cases.sources import Entities, Texts

FRESH_SECONDS = 5
DECISIONS_SHOWN = 30
WEEKS_SHOWN = 26
_known: dict[str, tuple[ModelFacts, datetime]] = {}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The last weeks of a model's use case, its decisions and its checks for drift.

    Weeks and checks come oldest first, decisions newest first. Among the decisions is the one by which the
    champion came to stand, however long ago.
    """

    weeks: Sequence[Entry] = ()
    decisions: Sequence[Decision] = ()
    checks: Sequence[DriftCheck] = ()
    trouble: str | None = None
    simulated: str = ""
    """Of which rows that are not real there are some in the table, if any."""


def facts_of(model: str) -> ModelFacts:
    """As they stood less than 5 s ago; a catalogue that is away is told in `trouble`."""
    return _facts(model, int(monotonic() // FRESH_SECONDS))


@lru_cache(maxsize=32)
def _facts(model: str, period: int) -> ModelFacts:  # noqa: ARG001 — ends the cache
    try:
        engine = _engine()
        with engine.connect() as connection:
            use_case = get_model(model).use_case
            weeks = read_entries(connection, use_case.name)[-WEEKS_SHOWN:]
            decided = _decisions(connection, model)
            simulated = _simulated(connection, use_case.source)
        checks = by_period(read_drift_checks(engine, model))[-WEEKS_SHOWN:]
        facts = ModelFacts(weeks, decided, checks, simulated=simulated)
    except (FactoryError, SQLAlchemyError) as error:
        return _as_known(model, _unreachable(error))
    _known[model] = facts, datetime.now(UTC)
    return facts


def _simulated(connection: Connection, source: Texts | Entities) -> str:
    """Where the rows of a sample that is not real come from, while the table holds some of them."""
    if not isinstance(source, Entities) or source.sample is None or not source.sample.simulated:
        return ""
    origin = source.sample.origin
    return origin if origin in read_sources(connection, source) else ""


def _as_known(model: str, trouble: str) -> ModelFacts:
    """What was read last stays, with the hour at which it was read."""
    if model not in _known:
        return ModelFacts(trouble=trouble)
    facts, read_at = _known[model]
    return replace(facts, trouble=f"{trouble}; what you see of weeks and models is as it was at {read_at:%H:%M} UTC")


def measurements_of(model: str) -> tuple[Sequence[Measurement], str | None]:
    """What versions were measured at, the newest first, and why it is not known where it is not."""
    return _measurements(model, int(monotonic() // FRESH_SECONDS))


@lru_cache(maxsize=32)
def _measurements(model: str, period: int) -> tuple[Sequence[Measurement], str | None]:  # noqa: ARG001 — ends the cache
    try:
        with _engine().connect() as connection:
            return read_measurements(connection, model), None
    except (FactoryError, SQLAlchemyError) as error:
        return (), _unreachable(error)


def _unreachable(error: Exception) -> str:
    answers = isinstance(error, FactoryError) and not isinstance(error, CatalogueUnreachable)
    return f"The catalogue {'cannot be read' if answers else 'does not answer'}: {str(error).splitlines()[0]}"


def _decisions(connection: Connection, model: str) -> list[Decision]:
    """The last ones that were meant, and that by which the champion came to stand, however long ago."""
    made = read_decisions(connection, model, limit=DECISIONS_SHOWN * 2)
    decided = [each for each in made if not each.result.rehearsal][:DECISIONS_SHOWN]
    champion = decided[0].result.champion_version if decided else None
    promotion = find_promotion(connection, model, champion) if champion else None
    known = {each.decision_id for each in decided}
    return decided if promotion is None or promotion.decision_id in known else [*decided, promotion]


@lru_cache(maxsize=1)
def _engine() -> Engine:
    return open_catalogue(read_settings().database_url)
