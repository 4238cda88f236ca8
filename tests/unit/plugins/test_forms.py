"""A form is made of a schema and read back into parameters; what does not fit is told at its field."""

from __future__ import annotations

import json
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import BaseModel, Field

from bridge.prefect_api.records import DeploymentRecord
from bridge.testing.schemas import schema_of
from factory import use_cases
from factory.contracts import MonitorParams, Params, PromotionParams, ReferenceParams, TrainingParams
from factory.use_cases import get_model
from factory.use_cases.tasks import Task
from plugins.control_page.forms import WHOLE, fill, fill_as, form_of, read_form, with_problems


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    depth: int


class Everything(BaseModel):
    rows: Annotated[int, Field(ge=1, description="how many")]
    share: float = 0.5
    text: str = "hello"
    colour: Colour = Colour.RED
    level: Annotated[int | None, Field(json_schema_extra={"enum": [1, 2, None]})] = 1
    dry: bool = False
    day: date | None = None
    moment: datetime | None = None
    month: Annotated[str, Field(pattern=r"^\d{4}-\d{2}$")] = "2026-01"
    inner: Inner | None = None
    tags: list[str] = []


def record(parameters: Any = Everything, **defaults: Any) -> DeploymentRecord:
    document = {"id": "i", "name": "n", "flow_id": "f", "parameters": defaults}
    return DeploymentRecord.parse({**document, "parameter_openapi_schema": schema_of(parameters)})


def read(made: DeploymentRecord, **typed: str) -> tuple[dict[str, Any], dict[str, str]]:
    fields = fill(form_of(made), {f"p.{name}": text for name, text in typed.items()})
    return read_form(fields, made)


def test_every_type_has_its_control() -> None:
    controls = {field.name: field.control for field in form_of(record())}
    assert controls == {
        "rows": "integer",
        "share": "number",
        "text": "text",
        "colour": "choice",
        "level": "choice",
        "dry": "choice",
        "day": "date",
        "moment": "moment",
        "month": "month",
        "inner": "json",
        "tags": "lines",
    }


def test_a_field_tells_its_default_its_description_and_whether_it_must_be_filled_in() -> None:
    fields = {field.name: field for field in form_of(record())}
    assert (fields["rows"].required, fields["rows"].description, fields["rows"].default) == (True, "how many", "")
    assert (fields["share"].required, fields["share"].default) == (False, "0.5")
    assert [words for _, words in fields["colour"].choices] == ["red", "blue"]
    with_default = {field.name: field for field in form_of(record(rows=7))}
    assert (with_default["rows"].required, with_default["rows"].default) == (False, "7")
    assert (with_default["rows"].fixed, with_default["share"].fixed) == (True, False)


EVERY_CANDIDATE = {name for task in get_args(Task) for name in task.candidates}


@pytest.mark.parametrize(
    ("fixed", "offered"),
    [
        ({"use_case": "churn"}, set(get_model("churn").candidates)),
        ({"use_case": "products"}, set(get_model("products").candidates)),
        ({"use_case": "of-old"}, EVERY_CANDIDATE),
        ({}, EVERY_CANDIDATE),
    ],
    ids=str,
)
def test_candidates_are_those_of_the_use_case_that_the_deployment_fixes(
    fixed: dict[str, str], offered: set[str]
) -> None:
    fields = {field.name: field for field in form_of(record(TrainingParams, **fixed), "training-pipeline/any")}

    assert {name for name, _ in fields["candidates"].choices} == offered


def test_a_model_is_asked_for_where_there_may_be_several() -> None:
    def asks(**fixed: str) -> bool:
        return "model" in {field.name for field in form_of(record(TrainingParams, **fixed), "training-pipeline/any")}

    assert (asks(use_case="products"), asks(), asks(use_case="songs")) == (False, True, True)


def test_of_several_models_one_must_be_chosen() -> None:
    made = record(TrainingParams, use_case="songs")
    fields = form_of(made, "training-pipeline/songs")
    (asked,) = [field for field in fields if field.name == "model"]
    named = [model.name for model in use_cases.get("songs").models]
    assert (asked.required, asked.rare, [name for name, _ in asked.choices]) == (True, False, named)

    def sent(text: str) -> tuple[dict[str, Any], dict[str, str]]:
        return read_form(fill(fields, {"p.model": text}), made)

    assert sent("songs-genre") == ({"model": "songs-genre"}, {})
    assert sent("") == ({}, {"model": "'model' is a required property"})


def test_defaults_stand_in_their_fields_and_what_is_left_at_that_is_the_deployments() -> None:
    fields = {field.name: field for field in form_of(record())}
    shown = {name: field.value for name, field in fields.items()}
    assert (shown["rows"], shown["share"], shown["text"], shown["dry"]) == ("", "0.5", "hello", "false")
    assert (shown["colour"], shown["level"], shown["month"], shown["day"]) == ('"red"', "1", "2026-01", "")
    typed = {name: text for name, text in shown.items() if name != "rows"}
    assert read(record(), **typed, rows="3") == ({"rows": 3}, {})


def test_what_is_cleared_is_nothing_where_nothing_is_a_value() -> None:
    assert read(record(TrainingParams), auto_promote_threshold="") == ({"auto_promote_threshold": None}, {})
    assert read(record(), rows="1", text="", share="") == ({"rows": 1}, {})


def test_objects_and_lists_have_a_skeleton_choices_or_lines_and_a_union_its_simple_alternative() -> None:
    fields = {field.name: field for field in form_of(record(), "a/b")}
    assert json.loads(fields["inner"].value) == {"depth": 0}
    training = {field.name: field for field in form_of(record(TrainingParams), "training-pipeline/products")}
    assert training["candidates"].control == "choices"
    assert ("svm-words", "svm-words") in training["candidates"].choices
    dataset = json.loads(training["dataset"].value)
    assert (dataset["uri"], dataset["week"], dataset["test"]["sha256"]) == ("", 0, "")
    union = {"anyOf": [{"type": "integer"}, {"type": "object"}, {"type": "string"}, {"type": "null"}], "default": None}
    listed = {"type": "array", "items": {"type": "object", "properties": {"a": {"type": "integer"}}}}
    fields = {
        field.name: field for field in form_of(record({"properties": {"union": union, "listed": listed, "any": {}}}))
    }
    assert [(field.control, field.value) for field in fields.values()] == [
        ("text", ""),
        ("json", '[\n  {\n    "a": 0\n  }\n]'),
        ("json", "null"),
    ]
    assert read(record({"properties": {"union": union}}), union="7") == ({"union": "7"}, {})
    assert read(record({"properties": {"union": union}}), union='{"a": 1}') == ({"union": {"a": 1}}, {})


def test_a_skeleton_of_what_contains_itself_has_an_end() -> None:
    schema = {"properties": {"tree": {"$ref": "#/$defs/Tree"}}, "$defs": {"Tree": {"properties": {}}}}
    schema["$defs"]["Tree"] = {"type": "object", "properties": {"below": {"$ref": "#/$defs/Tree"}}}
    [field] = form_of(record(schema))
    assert field.value.count("below") > 1


@pytest.mark.parametrize(
    ("typed", "meant"), [("svm-words\n\nsgd-words", ["svm-words", "sgd-words"]), ('["svm-words"]', ["svm-words"])]
)
def test_a_list_is_what_stands_on_its_lines(typed: str, meant: list[str]) -> None:
    assert read(record(TrainingParams), candidates=typed) == ({"candidates": meant}, {})


def test_an_object_that_has_no_form_of_its_own_may_be_left_empty_where_it_is_required() -> None:
    free = record({"properties": {"any": {"type": "object"}}, "required": ["any"]})
    assert read(free) == ({"any": {}}, {})


def test_fields_that_name_people_are_not_asked_for_and_rare_ones_are_marked() -> None:
    named = {field.name: field.rare for field in form_of(record(PromotionParams, use_case="p"), "promotion/products")}
    assert named == {
        "use_case": False,
        "model_version": False,
        "threshold": True,
        "rollback": True,
        "rehearsal": False,
        "champion": True,
    }
    rare = {field.name: field.rare for field in form_of(record())}
    assert [name for name, is_rare in rare.items() if is_rare] == ["day", "moment", "inner"]


def test_a_form_like_a_run_has_its_parameters_and_gives_them_back() -> None:
    ran = {
        "rows": 3,
        "share": 0.25,
        "text": "a\u200bb",
        "colour": "blue",
        "level": None,
        "dry": True,
        "day": "2026-02-03",
        "moment": "2026-02-03T05:05:00+01:00",
        "inner": {"depth": 2},
        "tags": ["a", "b c"],
    }
    fields = fill_as(form_of(record()), ran, record())
    posted = {f"p.{field.name}": field.value.replace("\n", "\r\n") for field in fields}
    parameters, problems = read_form(fill(form_of(record()), posted), record())
    assert problems == {}
    assert parameters == {**ran, "moment": "2026-02-03T04:05:00+00:00"}
    odd = fill_as(form_of(record()), {"tags": ["two\nlines", ""]}, record())
    assert next(field.value for field in odd if field.name == "tags") == '["two\\nlines", ""]'


class Mixed(BaseModel):
    features: Literal["sqrt", "log2"] | int | float = 0.5
    when: date | Literal["latest"] = "latest"
    seed: int | str = 3
    flag: bool | Literal["auto"] = "auto"
    sizes: list[Literal[1, 2]] = [1, 2]
    pair: tuple[int, str] | None = None
    since: datetime | None = None


def test_a_choice_beside_something_else_is_a_text_with_proposals_that_reads_numbers_as_such() -> None:
    fields = {field.name: field for field in form_of(record(Mixed))}

    assert {name: (field.control, field.value) for name, field in fields.items()} == {
        "features": ("text", "0.5"),
        "when": ("text", "latest"),
        "seed": ("text", "3"),
        "flag": ("choice", '"auto"'),
        "sizes": ("json", "[\n  1,\n  2\n]"),
        "pair": ("json", '[\n  0,\n  ""\n]'),
        "since": ("moment", ""),
    }
    assert [value for value, _ in fields["features"].choices] == ["sqrt", "log2"]
    assert read(record(Mixed), features="log2", seed="4", flag="true", when="2026-01-31", sizes="[2]") == (
        {"features": "log2", "seed": 4, "flag": True, "when": "2026-01-31", "sizes": [2]},
        {},
    )
    assert read(record(Mixed), features="3", seed="latest") == ({"features": 3, "seed": "latest"}, {})
    assert set(read(record(Mixed), features="cube", flag="maybe")[1]) == {"features", "flag"}


def test_no_browser_drops_what_stands_in_a_field() -> None:
    """A picker shows nothing but its own kind, a list none but its choices."""
    ran = {"since": "2026-02-03T04:05:06.123456+00:00", "flag": "gone", "when": "2026-02-03"}
    fields = {field.name: field for field in fill_as(form_of(record(Mixed)), ran, record(Mixed))}

    assert (fields["since"].input_type, fields["since"].value) == ("text", "2026-02-03T04:05:06.123456")
    assert form_of(record(Mixed))[-1].input_type == "datetime-local"
    assert ('"gone"', '"gone"') in fields["flag"].offered
    posted = {f"p.{name}": field.value for name, field in fields.items()}
    parameters, problems = read_form(fill(form_of(record(Mixed)), posted), record(Mixed))
    assert set(problems) == {"flag"}
    assert (parameters["since"], parameters["when"]) == (ran["since"], ran["when"])

    known = fill_as(form_of(record(TrainingParams)), {"candidates": ["svm-words", "of-old"]}, record(TrainingParams))
    candidates = next(field for field in known if field.name == "candidates")
    assert ("of-old", "of-old") in candidates.offered
    outside = next(field for field in form_of(record(colour="green")) if field.name == "colour")
    assert ('"green"', "green") in outside.choices


def test_a_name_for_another_name_of_a_type_leads_to_the_type() -> None:
    alias = {"properties": {"a": {"$ref": "#/$defs/X"}, "b": {"$ref": "#/$defs/Y"}}}
    alias["$defs"] = {"X": {"$ref": "#/$defs/Z"}, "Z": {"enum": ["p", "q"]}, "Y": {"$ref": "#/$defs/Y"}}
    controls = {field.name: field.control for field in form_of(record(alias))}
    assert controls == {"a": "choice", "b": "json"}


class Store(BaseModel):
    options: dict[str, str] = {"endpoint": "e", "password": "of-the-deployment"}
    address: str = "s3://me:of-the-deployment@bucket/key"


def test_no_form_shows_a_secret_that_stands_within_a_parameter_and_none_is_made_of_its_stars() -> None:
    made = record(Store)
    ran = {"options": {"endpoint": "f", "password": "of-the-run"}, "address": "s3://me:of-the-run@bucket/other"}
    like = fill_as(form_of(made), ran, made)

    for fields in (form_of(made), like, form_of(record(Store, **ran))):
        assert "of-the-" not in repr(fields)
    assert read(made) == ({}, {})
    posted = {f"p.{field.name}": field.value for field in like}
    parameters, problems = read_form(fill(form_of(made), posted), made)
    assert set(problems) == {"options", "address"}
    assert "stands for a secret" in problems["options"]
    assert parameters == {}
    assert read(made, options='{"password": "new"}') == ({"options": {"password": "new"}}, {})


def test_the_first_refused_field_has_the_focus() -> None:
    fields = with_problems(form_of(record()), {"text": "wrong", "share": "wrong"})
    assert [field.name for field in fields if field.focus] == ["share"]


def test_what_is_filled_in_becomes_parameters_and_the_rest_is_the_deployments() -> None:
    typed = {"rows": "12", "share": "0.25", "text": "12", "colour": '"blue"', "dry": "true", "day": "2026-02-03"}
    more = {"moment": "2026-02-03T04:05", "month": "2026-02", "inner": '{"depth": 2}', "tags": '["a"]', "level": "2"}
    assert read(record(), **typed, **more) == (
        {
            "rows": 12,
            "share": 0.25,
            "text": "12",
            "colour": "blue",
            "dry": True,
            "day": "2026-02-03",
            "moment": "2026-02-03T04:05:00+00:00",
            "month": "2026-02",
            "inner": {"depth": 2},
            "tags": ["a"],
            "level": 2,
        },
        {},
    )
    assert read(record(), rows="1") == ({"rows": 1}, {})


@pytest.mark.parametrize(
    ("typed", "field", "words"),
    [
        ({}, "rows", "'rows' is a required property"),
        ({"rows": "0"}, "rows", "0 is less than the minimum of 1"),
        ({"rows": "1.5"}, "rows", "1.5 is not of type 'integer'"),
        ({"rows": "many"}, "rows", "'many' is not of type 'integer'"),
        ({"rows": "1", "colour": "green"}, "colour", "'green' is not one of ['red', 'blue']"),
        ({"rows": "1", "month": "soon"}, "month", r"'soon' does not match '^\\d{4}-\\d{2}$'"),
        ({"rows": "1", "inner": '{"depth": "x"}'}, "inner", "'x' is not of type 'integer'"),
        ({"rows": "1", "inner": "{"}, "inner", "No JSON: "),
        ({"rows": "1", "tags": "[1]"}, "tags", "0: 1 is not of type 'string'"),
    ],
)
def test_what_does_not_fit_is_told_at_its_field_in_the_schemas_words(
    typed: dict[str, str], field: str, words: str
) -> None:
    _, problems = read(record(), **typed)
    assert list(problems) == [field]
    assert words in problems[field]


def test_several_wrong_fields_are_told_at_once() -> None:
    _, problems = read(record(), rows="0", share="much")
    assert set(problems) == {"rows", "share"}


def test_a_schema_that_leads_nowhere_is_told_for_the_whole_form() -> None:
    broken = {"properties": {"a": {"$ref": "#/definitions/none"}}}
    assert set(read(record(broken), a='"x"')[1]) == {WHOLE}


def test_a_deployment_that_does_not_enforce_its_schema_takes_anything() -> None:
    lenient = DeploymentRecord.parse(
        {
            "id": "i",
            "name": "n",
            "flow_id": "f",
            "enforce_parameter_schema": False,
            "parameter_openapi_schema": schema_of(Everything),
        }
    )
    assert read(lenient, rows="0") == ({"rows": 0}, {})


@pytest.mark.parametrize("params", [TrainingParams, PromotionParams, MonitorParams])
def test_the_factorys_own_deployments_have_forms_that_may_be_left_empty(params: type[BaseModel]) -> None:
    assert form_of(record(params))
    assert read(record(params)) == ({}, {})


OF_PERIODS = ("week_number", "current_month", "snapshot_month", "period", "reference_period")


@pytest.mark.parametrize(
    ("flow", "taken", "use_case", "expected"),
    [
        ("training-pipeline", TrainingParams, "deals", dict.fromkeys(OF_PERIODS[1:4], "month")),
        ("training-pipeline", TrainingParams, "churn", {"week_number": "integer", "period": "text"}),
        ("training-pipeline", TrainingParams, "market", {"period": "date"}),
        ("monitor-and-retrain", MonitorParams, "deals", dict.fromkeys(("current_month", "reference_period"), "month")),
        ("reference-data", ReferenceParams, "deals", {"reference_period": "month"}),
    ],
)
def test_a_period_is_asked_for_as_the_use_case_counts_them(
    flow: str, taken: type[Params], use_case: str, expected: dict[str, str]
) -> None:
    fields = form_of(record(taken, use_case=use_case), f"{flow}/{use_case}")

    assert {field.name: field.control for field in fields if field.name in OF_PERIODS} == expected


def test_a_month_is_picked_or_typed_as_one_and_is_refused_at_its_field() -> None:
    made = record(TrainingParams, use_case="deals")
    month = next(field for field in form_of(made, "training-pipeline/deals") if field.name == "current_month")

    assert (month.input_type, month.pattern, month.rare) == ("month", r"\d{4}-(0[1-9]|1[0-2])", False)
    assert read(made, current_month="2017-06") == ({"current_month": "2017-06"}, {})
    (problem,) = read(made, current_month="2017-13")[1].values()
    assert "'2017-13' does not match" in problem
