"""From a deployment's parameter schema to a form, and from what was filled in back to parameters. Pure.

A field that is left empty is left to the deployment. Whether the rest fits is the schema's to say, in its own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from bridge.prefect_api.records import DeploymentRecord

Control = Literal["text", "integer", "number", "choice", "date", "month", "moment", "json"]
PREFIX = "p."
"""Before the names of parameters in the form, beside which it has fields of its own."""
WHOLE = ""
"""The field of problems that belong to no field."""
LEVELS = 50
"""So deep may a value be nested: what goes through it calls itself, and Python ends that at some hundreds."""
_FORMATS: Mapping[str, Control] = {"date": "date", "date-time": "moment", "month": "month"}
_MONTH_PATTERNS = frozenset({r"^\d{4}-\d{2}$", r"^\d{4}-(0[1-9]|1[0-2])$", r"^[0-9]{4}-[0-9]{2}$"})


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter: how it is asked for, what stands in it, and what is wrong with that.

    `choices` are values as JSON, each with the words to show.
    """

    name: str
    label: str
    control: Control
    required: bool
    nullable: bool
    description: str
    default: str
    choices: tuple[tuple[str, str], ...] = ()
    value: str = ""
    problem: str = ""


class NotInForm(ValueError):
    """A text stands in a field whose values it cannot be; the message says what it should be."""


def form_of(record: DeploymentRecord) -> list[Field]:
    """The deployment's parameters in the schema's order, empty, with their defaults told."""
    schema = record.parameter_schema
    properties: Mapping[str, Any] = schema.get("properties", {})
    ordered = sorted(properties, key=lambda name: properties[name].get("position", len(properties)))
    return [_field(name, schema, record) for name in ordered]


def fill(fields: list[Field], posted: Mapping[str, str]) -> list[Field]:
    """The fields with what was typed into them."""
    return [replace(field, value=posted.get(PREFIX + field.name, "").strip()) for field in fields]


def read_form(fields: list[Field], record: DeploymentRecord) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters that were filled in, and what is wrong with each field; `WHOLE` names what belongs to none."""
    parameters: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        try:
            if field.value:
                parameters[field.name] = _value(field)
        except NotInForm as error:
            problems[field.name] = str(error)
    return parameters, {**dict(_refusals(parameters, record, skip=set(problems))), **problems}


def with_problems(fields: list[Field], problems: Mapping[str, str]) -> list[Field]:
    """The fields, each with what is wrong with it."""
    return [replace(field, problem=problems.get(field.name, "")) for field in fields]


def _refusals(parameters: Mapping[str, Any], record: DeploymentRecord, skip: set[str]) -> Iterator[tuple[str, str]]:
    """What the schema says of the parameters over the deployment's own, by top-level field, the last word first."""
    schema = record.parameter_schema
    if not schema or not record.enforces_schema:
        return
    merged = {**record.parameters, **parameters}
    try:
        Draft202012Validator.check_schema(schema)
        for error in Draft202012Validator(schema).iter_errors(merged):
            for name, said in _told(error, merged):
                if name not in skip:
                    yield name, said
    except (SchemaError, Unresolvable) as error:
        yield WHOLE, f"The parameter schema of this deployment is broken: {error}"


def _told(error: Any, merged: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if error.validator == "required" and not error.absolute_path:
        for name in error.validator_value:
            if name not in merged:
                yield name, f"{name!r} is a required property"
        return
    path = [str(part) for part in error.absolute_path]
    where = f"{'.'.join(path[1:])}: " if len(path) > 1 else ""
    # "is not valid under any of the given schemas" helps nobody: of the alternatives, those that are no null speak
    inner = [each for each in error.context or () if each.validator != "type" or each.validator_value != "null"]
    words = inner[0].message if len(inner) == 1 else error.message
    yield (path[0] if path else WHOLE), where + words


def _field(name: str, schema: Mapping[str, Any], record: DeploymentRecord) -> Field:
    declared = _resolved(schema["properties"][name], schema)
    branches = [_resolved(each, schema) for each in declared.get("anyOf", declared.get("oneOf", ()))]
    nullable = any(each.get("type") == "null" for each in branches)
    solid = [each for each in branches if each.get("type") != "null"]
    kind = {**declared, **solid[0]} if len(solid) == 1 else declared
    default = record.parameters.get(name, declared.get("default"))
    given = name in record.parameters or "default" in declared
    offered = (
        [True, False] if kind.get("type") == "boolean" else kind.get("enum", [kind["const"]] if "const" in kind else [])
    )
    if nullable and offered and default is not None:
        offered = [*offered, None]
    return Field(
        name=name,
        label=str(declared.get("title") or name),
        control=_control(kind, several=len(solid) > 1),
        required=name in schema.get("required", ()) and not given,
        nullable=nullable,
        description=str(declared.get("description") or kind.get("description") or ""),
        default="" if default is None else _shown(default),
        choices=tuple((json.dumps(each), _shown(each)) for each in offered),
    )


def _control(kind: Mapping[str, Any], *, several: bool) -> Control:
    if several:
        return "json"
    if kind.get("type") == "boolean" or "enum" in kind or "const" in kind:
        return "choice"
    if kind.get("type") == "string":
        form = _FORMATS.get(kind.get("format", ""))
        return form or ("month" if kind.get("pattern") in _MONTH_PATTERNS else "text")
    simple: Mapping[str, Control] = {"integer": "integer", "number": "number"}
    return simple.get(kind.get("type", ""), "json")


def _value(field: Field) -> Any:
    """What the text means in this field; raises NotInForm."""
    text = field.value
    if field.control in {"text", "date", "month"}:
        return text
    if field.control == "moment":
        return _in_utc(text)
    if field.control == "choice":
        return next((json.loads(each) for each, _ in field.choices if each == text), text)
    try:
        return _sendable(json.loads(text))
    except RecursionError as error:
        raise NotInForm(f"It is nested more than {LEVELS} deep") from error
    except UnicodeEncodeError as error:
        raise NotInForm("It holds half a character: a surrogate without its other half") from error
    except ValueError as error:
        is_number = field.control in {"integer", "number"}
        raise NotInForm(f"{text!r} is not of type {field.control!r}" if is_number else f"No JSON: {error}") from error


def _sendable(value: Any) -> Any:
    """The same value; raises RecursionError and UnicodeEncodeError for what could not be sent to Prefect."""
    layer, levels = [value], 0
    while layer := [inner for each in layer if isinstance(each, dict | list) for inner in _within(each)]:
        levels += 1
        if levels > LEVELS:
            raise RecursionError
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _within(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(value.values() if isinstance(value, dict) else value)


def _resolved(declared: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition behind a reference, with what is said beside it; `allOf` of one is that one."""
    if len(declared.get("allOf", ())) == 1:
        declared = {**declared["allOf"][0], **{key: value for key, value in declared.items() if key != "allOf"}}
    reference = declared.get("$ref", "")
    if not reference.startswith("#/"):
        return declared
    found: Any = schema
    for part in reference[2:].split("/"):
        found = found.get(part, {}) if isinstance(found, Mapping) else {}
    return {**found, **{key: value for key, value in declared.items() if key != "$ref"}}


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _in_utc(text: str) -> str:
    """What a browser's picker gives has no zone, and the form says that it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
