"""From what was filled into a form back to parameters. Pure.

A field that is left as it was is left to the deployment, and so is one that is empty, save where nothing is a value of
its own. Whether the rest fits is the schema's to say, in its own words.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from referencing.exceptions import Unresolvable

from bridge.prefect_api.records import DeploymentRecord
from plugins.control_page.form_fields import Field, as_value, form_of
from plugins.control_page.redaction import HIDDEN, redacted

__all__ = ["WHOLE", "Field", "NotInForm", "fill", "fill_as", "form_of", "read_form", "with_problems"]

PREFIX = "p."
"""Before the names of parameters in the form, beside which it has fields of its own."""
WHOLE = ""
"""The field of problems that belong to no field."""
LEVELS = 50
"""So deep may a value be nested: what goes through it calls itself, and Python ends that at some hundreds."""
TEXTS = frozenset({"text", "secret", "date", "month", "moment"})
"""Controls in which a text stands as it is."""
EMPTY = frozenset({"{}", "[]"})
"""Skeletons in which nothing has to be filled in: left as they are they are meant."""


class NotInForm(ValueError):
    """A text stands in a field whose values it cannot be; the message says what it should be."""


def fill(fields: list[Field], posted: Mapping[str, str]) -> list[Field]:
    """The fields with what was typed into them; one that was not sent, or is fixed, stays as it is."""
    return [
        field
        if field.fixed or PREFIX + field.name not in posted
        else replace(field, value=posted[PREFIX + field.name].replace("\r\n", "\n").strip())
        for field in fields
    ]


def fill_as(fields: list[Field], parameters: Mapping[str, Any], record: DeploymentRecord) -> list[Field]:
    """The fields with the parameters of a run in them, without what is secret in these; one that is fixed stays as the
    deployment has it."""
    shown = redacted(parameters, record.parameter_schema)
    return [
        as_value(field, shown[field.name]) if field.name in shown and not field.fixed else field for field in fields
    ]


def read_form(fields: list[Field], record: DeploymentRecord) -> tuple[dict[str, Any], dict[str, str]]:
    """The parameters that were filled in, and what is wrong with each field; `WHOLE` names what belongs to none."""
    parameters: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for field in fields:
        if not field.is_changed and not (field.required and field.value in EMPTY):
            continue
        try:
            if field.value:
                parameters[field.name] = _value(field)
            elif field.nullable and field.default:
                parameters[field.name] = None
        except NotInForm as error:
            problems[field.name] = str(error)
    missing = [each.name for each in fields if each.required and each.name not in parameters and record.enforces_schema]
    told = {name: f"{name!r} is a required property" for name in missing}
    return parameters, {**told, **dict(_refusals(parameters, record, skip=set(problems))), **problems}


def with_problems(fields: list[Field], problems: Mapping[str, str]) -> list[Field]:
    """The fields, each with what is wrong with it; the first that is refused has the focus."""
    first = next((field.name for field in fields if field.name in problems), None)
    return [replace(field, problem=problems.get(field.name, ""), focus=field.name == first) for field in fields]


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


def _value(field: Field) -> Any:
    """What the text means in this field; raises NotInForm."""
    text = field.value
    _refuse_hidden(text)
    if field.control in {"choices", "lines"} and not text.startswith("["):
        return [line.strip() for line in text.splitlines() if line.strip()]
    if field.control in TEXTS and not (field.several and text[0] in "[{"):
        return _scalar(field, text)
    if field.control == "choice":
        return _chosen(text)
    try:
        return _sendable(json.loads(text))
    except RecursionError as error:
        raise NotInForm(f"It is nested more than {LEVELS} deep") from error
    except UnicodeEncodeError as error:
        raise NotInForm("It holds half a character: a surrogate without its other half") from error
    except ValueError as error:
        is_number = field.control in {"integer", "number"}
        raise NotInForm(f"{text!r} is not of type {field.control!r}" if is_number else f"No JSON: {error}") from error


def _refuse_hidden(text: str) -> None:
    """What stands for a secret in a field is none: it came from a run, or the deployment, of which it is not shown."""
    if HIDDEN in text.splitlines() or f'"{HIDDEN}"' in text or f"://{HIDDEN}@" in text:
        raise NotInForm(f"{HIDDEN} stands for a secret, which is not shown again: write the secret in its place")


def _scalar(field: Field, text: str) -> Any:
    """The text, or what it reads as where the schema has such a type and no text of that kind."""
    if field.scalars:
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        if (isinstance(value, bool) and "boolean" in field.scalars) or (
            isinstance(value, int | float) and not isinstance(value, bool) and field.scalars & {"integer", "number"}
        ):
            return value
    return _in_utc(text) if field.control == "moment" else text


def _chosen(text: str) -> Any:
    """One of the choices; what is none of them is refused by the schema, in whose words a text is one."""
    try:
        return json.loads(text)
    except ValueError:
        return text


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


def _in_utc(text: str) -> str:
    """What a browser's picker gives has no zone, and the form says that it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
