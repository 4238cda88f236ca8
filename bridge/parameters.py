"""Parameters are checked before anything is started. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing.exceptions import Unresolvable

from bridge.errors import ParametersRejected
from bridge.prefect_api.records import DeploymentRecord

TEMPLATE_MARK = "__prefect_kind"
"""Prefect's server renders an object with this key as a template, with access to its variables."""


def check_parameters(parameters: Mapping[str, Any], record: DeploymentRecord, deployment: str) -> None:
    """Raise ParametersRejected, naming the field and the deployment, unless the parameters fit.

    They are checked as the server will see them: over the deployment's own defaults, by its schema. Values that are
    no JSON, and template objects (which could read Prefect's variables and come from `dag_run.conf`), are refused. A
    deployment that does not enforce its schema (`enforce_parameter_schema=False`) is held to nothing else.
    """
    check_json(parameters, "Parameters", deployment)
    _refuse_templates(parameters, deployment, "parameters")
    schema = record.parameter_schema
    if not schema or not record.enforces_schema:
        return
    unknown = sorted(set(parameters) - set(schema.get("properties", {})))
    if unknown:
        known = ", ".join(schema.get("properties", {})) or "none"
        raise ParametersRejected(f"Deployment {deployment!r} takes no parameter {unknown[0]!r}; it takes: {known}")
    try:
        Draft202012Validator.check_schema(schema)
        problem = best_match(Draft202012Validator(schema).iter_errors(_seen_by_server(schema, record, parameters)))
    except SchemaError as error:
        raise ParametersRejected(f"The parameter schema of {deployment!r} is broken: {error.message}") from error
    except Unresolvable as error:
        raise ParametersRejected(f"The parameter schema of {deployment!r} is broken: {error} leads nowhere") from error
    if problem is not None:
        field = ".".join(str(part) for part in problem.absolute_path) or "parameters"
        raise ParametersRejected(f"Parameter {field!r} of deployment {deployment!r}: {problem.message}")


def check_json(values: Mapping[str, Any], what: str, deployment: str) -> None:
    """Raise ParametersRejected unless the values can be sent as JSON."""
    try:
        json.dumps(values, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParametersRejected(f"{what} for {deployment!r} are not plain JSON: {error}") from error


def _seen_by_server(
    schema: Mapping[str, Any], record: DeploymentRecord, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Parameters over defaults, without the nulls that Prefect's server lets pass whatever their type is.

    Those are of optional fields without a default in the schema (prefect/utilities/schema_tools/validation.py).
    """
    merged = {**record.parameters, **parameters}
    nullable = {
        name
        for name, field in schema.get("properties", {}).items()
        if name not in schema.get("required", []) and "default" not in field
    }
    return {name: value for name, value in merged.items() if value is not None or name not in nullable}


def _refuse_templates(value: Any, deployment: str, path: str) -> None:
    if isinstance(value, Mapping):
        if TEMPLATE_MARK in value:
            raise ParametersRejected(
                f"{path} for {deployment!r} holds a template object ({TEMPLATE_MARK!r}), which Prefect's server would "
                "render; pass the value itself"
            )
        for key, inner in value.items():
            _refuse_templates(inner, deployment, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _refuse_templates(inner, deployment, f"{path}[{index}]")
