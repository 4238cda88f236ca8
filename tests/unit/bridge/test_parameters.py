"""Parameters are refused before anything is started, in words that name the field and the deployment."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bridge.errors import ParametersRejected
from bridge.parameters import check_job_variables, check_marks, check_parameters
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


BLOCK_REFERENCES = [
    {"$ref": {"block_document_slug": "secret/token"}},
    [{"deep": {"$ref": {"block_document_id": "8f6f7a52-51c6-4a0c-9a0e-0d8d6f6a9f10"}}}],
    {"$ref": "8f6f7a52-51c6-4a0c-9a0e-0d8d6f6a9f10"},
]


@pytest.mark.parametrize("value", BLOCK_REFERENCES)
def test_a_reference_to_a_block_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(ParametersRejected, match=r"parameters\.nested.*'train/products'.*'\$ref'"):
        check({"week": 1, "nested": value})
    with pytest.raises(ParametersRejected, match=r"job_variables\.env.*'\$ref'"):
        check_job_variables({"env": value}, "train/products")


def test_a_json_schema_is_a_value_like_any_other() -> None:
    check({"week": 1, "nested": {"$ref": "#/definitions/Mode"}})


@pytest.mark.parametrize(
    "value",
    [
        "{{ prefect.blocks.secret.token }}",
        "https://u:{{prefect.variables.password}}@host",
        ["a", {"deep": "{{ $PREFECT_API_KEY }}"}],
    ],
)
def test_a_job_variable_that_the_worker_would_render_is_refused(value: Any) -> None:
    with pytest.raises(ParametersRejected, match=r"job_variables\.env\.X.*'train/products'.*would render"):
        check_job_variables({"env": {"X": value}}, "train/products")


def test_job_variables_that_the_worker_takes_as_they_stand_pass() -> None:
    check_job_variables({"image": "m:1", "env": {"X": "{{ other }} $HOME prefect.blocks.x"}, "n": 3}, "train/products")
    with pytest.raises(ParametersRejected, match=r"job_variables\.image is of the type object"):
        check_job_variables({"image": object()}, "train/products")


@pytest.mark.parametrize(
    ("value", "trouble"),
    [
        (object(), r"week is of the type object, which is not plain JSON"),
        ({1, 2}, r"week is of the type set, which is not plain JSON"),
        (math.nan, r"week is nan, which JSON does not have"),
        ([{"x": -math.inf}], r"week\[0\]\.x is -inf"),
        ("a\x00b", r"week holds a character that is none"),
        ({"\ud800": 1}, r"week has a key '.*', which holds a character that is none"),
        ({1: 2}, r"week has a key 1, which is no text"),
        (2**63, r"week is an integer of more than 64 bits"),
        ("x" * 3_000_000, r"parameters is larger than 2 MB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_no_json_is_refused(value: Any, trouble: str) -> None:
    with pytest.raises(ParametersRejected, match=trouble):
        check({"week": value})


def test_what_is_nested_too_deep_is_refused() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ParametersRejected, match="is nested deeper than 50"):
        check({"week": value})


@pytest.mark.parametrize(
    ("name", "tags", "labels"), [("\x00", [], {}), (None, ["a\x00"], {}), (None, [], {"k": "\ud800"})]
)
def test_marks_that_the_server_cannot_store_are_refused(name: Any, tags: Any, labels: Any) -> None:
    with pytest.raises(ParametersRejected, match="character that is none"):
        check_marks(name, tags, labels, "train/products")
    check_marks("n", ["a"], {"k": 1}, "train/products")


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
