"""The decisions on champions: `decisions`, one row each, and how they are read.

Owns the table's rows. Must not know how a decision is reached; what a version bears besides is the registry's matter.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, RowMapping, select

from factory.catalogue.database import upsert
from factory.catalogue.schema import decisions
from factory.contracts import DatasetRef, PromotionResult
from factory.records import stored


class Decision(BaseModel):
    """One decision: what was decided, on which numbers and data, by whom or what.

    `decision_id` is the flow run's id, so that a run which is repeated decides once. `dataset` is what the challenger
    was trained on and tested with; who or what decided stands in the result.
    """

    model_config = ConfigDict(frozen=True)

    decision_id: str
    decided_at: datetime
    dataset: DatasetRef
    result: PromotionResult
    flow_run_url: str | None = None

    @property
    def outcome(self) -> str:
        """`promoted`, `rolled back`, or `kept` where the champion stayed as it was."""
        return "rolled back" if self.result.rolled_back else "promoted" if self.result.promoted else "kept"

    @property
    def changed_champion(self) -> bool:
        """Whether there is another champion since, or none."""
        return self.outcome != "kept" or self.result.rule == "by hand"


def record(connection: Connection, decision: Decision) -> None:
    """Write the decision; one of the same id that stands already stays as it is."""
    result = decision.result
    row = upsert(connection, decisions).values(
        decision_id=decision.decision_id,
        use_case=result.use_case,
        model=result.model,
        decided_at=decision.decided_at,
        decided_by=result.decided_by,
        outcome=decision.outcome,
        rule=result.rule,
        reason=result.reason,
        challenger_version=result.challenger_version,
        champion_version=result.champion_version,
        previous_champion_version=result.previous_champion_version,
        approved_by=result.approved_by,
        rejected_by=result.rejected_by,
        dataset=stored.dump(decision.dataset),
        result=stored.dump(result),
        flow_run_url=decision.flow_run_url,
    )
    connection.execute(row.on_conflict_do_nothing(index_elements=["decision_id"]))


def find_decision(connection: Connection, decision_id: str) -> Decision | None:
    """The decision of that id, None when there is none."""
    row = connection.execute(select(decisions).where(decisions.c.decision_id == decision_id)).mappings().first()
    return None if row is None else _decision(row)


def read_decisions(connection: Connection, model: str, *, limit: int | None = None) -> list[Decision]:
    """The decisions on the model, the newest first, at most `limit` of them."""
    query = select(decisions).where(decisions.c.model == model).order_by(decisions.c.decided_at.desc())
    return [_decision(row) for row in connection.execute(query.limit(limit)).mappings()]


def find_promotion(connection: Connection, model: str, version: str) -> Decision | None:
    """The last decision that made the version champion, None when there is none."""
    query = select(decisions).where(decisions.c.model == model, decisions.c.outcome == "promoted")
    made = query.where(decisions.c.champion_version == version).order_by(decisions.c.decided_at.desc()).limit(1)
    row = connection.execute(made).mappings().first()
    return None if row is None else _decision(row)


def _decision(row: RowMapping) -> Decision:
    return stored.load(Decision, dict(row))
