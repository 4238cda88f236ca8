"""What a repository is told of a decision: a file a model, and a commit's message.

Owns both forms, and which of two decisions a file shows. Pure. Must not know how they get into a repository.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import yaml

from bridge.plain_text import as_line
from factory.contracts import DatasetRef
from factory.records.decisions import Decision
from flows.adapters.promotion_results import recorded
from flows.adapters.registry import Version

SCHEMA = 1
"""Raised by whoever gives a field of the file another meaning."""
DECISION = "Decision"
"""The trailer by which a commit names its decision."""
HEAD = "# Written by the promotion, one commit a decision; `git log` of this file tells them all.\n"
NOBODY = "nobody was recorded"


@dataclass(frozen=True, slots=True)
class Champion:
    """The champion after a decision, as the registry has it, and the checksum of its model's file."""

    version: Version
    sha256: str


def path_of(folder: str, use_case: str, model: str) -> str:
    """Where the model's file lies in the repository."""
    return f"{folder}/{use_case}/{model}.yaml"


def manifest(decision: Decision, model: str, champion: Champion | None) -> str:
    """The file's text after the decision; without a champion where there is none, or the registry holds it no more.

    Fields always stand in the same order. A champion that the gate chose comes with the numbers and the data of its
    judgement, any other with those of its training.
    """
    result = decision.result
    judged = decision.outcome == "promoted" and result.rule != "by hand"
    version = champion.version if champion else None
    data = decision.dataset if judged else version.dataset if version else None
    metrics = result.challenger_metrics if judged else recorded(version) if version else {}
    document = {
        "schema": SCHEMA,
        "use_case": result.use_case,
        "model": model,
        "version": result.champion_version,
        "sha256": champion.sha256 if champion else None,
        "metrics": {name: round(value, 6) for name, value in metrics.items()},
        "data": _data(data) if data else None,
        "decision": _decision(decision),
    }
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)
    return HEAD + text


def is_later(decision: Decision, text: str | None) -> bool:
    """Whether the decision was taken after that which the file tells of; a file that tells of none is older."""
    return text is None or _moment(text) < decision.decided_at


def subject(decision: Decision, model: str) -> str:
    """The decision in one line: `Promote churn v12`."""
    result = decision.result
    if result.champion_version is None:
        return f"Leave {model} without a champion"
    if result.rolled_back:
        return f"Roll back {model} to v{result.champion_version}"
    return f"Promote {model} v{result.champion_version}{' by hand' if result.rule == 'by hand' else ''}"


def message(decision: Decision, model: str) -> str:
    """The commit's message: what was decided, why, and by trailers which decision it was and whose."""
    result = decision.result
    trailers = {
        DECISION: decision.decision_id,
        "Decided-by": result.decided_by,
        "Approved-by": result.approved_by,
        "Flow-run": decision.flow_run_url,
    }
    told = "\n".join(f"{key}: {as_line(value)}" for key, value in trailers.items() if value)
    return f"{subject(decision, model)}\n\n{as_line(result.reason)}\n\n{told}\n"


def merge_message(decision: Decision, model: str) -> str:
    """The message of the commit that takes a decision in and leaves the file to a later one."""
    return f'Merge "{subject(decision, model)}"\n\nA later decision stands in the file, and stays there.\n'


def author(decision: Decision) -> str:
    """Who decided."""
    return decision.result.decided_by or NOBODY


def _data(dataset: DatasetRef) -> dict[str, Any]:
    test = {"version": dataset.test_version, "rows": dataset.test.rows, "sha256": dataset.test.sha256}
    return {
        "week": dataset.week,
        "revision": dataset.revision,
        "rows": dataset.rows,
        "sha256": dataset.sha256,
        "test": test,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    result = decision.result
    return {
        "id": decision.decision_id,
        "decided_at": decision.decided_at.astimezone(UTC).isoformat(),
        "outcome": decision.outcome,
        "rule": result.rule,
        "reason": result.reason,
        "decided_by": result.decided_by,
        "approved_by": result.approved_by,
        "previous_version": result.previous_champion_version,
    }


def _moment(text: str) -> datetime:
    """When the file's decision was taken; of a file that a person made something else of, before all others."""
    try:
        told = datetime.fromisoformat(str(yaml.safe_load(text)["decision"]["decided_at"]))
    except (yaml.YAMLError, LookupError, TypeError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return told if told.tzinfo else told.replace(tzinfo=UTC)
