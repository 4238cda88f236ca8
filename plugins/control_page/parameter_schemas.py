"""What a deployment's parameter schema says of one parameter, as far as a form asks. Pure.

Owns references, unions and skeletons of JSON schemas as pydantic writes them. Knows no field and no control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NESTED = 6
"""So deep goes the skeleton of an object; schemas may contain themselves."""
SIMPLE = ("string", "number", "integer")
"""The alternatives of a union that are asked for, the first of them that it has."""
_BLANKS: Mapping[str, Any] = {"string": "", "integer": 0, "number": 0, "boolean": False}


def kind_of(branches: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """What is asked for of a union: all choices where each alternative is a choice, else the simplest alternative.

    A choice beside something else is a text, with what may be chosen as proposals.
    """
    offered = [value for each in branches for value in offered_by(each)]
    if len(branches) > 1 and all(offered_by(each) for each in branches):
        return {"enum": offered}
    proposed = [value for value in offered if isinstance(value, str)]
    return {"type": "string", "proposals": proposed} if len(branches) > 1 and proposed else _simplest(branches)


def _simplest(branches: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The alternative that is easiest to fill in."""
    for kind in SIMPLE:
        for each in branches:
            if each.get("type") == kind:
                return each
    return branches[0]


def offered_by(kind: Mapping[str, Any]) -> list[Any]:
    """The values of a type that has few of them; empty for every other."""
    if "enum" in kind or "const" in kind:
        return list(kind.get("enum", [kind["const"]] if "const" in kind else []))
    return [True, False] if "boolean" in types_of(kind) else []


def skeleton_of(kind: Mapping[str, Any], schema: Mapping[str, Any], deep: int = 0) -> Any:
    """A value of the schema's shape in which the values have to be filled in."""
    kind = resolved(kind, schema)
    if kind.get("default") is not None:
        return kind["default"]
    if branches := [resolved(each, schema) for each in kind.get("anyOf", kind.get("oneOf", ()))]:
        nullable = any(each.get("type") == "null" for each in branches)
        return None if nullable else skeleton_of(_simplest(branches), schema, deep + 1)
    if "enum" in kind or "const" in kind:
        return kind.get("const", next(iter(kind.get("enum", ())), None))
    if deep > NESTED:
        return None
    if kind.get("type") == "object" or "properties" in kind:
        return {name: skeleton_of(each, schema, deep + 1) for name, each in kind.get("properties", {}).items()}
    if kind.get("type") == "array":
        if kind.get("prefixItems"):
            return [skeleton_of(each, schema, deep + 1) for each in kind["prefixItems"]]
        return [skeleton_of(kind["items"], schema, deep + 1)] if kind.get("items") else []
    return next((_BLANKS[each] for each in types_of(kind) if each in _BLANKS), None)


def types_of(kind: Mapping[str, Any]) -> set[str]:
    named = kind.get("type", ())
    return {named} if isinstance(named, str) else set(named)


def resolved(declared: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition behind a reference, with what is said beside it; `allOf` of one is that one."""
    if len(declared.get("allOf", ())) == 1:
        declared = {**declared["allOf"][0], **{key: value for key, value in declared.items() if key != "allOf"}}
    for _ in range(NESTED):
        reference = declared.get("$ref", "")
        if not reference.startswith("#/"):
            break
        found: Any = schema
        for part in reference[2:].split("/"):
            found = found.get(part, {}) if isinstance(found, Mapping) else {}
        declared = {**found, **{key: value for key, value in declared.items() if key != "$ref"}}
    return declared
