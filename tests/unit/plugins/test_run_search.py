"""Runs are searched for by name, tag and parameter."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import pytest

from bridge.prefect_api.exchange import Answer
from bridge.prefect_api.run_queries import RunQuery
from plugins.control_page.parameter_search import PAGES_LOOKED_THROUGH, SEARCHED, find_runs, has_parameter
from plugins.control_page.run_filter import RunFilter

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARAMETERS = {"week_number": 3, "use_case": "Products", "rollback": False, "dataset": {"week": 7, "names": ["a", "b"]}}


@pytest.mark.parametrize(
    "wanted",
    [
        "week_number=3",
        "week_number = 3",
        "use_case=products",
        "rollback=false",
        "dataset.week=7",
        "week=7",
        "names=b",
        "rollback=",
        "product",
        "week_num",
        "7",
    ],
)
def test_a_parameter_is_found_by_name_and_value_or_by_a_text(wanted: str) -> None:
    assert has_parameter(PARAMETERS, wanted)


@pytest.mark.parametrize("wanted", ["week_number=30", "number=3", "use_case=prod", "dataset=7", "churn"])
def test_what_is_not_among_the_parameters_is_not_found(wanted: str) -> None:
    assert not has_parameter(PARAMETERS, wanted)


def rows(first: int, count: int) -> list[dict[str, Any]]:
    return [{"id": f"{n}", "name": f"run-{n}", "parameters": {"week": n % 100}} for n in range(first, first + count)]


def test_as_many_runs_are_looked_through_as_a_few_requests_bring_and_the_next_page_goes_on() -> None:
    asked: list[int] = []

    def search(page: int, of: int) -> Any:
        operation, answer = find_runs(RunQuery(), "week=5", page, lambda run: run.parameters), None
        try:
            request = next(operation)
            while True:
                number, limit = request.json["page"], request.json["limit"]  # type: ignore[index]
                asked.append(number)
                found = rows((number - 1) * limit, max(0, min(limit, of - (number - 1) * limit)))
                answer = Answer(200, {"results": found, "count": of})
                request = operation.send(answer)
        except StopIteration as stop:
            return stop.value

    first = search(1, 10_000)
    assert (len(first.runs), first.count, first.looked_through) == (10, 10_000, SEARCHED)
    assert asked == list(range(1, PAGES_LOOKED_THROUGH + 1))
    asked.clear()
    last = search(2, 1_050)
    assert (len(last.runs), last.looked_through, asked) == (1, 50, [PAGES_LOOKED_THROUGH + 1])


def test_the_address_says_what_is_searched_for() -> None:
    asked = RunFilter.parse({"name": " owl\x00 ", "tag": "week:3, airflow,", "parameter": "week=3", "span": "day"})
    query = asked.query({}, NOW, everything=True)
    assert (query.name_part, query.tags) == ("owl", ("week:3", "airflow"))
    assert query.filter(NOW)["flow_runs"]["name"] == {"like_": "owl"}
    assert RunFilter.parse(dict(parse_qsl(asked.address()))) == asked
    assert dict(parse_qsl(asked.address(parameter="")))["name"] == "owl"
    assert asked.is_narrowed
    assert not RunFilter(span="hour").is_narrowed
    assert len(RunFilter.parse({"name": "x" * 9999}).name) == 200
