"""What is told of an end can be stored, encoded and sent, whatever a flow has put into its names and its result."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from bridge.errors import UnexpectedAnswer
from bridge.prefect_api.end_event import LONGEST_RESULT_BYTES, describe
from bridge.prefect_api.exchange import Answer
from bridge.prefect_api.records import FlowRun
from bridge.prefect_api.run_queries import UnreadableRun, find_ended_flow_runs

END = "2026-11-02T12:00:00+00:00"
ROW = {"id": "a", "name": "brave-owl", "end_time": END, "state": {"type": "COMPLETED", "timestamp": END}}


def described(result: Any = None, **fields: Any) -> dict[str, Any]:
    run = FlowRun.parse({**ROW, **fields})
    return describe(run, "http://p/a", deployment=None, result=result, maybe_repeated=False)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"in": value}
    return value


def test_a_sound_result_is_told() -> None:
    told = described({"f1": 0.9, "classes": ["a", None, True, 2**62]})
    assert told["result"] == {"f1": 0.9, "classes": ["a", None, True, 2**62]}
    assert (told["omitted"], told["omitted_because"]) == ([], None)


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        ({"x": "y" * LONGEST_RESULT_BYTES}, "larger than 0.03 MB"),
        ({"scores": [0.5, math.nan]}, r"result.scores\[1\] is nan"),
        ({"x": math.inf}, "result.x is inf"),
        ({"x": {"y": "a\x00b"}}, "result.x.y"),
        ({"x": "\ud800"}, "surrogate"),
        ({"\x00": 1}, "has a key"),
        ({"x": 2**64}, "64 bits"),
        ({"x": nested(100_000)}, "nested deeper"),
        (UnexpectedAnswer("holds no JSON object"), "holds no JSON object"),
    ],
)
def test_a_result_that_cannot_be_told_is_left_out_with_the_reason(result: Any, reason: str) -> None:
    told = described(result)
    assert (told["result"], told["omitted"]) == (None, ["result"])
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(told["omitted_because"])
    json.dumps(told, allow_nan=False).encode()


def test_names_are_text_of_a_bounded_length() -> None:
    told = described(name="a\x00b\ud800" + "c" * 5000, tags=["\x00"] * 500)
    assert told["name"].startswith("a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}ccc")
    assert len(told["name"]) == 1000
    assert len(json.dumps(told).encode()) < 10_000


def found(*rows: Any) -> list[FlowRun]:
    operation = find_ended_flow_runs(["COMPLETED"])
    next(operation)
    with pytest.raises(StopIteration) as stop:
        operation.send(Answer(200, list(rows)))
    return list(stop.value.value.runs)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"name": None},
        {"end_time": "yesterday"},
        {"end_time": "2026-11-02T12:00:00"},
        {"end_time": None},
        {"tags": [1]},
        {"tags": 7},
        {"state": "COMPLETED"},
        {"run_count": math.inf},
        {"deployment_id": []},
    ],
)
def test_a_row_that_cannot_be_read_hides_no_other_and_is_told_as_such(spoilt: dict[str, Any]) -> None:
    first, unreadable, last = found({**ROW, "id": "first"}, {**ROW, **spoilt}, {**ROW, "id": "last"})
    assert [first.id, unreadable.id, last.id] == ["first", "a", "last"]
    assert isinstance(unreadable, UnreadableRun)
    told = describe(unreadable, "http://p/a", deployment="f/d", result=None, maybe_repeated=False)
    assert told["flow_run_id"] == "a"
    assert told["omitted"] == ["name", "tags", "result"]
    assert told["omitted_because"]
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("row", [None, "text", [], {}, {"id": 7}])
def test_a_row_without_an_id_is_named_by_what_it_holds(row: Any) -> None:
    first, other = found(row), found(row)
    assert isinstance(first[0], UnreadableRun)
    assert first[0].id.startswith("unknown-")
    assert first == other
