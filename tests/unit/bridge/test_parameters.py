"""Parameters are refused before anything is started, in words that name the field and the deployment."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bridge.errors import ParametersRejected
from bridge.parameters import check_parameters
from bridge.prefect_api.records import DeploymentRecord

SCHEMA = {
    "type": "object",
    "properties": {
        "week": {"type": "integer", "minimum": 1},
        "mode": {"$ref": "#/definitions/Mode"},
        "nested": {"type": "object"},
    },
    "required": ["week"],
    "definitions": {"Mode": {"enum": ["fast", "slow"]}},
}


def record(defaults: dict[str, Any] | None = None, schema: dict[str, Any] | None = None) -> DeploymentRecord:
    document = {"id": "1", "name": "products", "flow_id": "2", "parameters": defaults or {}}
    return DeploymentRecord.parse({**document, "parameter_openapi_schema": SCHEMA if schema is None else schema})


def check(parameters: dict[str, Any], deployment: DeploymentRecord | None = None) -> None:
    check_parameters(parameters, deployment or record(), "train/products")


def test_fitting_parameters_pass() -> None:
    check({"week": 3, "mode": "fast"})


def test_a_default_of_the_deployment_counts() -> None:
    check({"mode": "slow"}, record(defaults={"week": 1}))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"week": "three"}, ["'week'", "'three'", "integer"]),
        ({"week": 0}, ["'week'", "minimum"]),
        ({"week": 1, "mode": "other"}, ["'mode'", "'other'"]),
        ({}, ["'week'", "required"]),
        ({"week": 1, "wek": 2}, ["'wek'", "week, mode, nested"]),
    ],
)
def test_the_message_names_field_and_deployment(parameters: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ParametersRejected) as refused:
        check(parameters)
    for word in [*words, "'train/products'"]:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    "value",
    [
        {"__prefect_kind": "jinja", "template": "{{ x }}"},
        [1, {"deep": {"__prefect_kind": "workspace_variable", "variable_name": "secret"}}],
    ],
)
def test_a_template_object_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(ParametersRejected, match=r"nested.*__prefect_kind"):
        check({"week": 1, "nested": value})


@pytest.mark.parametrize("value", [object(), math.nan, {1, 2}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(ParametersRejected, match="not plain JSON"):
        check({"week": value})


def test_null_is_fine_where_prefect_takes_it() -> None:
    check({"week": 1, "nested": None, "mode": None})
    with pytest.raises(ParametersRejected, match="'week'"):
        check({"week": None})


@pytest.mark.parametrize("week", [{"type": "whole number"}, {"$ref": "#/definitions/Nowhere"}])
def test_a_broken_schema_is_said_to_be_broken(week: dict[str, str]) -> None:
    broken = record(schema={"type": "object", "properties": {"week": week}})
    with pytest.raises(ParametersRejected, match=r"schema of 'train/products' is broken"):
        check({"week": 1}, broken)


def test_a_deployment_without_schema_takes_anything_but_templates() -> None:
    check({"anything": 1}, record(schema={}))
    with pytest.raises(ParametersRejected):
        check({"anything": {"__prefect_kind": "json"}}, record(schema={}))
