"""Findings of leaks that a person has accepted, with the reason: `accepted_leaks`, one row a use case and finding.

Owns the table's rows. What a finding is, and that an accepted one stops no training, is `flows.core.telling`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, select

from factory.catalogue.database import transaction, upsert
from factory.catalogue.schema import accepted_leaks

KINDS = ("word", "characters", "form", "label", "column")


@dataclass(frozen=True, slots=True)
class AcceptedLeak:
    """One acceptance; `name` is the finding's, as the training that stopped has told it."""

    name: str
    reason: str
    accepted_at: datetime
    accepted_by: str


def accept(engine: Engine, use_case: str, names: Sequence[str], reason: str, by: str) -> None:
    """Record that these findings are no leaks; one that was accepted before gets the new reason.

    Raises ValueError, before anything is recorded, for a name that is none of a finding or an empty reason.
    """
    for name in names:
        kind, _, feature = name.partition(":")
        if kind not in KINDS or not feature.strip():
            raise ValueError(
                f"{name!r} is no finding's name, which is {', '.join(KINDS)}, a colon and what was found (word:crate): "
                "take it from the training's message"
            )
    if not reason.strip():
        raise ValueError("say by --reason why it is no leak: who reads the record later wants to know")
    with transaction(engine) as connection:
        for name in names:
            row = upsert(connection, accepted_leaks).values(
                use_case=use_case, name=name, reason=reason.strip(), accepted_at=datetime.now(UTC), accepted_by=by
            )
            changed = {key: row.excluded[key] for key in ("reason", "accepted_at", "accepted_by")}
            connection.execute(row.on_conflict_do_update(index_elements=["use_case", "name"], set_=changed))


def read_accepted(connection: Connection, use_case: str) -> list[AcceptedLeak]:
    """The use case's, the newest first."""
    table = accepted_leaks.c
    query = select(table.name, table.reason, table.accepted_at, table.accepted_by).where(table.use_case == use_case)
    return [AcceptedLeak(*row) for row in connection.execute(query.order_by(table.accepted_at.desc(), table.name))]
