"""Prefect's filters and sort orders over plain documents, as far as the bridge uses them. Pure.

What the fake does not know is refused, never ignored: a filter without effect would let a wrong test pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from bridge.testing.schemas import Refusal

PAGE = 200

Document = dict[str, Any]

_CONDITIONS: dict[str, Callable[[Any, Any], bool]] = {
    "any_": lambda value, wanted: value in wanted,
    "not_any_": lambda value, wanted: value not in wanted,
    "all_": lambda value, wanted: set(value) >= set(wanted),
    "like_": lambda value, wanted: wanted.lower() in (value or "").lower(),
    "is_null_": lambda value, wanted: (not value) is wanted,
    "after_": lambda value, wanted: value is not None and _moment(value) >= _moment(wanted),
    "before_": lambda value, wanted: value is not None and _moment(value) <= _moment(wanted),
    "ge_": lambda value, wanted: value >= wanted,
    "le_": lambda value, wanted: value <= wanted,
}
_LISTS = {"tags"}


def matches(document: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether a document passes a filter; raises Refusal (501) for a criterion that the fake does not know."""
    criteria = dict(wanted or {})
    combine = any if criteria.pop("operator", "and_") == "or_" else all
    return combine([_holds(document, field, condition) for field, condition in criteria.items() if condition])


def _holds(document: Mapping[str, Any], field: str, condition: Mapping[str, Any]) -> bool:
    if field not in document:
        raise _unknown(f"filter {field!r}")
    value = document[field]
    if isinstance(value, dict):  # a state is filtered by its own fields
        return matches(value, condition)
    for name, operand in condition.items():
        if name not in _CONDITIONS:
            raise _unknown(f"condition {field}.{name}")
        if field in _LISTS and name == "any_":
            if not set(value) & set(operand):
                return False
        elif operand is not None and not _CONDITIONS[name](value, operand):
            return False
    return True


def page(found: Iterable[Document], asked: Mapping[str, Any], sorts: Sequence[str]) -> list[Document]:
    """The page of `found` that a request asks for, in its order; raises Refusal (422) as the server does.

    `sorts` are the orders that the endpoint knows, the first its default.
    """
    limit, order = asked.get("limit", PAGE), asked.get("sort", sorts[0])
    if not 0 <= limit <= PAGE:
        bound = "less than or equal to 200" if limit > PAGE else "greater than or equal to 0"
        raise Refusal(422, f"Invalid limit: must be {bound}.")
    if order not in sorts:
        raise Refusal(422, f"Input should be one of {', '.join(sorts)}")
    field, _, direction = order.rpartition("_")
    rows = sorted(found, key=lambda row: str(row[field.lower()] or ""), reverse=direction == "DESC")
    offset = asked.get("offset", 0)
    return rows[offset : offset + limit]


def event_matches(event: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether an event passes a subscription's filter; raises Refusal for a criterion that the fake does not know."""
    resource_id = event["resource"]["prefect.resource.id"]
    related_ids = [each["prefect.resource.id"] for each in event["related"]]
    tests: dict[str, Callable[[Any], bool]] = {
        "event.name": lambda names: event["event"] in names,
        "event.prefix": lambda prefixes: event["event"].startswith(tuple(prefixes)),
        "occurred.since": lambda since: _moment(event["occurred"]) >= _moment(since),
        "occurred.until": lambda until: _moment(event["occurred"]) <= _moment(until),
        "resource.id": lambda ids: resource_id in ids,
        "resource.id_prefix": lambda prefixes: resource_id.startswith(tuple(prefixes)),
        "any_resource.id": lambda ids: bool({resource_id, *related_ids} & set(ids)),
    }
    for part, conditions in wanted.items():
        for name, operand in conditions.items():
            if f"{part}.{name}" not in tests:
                raise _unknown(f"event filter {part}.{name}")
            if operand is not None and not tests[f"{part}.{name}"](operand):
                return False
    return True


def _unknown(what: str) -> Refusal:
    return Refusal(501, f"the fake Prefect does not know the {what}")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
