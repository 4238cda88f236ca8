"""Where a decision on the champion is written: tags on the versions, and one row in the catalogue.

Owns the tags' names and how a decision that was cut short is found again. The alias is the last thing to move, so the
champion's own tags tell which decision made it; the row comes after that, and where a process died in between, the next
decision completes it from those tags. Must not know how a decision is reached.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from factory.contracts import DatasetRef, PromotionResult
from factory.records import decisions, stored
from factory.records.decisions import Decision
from factory.use_cases.metrics import declared, headlines
from flows.adapters import registry
from flows.adapters.initiator import Initiator
from flows.adapters.registry import CHAMPION, Version

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from sqlalchemy import Connection

PREVIOUS_TAG = "previous_champion"
ROLLED_BACK_TAG = "rolled_back_at"
MADE_CHAMPION_TAG = "made_champion_by"
"""The decision that gave the title to this version, as JSON: all that its row in the catalogue needs."""


def find_earlier(
    connection: Connection, client: MlflowClient, model: str, initiator: Initiator
) -> PromotionResult | None:
    """What this very flow run decided before it was repeated, None when it has decided nothing yet.

    Completes the catalogue on the way: the decision that made the present champion has its row afterwards.
    """
    complete(connection, client, model)
    found = decisions.find_decision(connection, initiator.flow_run_id)
    return found.result if found else None


def complete(connection: Connection, client: MlflowClient, model: str) -> None:
    """The decision that made the present champion has its row afterwards."""
    if document := registry.alias_tags(client, model, CHAMPION).get(MADE_CHAMPION_TAG):
        decisions.record(connection, stored.load_json(Decision, document))


def write_verdict(
    connection: Connection, client: MlflowClient, challenger: Version, result: PromotionResult, initiator: Initiator
) -> None:
    """Write the verdict on the challenger, and then give it the title if it was promoted."""
    decision = _decision(challenger.dataset, result, initiator)
    if result.rule != "standing":  # its tags still tell how it became champion
        registry.tag(client, challenger, _verdict_tags(decision))
    if result.promoted:
        made = {
            PREVIOUS_TAG: result.previous_champion_version,
            ROLLED_BACK_TAG: None,
            MADE_CHAMPION_TAG: stored.dump_json(decision),
        }
        registry.tag(client, challenger, made)
        registry.give_alias(client, challenger, CHAMPION)
    decisions.record(connection, decision)


def write_rollback(
    connection: Connection,
    client: MlflowClient,
    leaving: Version,
    returning: Version,
    result: PromotionResult,
    initiator: Initiator,
) -> None:
    """Write the rollback on both versions, and then give the title back."""
    decision = _decision(leaving.dataset, result, initiator)
    said = {**_said(decision), "decision_reason": result.reason}
    registry.tag(client, leaving, {**said, "decision": "rolled back", ROLLED_BACK_TAG: said["decided_at"]})
    made = {"decision": "restored", MADE_CHAMPION_TAG: stored.dump_json(decision)}
    registry.tag(client, returning, {**said, **made})
    registry.give_alias(client, returning, CHAMPION)
    decisions.record(connection, decision)


def write_mended(
    connection: Connection,
    client: MlflowClient,
    model: str,
    holder: Version | None,
    dataset: DatasetRef,
    result: PromotionResult,
    initiator: Initiator,
) -> None:
    """Write that a person set the title, and then give it to `holder`, or take it from whoever bears it."""
    decision = _decision(dataset, result, initiator)
    if holder is not None:
        said = {**_said(decision), "decision": "by hand", "decision_reason": result.reason}
        registry.tag(client, holder, {**said, MADE_CHAMPION_TAG: stored.dump_json(decision)})
        registry.give_alias(client, holder, CHAMPION)
    elif registry.alias_number(client, model, CHAMPION):
        registry.take_alias(client, model, CHAMPION)
    decisions.record(connection, decision)


def _decision(dataset: DatasetRef, result: PromotionResult, initiator: Initiator) -> Decision:
    return Decision(
        decision_id=initiator.flow_run_id,
        decided_at=datetime.now(UTC),
        dataset=dataset,
        result=result,
        flow_run_url=initiator.flow_run_url,
    )


def _said(decision: Decision) -> dict[str, Any]:
    return {
        "decided_at": decision.decided_at.isoformat(timespec="seconds"),
        "decided_by": decision.result.decided_by,
        "decision_id": decision.decision_id,
    }


def _verdict_tags(decision: Decision) -> dict[str, Any]:
    result = decision.result
    mine, theirs = result.challenger_metrics, result.previous_champion_metrics
    return {
        **_said(decision),
        "decision": "promoted" if result.promoted else "not promoted",
        "decision_rule": result.rule,
        "decision_reason": result.reason,
        "decision_threshold": result.threshold,
        "decision_test_version": result.test_version,
        "decision_test_sha256": decision.dataset.test.sha256,
        "decision_test_looks": result.test_looks,
        **{f"decision_{each.name}": f"{mine[each.name]:.6f}" for each in headlines(mine)},
        "decision_champion_version": result.previous_champion_version,
        **{
            f"decision_champion_{each.name}": f"{theirs[each.name]:.6f}" if theirs else None
            for each in declared(mine)[:1]
        },
        "decision_gain": None if result.gain is None else f"{result.gain:.6f}",
        "decision_gain_at_least": None if result.gain_at_least is None else f"{result.gain_at_least:.6f}",
        "approved_by": result.approved_by,
        "rejected_by": result.rejected_by,
    }
