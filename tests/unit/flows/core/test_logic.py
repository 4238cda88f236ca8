"""Every kind of task that can be declared is answered, each by a logic that knows all that the flows ask."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import get_args

import pytest

from factory.use_cases import get_model
from factory.use_cases.metrics import declared
from factory.use_cases.tasks import Binary, Direction, Regression, Task
from factory.use_cases.use_case import Declared
from flows.core.logic import Logic, logic_of
from tests.unit.flows.core.entities.songs import ALIKE, ENERGY, GENRE, SIMILAR, declare

FOLLOWED = Direction(target="live", positive="yes", gains="loudness")
TASKS = (GENRE, Binary(target="live", positive="yes"), FOLLOWED, ENERGY, ALIKE, SIMILAR)
ASKED = {name: asked for name, asked in vars(Logic).items() if inspect.isfunction(asked) and not name.startswith("_")}


def test_every_task_is_tested() -> None:
    assert {type(task) for task in TASKS} == set(get_args(Task))


@pytest.mark.parametrize("logic", [*(logic_of(declare(task)) for task in TASKS), logic_of(get_model("products"))])
def test_a_logic_answers_all_that_the_flows_ask(logic: Logic) -> None:
    for name, asked in ASKED.items():
        assert list(inspect.signature(getattr(logic, name)).parameters) == list(inspect.signature(asked).parameters)[1:]
    assert {"scikit-learn", "skops"} <= set(logic.needs)
    assert logic.find_candidates(None)
    with pytest.raises(ValueError, match=r"no candidate \['nobody'\]: there are "):
        logic.find_candidates(["nobody"])


@pytest.mark.parametrize("declared", [*(declare(task) for task in TASKS), get_model("products")])
def test_the_candidates_that_forms_offer_are_those_that_there_are(declared: Declared) -> None:
    assert tuple(each.name for each in logic_of(declared).find_candidates(None)) == declared.candidates


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_measured_by_metrics_that_are_declared_once(task: Task) -> None:
    assert declared([metric.name for metric in task.metrics]) == task.metrics


def test_texts_have_classes_and_nothing_else() -> None:
    texts = get_model("products")
    with pytest.raises(TypeError, match="products: texts have classes"):
        logic_of(replace(texts, model=replace(texts.model, task=Regression(target="price"))))
