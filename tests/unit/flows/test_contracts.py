"""Flows take what the contracts send, in the order that users know."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from pydantic import BaseModel

from factory import contracts, use_cases
from factory.use_cases.use_case import Declared, UseCase
from flows.acquisition import acquisition
from flows.core import clustering, similarity
from flows.core.candidates import CANDIDATES
from flows.core.logic import logic_of
from flows.core.tables import BINARY_CANDIDATES, REGRESSION_CANDIDATES
from flows.monitor_and_retrain import monitor_and_retrain
from flows.pipeline_flow import training_pipeline
from flows.promotion import promotion
from flows.reference_data import reference_data
from flows.scoring import score

PAIRS = [
    (training_pipeline, contracts.training("products"), {"week"}),
    (promotion, contracts.promotion("products"), set()),
    (score, contracts.score("products"), set()),
    (monitor_and_retrain, contracts.monitor("products"), set()),
    (acquisition, contracts.acquisition("products"), set()),
    (reference_data, contracts.reference_data("products"), set()),
]


@pytest.mark.parametrize(("flow", "deployment", "more"), PAIRS, ids=lambda value: getattr(value, "name", ""))
def test_a_flow_takes_the_fields_of_its_contract_with_their_defaults(
    flow: Any, deployment: Any, more: set[str]
) -> None:
    signature = inspect.signature(flow.fn).parameters
    contract: type[BaseModel] = deployment.params

    assert f"{flow.name}/products" == deployment.name
    assert set(signature) == set(contract.model_fields) | more
    for name, field in contract.model_fields.items():
        default = inspect.Parameter.empty if field.is_required() else field.default
        assert signature[name].default == default, name


@pytest.mark.parametrize(("flow", "deployment", "more"), PAIRS, ids=lambda value: getattr(value, "name", ""))
def test_the_schema_of_a_flow_has_the_bounds_of_its_contract_and_says_what_each_field_is(
    flow: Any, deployment: Any, more: set[str]
) -> None:
    contract = deployment.params.model_json_schema()["properties"]
    fields = flow.parameters.properties

    for name, field in fields.items():
        assert field.get("description"), name
        if name not in more:
            assert bounds(field) == bounds(contract[name]), name


@pytest.mark.parametrize(
    "wrong",
    [{"week_number": 0}, {"week": -1}, {"C": -1.0}, {"max_features": 0}, {"search_trials": -1}, {"candidates": []}],
    ids=str,
)
def test_a_training_refuses_what_its_schema_forbids_before_it_starts(wrong: dict[str, Any]) -> None:
    with pytest.raises(ParameterTypeError, match=next(iter(wrong))):
        training_pipeline.validate_parameters(wrong)


def bounds(field: dict[str, Any]) -> set[tuple[str, float]]:
    """The limits that a schema sets, at any of its alternatives."""
    limits = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "minItems"}
    parts = (field, *field.get("anyOf", ()))
    return {(name, limit) for part in parts for name, limit in part.items() if name in limits}


@pytest.mark.parametrize(
    ("flow", "first"),
    [
        (training_pipeline, ["dataset_run_id", "week_number", "max_features", "C", "auto_promote_threshold"]),
        (monitor_and_retrain, ["inference_log_path", "force_retrain"]),
    ],
)
def test_the_parameters_that_users_know_come_first(flow: Any, first: list[str]) -> None:
    assert list(inspect.signature(flow.fn).parameters)[: len(first)] == first


def test_the_candidates_that_forms_offer_are_those_that_are_declared() -> None:
    offered = training_pipeline.parameters.properties["candidates"]["anyOf"][0]["items"]["examples"]
    others = (*REGRESSION_CANDIDATES, *clustering.CANDIDATES, *similarity.CANDIDATES)
    assert offered == [each.name for each in (*CANDIDATES, *BINARY_CANDIDATES, *others)]


@pytest.mark.parametrize("use_case", use_cases.ALL, ids=lambda use_case: use_case.name)
def test_a_use_cases_form_offers_the_candidates_that_its_training_knows(use_case: UseCase) -> None:
    offered = contracts.TrainingParams.offers({"use_case": use_case.name})["candidates"]
    logics = [logic_of(Declared(use_case, model)) for model in use_case.models]
    assert offered == tuple(dict.fromkeys(each.name for logic in logics for each in logic.find_candidates(None)))


@pytest.mark.parametrize(
    ("name", "given", "may"),
    [
        ("promotion/products", {}, True),
        ("promotion/another", {"rehearsal": True}, True),
        ("training-pipeline/products", {}, True),
        ("training-pipeline/products", {"auto_promote_threshold": 0}, True),
        ("training-pipeline/products", {"auto_promote_threshold": None}, False),
        ("monitor-and-retrain/products", {}, True),
        ("score/products", {}, False),
        ("etl/daily", {}, False),
        ("", {}, True),
    ],
)
def test_what_may_change_a_champion_is_declared_with_what_it_takes(name: str, given: dict[str, Any], may: bool) -> None:
    assert contracts.may_promote(name, given) is may
    assert contracts.may_promote("renamed/x", {}, contracts.PromotionParams.model_fields)


@pytest.mark.parametrize(("flow", "deployment", "more"), PAIRS, ids=lambda value: getattr(value, "name", ""))
def test_what_contracts_say_of_fields_names_fields(flow: Any, deployment: Any, more: set[str]) -> None:
    params: type[contracts.Params] = deployment.params
    assert {*params.people, *params.often, *(params.without_promotion or {})} <= set(params.model_fields)
