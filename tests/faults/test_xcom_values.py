"""The small Airflow refuses what the real one refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.flow_results import RESULTS, published
from tests.faults.xcom_values import refusal_of


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, "é"]}, None, [], "text"])
def test_json_is_taken(value: Any) -> None:
    assert refusal_of(value) is None


@pytest.mark.parametrize("value", [float("nan"), {"a": [float("-inf")]}, {"a": object()}, {"a": "\ud800"}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    assert refusal_of(value)


@pytest.mark.parametrize("name", RESULTS)
def test_what_a_flow_publishes_is_held_as_it_says(name: str) -> None:
    result = published(name, 7, "an-id")
    try:
        value = json.loads(result.text)
    except RecursionError:
        value = object()
    can_be_held = isinstance(value, dict) and refusal_of(value) is None
    assert can_be_held is (result.holds != "no")
