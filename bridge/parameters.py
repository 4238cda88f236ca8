"""Parameters are checked before anything is started. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match
from referencing.exceptions import Unresolvable

from bridge.border import trouble_with
from bridge.errors import ParametersRejected
from bridge.prefect_api.records import DeploymentRecord

TEMPLATE_MARK = "__prefect_kind"
"""Prefect's server renders an object with this key as a template, with access to its variables."""

REFERENCE_MARK = "$ref"
"""The flow's process and the worker put a block, secrets and all, in the place of an object with this key."""

_PLACEHOLDER = re.compile(r"{{\s*(prefect\.(?:blocks|variables)\.|\$)[^}]*}}")
"""What Prefect's worker renders in job variables: blocks, variables, and the environment of its own process."""


def check_parameters(parameters: Mapping[str, Any], record: DeploymentRecord, deployment: str) -> None:
    """Raise ParametersRejected, naming the field and the deployment, unless the parameters fit.

    They are checked as the server will see them: over the deployment's own defaults, by its schema. Values that are
    no JSON, template objects and references to blocks are refused: they could read Prefect's variables and secrets,
    and come from `dag_run.conf`. A deployment that does not enforce its schema (`enforce_parameter_schema=False`) is
    held to nothing else.
    """
    _refuse_what_cannot_cross(parameters, "parameters", deployment)
    _refuse_rendered(parameters, deployment, "parameters")
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


def check_job_variables(job_variables: Mapping[str, Any], deployment: str) -> None:
    """Raise ParametersRejected unless they can be sent as JSON and Prefect's worker would take them as they stand."""
    _refuse_what_cannot_cross(job_variables, "job_variables", deployment)
    _refuse_rendered(job_variables, deployment, "job_variables")
    _refuse_placeholders(job_variables, deployment, "job_variables")


def check_marks(name: str | None, tags: Iterable[str], labels: Mapping[str, Any], deployment: str) -> None:
    """Raise ParametersRejected unless a run's name, tags and labels can be stored."""
    for what, marks in (("name", name), ("tags", list(tags)), ("labels", labels)):
        _refuse_what_cannot_cross(marks, what, deployment)


def _refuse_what_cannot_cross(values: Any, what: str, deployment: str) -> None:
    if trouble := trouble_with(values, what):
        raise ParametersRejected(f"For {deployment!r}: {trouble}")


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


def _refuse_rendered(values: Any, deployment: str, path: str) -> None:
    for where, value in _walk(values, path):
        if not isinstance(value, Mapping):
            continue
        if TEMPLATE_MARK in value:
            raise ParametersRejected(
                f"{where} for {deployment!r} holds a template object ({TEMPLATE_MARK!r}), which Prefect's server would "
                "render; pass the value itself"
            )
        if _is_block_reference(value.get(REFERENCE_MARK)):
            raise ParametersRejected(
                f"{where} for {deployment!r} holds a reference to a block ({REFERENCE_MARK!r}), which Prefect would "
                "load; pass the value itself, or set the block in the deployment"
            )


def _refuse_placeholders(values: Any, deployment: str, path: str) -> None:
    for where, value in _walk(values, path):
        found = _PLACEHOLDER.search(value) if isinstance(value, str) else None
        if found:
            raise ParametersRejected(
                f"{where} for {deployment!r} holds {found.group()!r}, which Prefect's worker would render; pass the "
                "value itself, or set the template in the deployment or its work pool"
            )


def _is_block_reference(reference: Any) -> bool:
    """As `prefect.blocks.core.Block.load_from_ref` reads it: an id, or an object with an id or a slug."""
    if isinstance(reference, Mapping):
        return not reference.keys().isdisjoint({"block_document_id", "block_document_slug"})
    try:
        UUID(str(reference))
    except ValueError:
        return False
    return True


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every value within, with the way to it."""
    yield path, value
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _walk(inner, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{index}]")
