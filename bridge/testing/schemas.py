"""Parameter schemas of the fake Prefect: made of models and functions, and enforced as Prefect's server does. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydantic import BaseModel, create_model

TEMPLATE_MARK = "__prefect_kind"

Parameters = Mapping[str, Any] | type[BaseModel] | Callable[..., Any] | None
"""What describes a deployment's parameters: a JSON schema, a model, a function with their signature, or nothing."""


class Refusal(Exception):
    """An error answer of the server: `status` and what stands under `detail`."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def schema_of(parameters: Parameters) -> dict[str, Any]:
    """The JSON schema that Prefect would keep for a flow with these parameters; empty when nothing is said of them."""
    if parameters is None:
        return {}
    if isinstance(parameters, Mapping):
        return dict(parameters)
    if isinstance(parameters, type) and issubclass(parameters, BaseModel):
        return parameters.model_json_schema()
    return _signature_model(parameters).model_json_schema()


def _signature_model(function: Callable[..., Any]) -> type[BaseModel]:
    fields: dict[str, Any] = {
        name: (
            Any if parameter.annotation is inspect.Parameter.empty else parameter.annotation,
            ... if parameter.default is inspect.Parameter.empty else parameter.default,
        )
        for name, parameter in inspect.signature(function, eval_str=True).parameters.items()
    }
    model: type[BaseModel] = create_model("Parameters", **fields)
    return model


def enforce(parameters: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Raise Refusal where Prefect's server would not start a run: 400 from hydration, 409 from the schema."""
    for value in parameters.values():
        if isinstance(value, Mapping) and TEMPLATE_MARK in value:
            raise Refusal(400, "Error hydrating flow run parameters: the fake Prefect renders no templates.")
    required, properties = schema.get("required", []), schema.get("properties", {})
    # The server lets an optional parameter be null, whatever its type, unless its schema names a default.
    strict = {name for name in parameters if name in required or "default" in properties.get(name, {})}
    seen = {name: value for name, value in parameters.items() if value is not None or name in strict}
    problem = best_match(Draft202012Validator(schema).iter_errors(seen))
    if problem is None:
        return
    path = problem.json_path.removeprefix("$").removeprefix(".")
    where = f" for field {path!r}" if path else ""
    raise Refusal(409, f"Error creating flow run: Validation failed{where}. Failure reason: {problem.message}")
