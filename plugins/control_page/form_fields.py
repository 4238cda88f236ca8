"""From a deployment's parameter schema to the fields of a form. Pure.

Owns how each type is asked for and what stands in a field at first. What is done with what people fill in is `forms`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from bridge.plain_text import as_json
from bridge.prefect_api.records import DeploymentRecord
from factory import contracts, use_cases
from plugins.control_page.parameter_schemas import kind_of, offered_by, resolved, skeleton_of, types_of
from plugins.control_page.redaction import is_secret, redacted

Control = Literal[
    "text", "secret", "integer", "number", "choice", "choices", "lines", "date", "month", "moment", "json"
]
_SIMPLE: Mapping[str, Control] = {"string": "text", "number": "number", "integer": "integer"}
_FORMATS: Mapping[str, Control] = {"date": "date", "date-time": "moment", "month": "month"}
_MONTH_PATTERNS = frozenset({r"^\d{4}-\d{2}$", r"^\d{4}-(0[1-9]|1[0-2])$", r"^[0-9]{4}-[0-9]{2}$"})
MODEL = "model"
"""The parameter that names one of a use case's models."""
_PERIODS: Mapping[str, Control] = {"month": "month", "day": "date"}
"""How a period is asked for by the clock's noun; else as its number."""
_SCALARS = frozenset({"integer", "number", "boolean"})
"""Types that a text may be besides, where the schema names them."""
_PICKED: Mapping[Control, tuple[str, str]] = {
    "date": ("date", r"\d{4}-\d\d-\d\d"),
    "month": ("month", r"\d{4}-(0[1-9]|1[0-2])"),
    "moment": ("datetime-local", r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?"),
}
"""A browser's pickers, and what they can show: they drop without a word whatever else stands in them."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter: how it is asked for, what stands in it, and what is wrong with that.

    `choices` are values as JSON, each with the words to show. `prefill` is what stands in it at first; what is left at
    that is left to the deployment, which has `fixed` it where nobody is asked.
    """

    name: str
    label: str
    control: Control
    required: bool
    nullable: bool
    description: str
    default: str
    choices: tuple[tuple[str, str], ...] = ()
    prefill: str = ""
    value: str = ""
    problem: str = ""
    fixed: bool = False
    rare: bool = False
    several: bool = False
    """Whether it takes values of other types besides, which are then written as JSON."""
    scalars: frozenset[str] = frozenset()
    """JSON types that a text in it is taken for, where it reads as one of them."""
    focus: bool = False

    @property
    def is_changed(self) -> bool:
        """Whether something else stands in it than at first."""
        return self.value.strip() != self.prefill.strip()

    @property
    def offered(self) -> tuple[tuple[str, str], ...]:
        """`choices`, and what stands in the field where it is none of them: a form would drop it without a word."""
        stands = self.value.splitlines() if self.control == "choices" else [self.value] if self.value else []
        known = dict(self.choices)
        return (*self.choices, *((each, each) for each in stands if each not in known))

    @property
    def input_type(self) -> str:
        """Of HTML's input types the one that can show what stands in it."""
        picker, shape = _PICKED.get(self.control, ("password" if self.control == "secret" else "text", ""))
        return picker if not shape or re.fullmatch(f"({shape})?", self.value) else "text"

    @property
    def pattern(self) -> str:
        """What a browser that has no such picker, and shows a field of text, refuses to send otherwise."""
        return _PICKED["month"][1] if self.control == "month" else ""

    @property
    def chosen(self) -> frozenset[str]:
        """Of `choices`, those that are."""
        return frozenset(self.value.splitlines())


def form_of(record: DeploymentRecord, name: str = "") -> list[Field]:
    """The deployment's parameters in the schema's order, with their defaults in place.

    `name` is its full one; what the contracts say of such a flow's fields holds: those that name people are not asked
    for, and those that are rarely used are marked.
    """
    schema = record.parameter_schema
    properties: Mapping[str, Any] = schema.get("properties", {})
    contract = contracts.params_of(name, properties)
    people = contract.people if contract else frozenset()
    ordered = sorted(properties, key=lambda each: properties[each].get("position", len(properties)))
    offers = contract.offers(record.parameters) if contract else {}
    fields = [_offering(_field(each, schema, record), offers) for each in ordered if each not in people]
    if contract is not None:
        fields = _of_clock(_with_models(fields, record), contract, record)
    marked = [replace(field, rare=_is_rare(field, contract)) for field in fields]
    if all(field.rare or field.fixed for field in marked):
        return fields
    return marked


def _with_models(fields: list[Field], record: DeploymentRecord) -> list[Field]:
    """The fields with the use case's models, of which one must be chosen; nobody is asked for the only one.

    Where the deployment fixes no use case, the model is asked for as the use case is.
    """
    if (use_case := record.parameters.get("use_case")) is None:
        return fields
    names = [model.name for each in use_cases.ALL if each.name == use_case for model in each.models]
    offered = tuple((name, name) for name in names)
    others = [field for field in fields if field.name != MODEL]
    if len(names) < 2:
        return others
    chosen = [replace(each, control="choice", choices=offered, required=True) for each in fields if each.name == MODEL]
    return [*chosen, *others]


def _of_clock(fields: list[Field], contract: type[contracts.Params], record: DeploymentRecord) -> list[Field]:
    """The fields as the use case counts its periods: a month has a picker, and none is asked for by other names."""
    if (use_case := record.parameters.get("use_case")) is None:
        return fields
    clock = use_cases.clock_of(use_case)
    strange = {name for noun, names in contract.by_clock.items() if noun != clock.noun for name in names}
    control = _PERIODS.get(clock.noun)
    return [
        replace(field, control=control) if control and field.name in contract.periods else field
        for field in fields
        if field.name not in strange
    ]


def as_value(field: Field, value: Any) -> Field:
    """The field with this value in it; a secret is not shown again."""
    return field if field.control == "secret" else replace(field, value=_written(field, value))


def _offering(field: Field, offers: Mapping[str, Sequence[str]]) -> Field:
    """The field with the choices of its deployment, where the contract knows them."""
    if field.control != "choices" or field.name not in offers:
        return field
    return replace(field, choices=tuple((each, each) for each in offers[field.name]))


def _is_rare(field: Field, contract: type[contracts.Params] | None) -> bool:
    if field.required or field.fixed:
        return False
    if contract is not None:
        return field.name not in contract.often
    return field.control == "json" or (field.nullable and not field.default)


def _field(name: str, schema: Mapping[str, Any], record: DeploymentRecord) -> Field:
    declared = resolved(schema["properties"][name], schema)
    branches = [resolved(each, schema) for each in declared.get("anyOf", declared.get("oneOf", ()))]
    nullable = any(each.get("type") == "null" for each in branches) or "null" in types_of(declared)
    solid = [each for each in branches if each.get("type") != "null"]
    beside = {key: value for key, value in declared.items() if key not in {"anyOf", "oneOf"}}
    kind = {**beside, **kind_of(solid)} if solid else declared
    default = redacted({name: record.parameters.get(name, declared.get("default"))}, schema)[name]
    given = name in record.parameters or "default" in declared
    field = Field(
        name=name,
        label=str(declared.get("title") or name),
        control="secret" if is_secret(name, declared) else _control(kind, schema),
        required=name in schema.get("required", ()) and not given,
        nullable=nullable,
        description=str(declared.get("description") or kind.get("description") or ""),
        default="" if default is None else _shown(default),
        choices=_choices(kind, schema, default, nullable=nullable),
        fixed=name in record.parameters,
        several=len(solid) > 1,
        scalars=_scalars(solid or [declared], default),
    )
    if field.control == "secret":
        return replace(field, default="" if default is None else "not shown")
    skeleton = field.control == "json" and default is None
    first = as_json(skeleton_of(kind, schema), indent=2) if skeleton else _written(field, default)
    return replace(field, prefill=first, value=first)


def _scalars(branches: Sequence[Mapping[str, Any]], default: Any) -> frozenset[str]:
    """What a text is taken for besides: `5` is a text where any text will do, unless the default is a number."""
    texts = [each for each in branches if "string" in types_of(each)]
    if all(offered_by(each) for each in texts) or not (default is None or isinstance(default, str)):
        return frozenset(name for each in branches for name in types_of(each)) & _SCALARS
    return frozenset()


def _control(kind: Mapping[str, Any], schema: Mapping[str, Any]) -> Control:
    types = types_of(kind) - {"null"}
    if offered_by(kind):
        return "choice"
    if types == {"array"}:
        items = resolved(kind.get("items") or {}, schema)
        known = items.get("enum", items.get("examples", ()))
        if known and all(isinstance(each, str) for each in known):
            return "choices"
        return "lines" if items.get("type") == "string" else "json"
    simple = next((control for name, control in _SIMPLE.items() if name in types), None)
    if simple == "text":
        return _FORMATS.get(kind.get("format", "")) or ("month" if kind.get("pattern") in _MONTH_PATTERNS else "text")
    return simple or "json"


def _choices(
    kind: Mapping[str, Any], schema: Mapping[str, Any], default: Any, *, nullable: bool
) -> tuple[tuple[str, str], ...]:
    if kind.get("type") == "array":
        items = resolved(kind.get("items") or {}, schema)
        known = [str(each) for each in items.get("enum", items.get("examples", ()))]
        more = [each for each in default or () if isinstance(each, str) and each not in known]
        return tuple((each, each) for each in [*known, *more])
    if "proposals" in kind:
        return tuple((each, each) for each in kind["proposals"])
    offered = offered_by(kind)
    if offered and default is not None and default not in offered:
        offered.append(default)
    if nullable and offered and default is not None and None not in offered:
        offered.append(None)
    return tuple((json.dumps(each), "nothing" if each is None else _shown(each)) for each in offered)


def _written(field: Field, value: Any) -> str:
    """The value as it stands in the field's control."""
    if field.control == "choice":
        return "" if value is None and "null" not in dict(field.choices) else json.dumps(value)
    if value is None:
        return ""
    if field.control in {"choices", "lines"} and isinstance(value, list) and _are_lines(value):
        return "\n".join(value)
    if field.control == "moment" and isinstance(value, str):
        return _for_picker(value)
    if isinstance(value, str) and field.control != "json":
        return value
    return as_json(value, indent=2 if field.control == "json" else None)


def _are_lines(value: Sequence[Any]) -> bool:
    """Whether each of them is a text that stands on one line as it is."""
    return all(isinstance(each, str) and [each.strip()] == each.splitlines() for each in value)


def _for_picker(text: str) -> str:
    """A moment as a browser's picker takes it, in UTC; what is none stays, and so do parts of a second."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return (moment.astimezone(UTC) if moment.tzinfo else moment).replace(tzinfo=None).isoformat()


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
