"""What every contract is made of: the strict model, a result that tells itself, parameters, and the shared bounds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from factory.use_cases.clock import Day, Month, Week
from factory.use_cases.tasks import Task

# The bounds that contracts and flows share: Prefect's schema holds them, so that every form refuses at the field.
WeekNumber: TypeAlias = Annotated[int, Field(ge=1)]
Period: TypeAlias = Annotated[
    str, Field(pattern=rf"^({'|'.join(clock.pattern for clock in (Week, Month, Day))})$", examples=[Month.example])
]
"""A period as its use case's clock writes it: 3, 2017-06 or 2017-06-12."""
MonthName: TypeAlias = Annotated[str, Field(pattern=rf"^{Month.pattern}$", examples=[Month.example])]
"""A month: 2017-06."""
Count: TypeAlias = Annotated[int, Field(ge=0)]
TableName: TypeAlias = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$", max_length=63, examples=["tracks"])]
"""A table of the catalogue; 63 characters are what PostgreSQL keeps of a name."""
AtLeastOne: TypeAlias = Annotated[int, Field(ge=1)]
AtLeastTwo: TypeAlias = Annotated[int, Field(ge=2)]
Positive: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
_CANDIDATES = dict.fromkeys(name for task in get_args(Task) for name in task.candidates)
Candidate: TypeAlias = Annotated[str, Field(examples=list(_CANDIDATES))]
"""The name of one that a training may compare; `Params.offers` says which a use case has."""
Names: TypeAlias = Annotated[list[Candidate], Field(min_length=1)]


class Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Measured(Contract):
    """A value of `metric`, which is written under the metric's own name: f1_weighted, where none is said."""

    metric: str = "f1_weighted"
    value: float

    @model_validator(mode="before")
    @classmethod
    def _read(cls, document: Any) -> Any:
        if not isinstance(document, Mapping) or "value" in document:
            return document
        name = document.get("metric", cls.model_fields["metric"].default)
        rest = {key: found for key, found in document.items() if key != name}
        return {**rest, "value": document[name]} if name in document else document

    @model_serializer(mode="wrap")
    def _write(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        value, name = document.pop("value"), document.pop("metric")
        told = {} if name == type(self).model_fields["metric"].default else {"metric": name}
        return {**told, name: value, **document}


class Result(Contract):
    """A result with nothing to tell but what it overrides."""

    def facts(self) -> dict[str, str]:
        return {}

    def reservations(self) -> list[str]:
        return []

    def news(self) -> list[str]:
        return []

    def links(self) -> dict[str, str]:
        return {}


class OfModel(Result):
    """A result of one model of a use case.

    What was stored before use cases had several models names none: the only one bore the use case's name.
    """

    use_case: str
    model: str

    @property
    def label(self) -> str:
        """By which people tell it from the results of other models."""
        return self.model

    @model_validator(mode="before")
    @classmethod
    def _name_the_model(cls, document: Any) -> Any:
        return named(document)


def named(document: Any) -> Any:
    """The document with its model's name; where it names none that is the use case's."""
    if not isinstance(document, Mapping) or "use_case" not in document or document.get("model"):
        return document
    return {**document, "model": document["use_case"]}


class Params(Contract):
    """What a flow takes, and what whoever starts it for somebody has to know of that."""

    without_promotion: ClassVar[Mapping[str, Any] | None] = MappingProxyType({})
    """What a run has to be given to change no champion; None where it always may."""
    people: ClassVar[frozenset[str]] = frozenset()
    """Fields that name who asked or decided: whoever knows who is logged in fills them in, and asks nobody."""
    often: ClassVar[tuple[str, ...]] = ()
    """The fields that a form shows at once; the others are rarely used."""
    periods: ClassVar[frozenset[str]] = frozenset()
    """Fields that hold a period as the use case's clock writes it."""
    by_clock: ClassVar[Mapping[str, frozenset[str]]] = MappingProxyType(
        {
            Month.noun: frozenset({"current_month", "snapshot_month"}),
            Week.noun: frozenset({"week_number", "week"}),
        }
    )
    """Fields that mean nothing, or say the same once more, where the use case counts other periods than these."""

    @classmethod
    def offers(cls, fixed: Mapping[str, Any]) -> Mapping[str, tuple[str, ...]]:  # noqa: ARG003
        """What a form offers in which field, where a deployment has `fixed` these; else what the schema does."""
        return {}

    @classmethod
    def may_promote(cls, given: Mapping[str, Any]) -> bool:
        """Whether a run with these parameters may change the champion."""
        if cls.without_promotion is None:
            return True
        taken = {name: given.get(name, cls.model_fields[name].default) for name in cls.without_promotion}
        return taken != cls.without_promotion
